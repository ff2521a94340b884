// The audio worklet that captures: microphone samples in, blocks of Int16LE and their loudness out.

import { Blocks, Resampler } from './pcm.js';

const BLOCK_SECONDS = 0.032; // one window of the server's voice activity model at 16 kHz (512 samples)

class CaptureProcessor extends AudioWorkletProcessor {
  /** `processorOptions.rate`: Hz of the blocks, which may be another than the context's. */
  constructor({ processorOptions: { rate } }) {
    super();
    const length = Math.round(rate * BLOCK_SECONDS);
    this.blocks = new Blocks(length, (audio, rms) => this.port.postMessage({ audio, rms }, [audio]));
    this.resampler = rate === sampleRate ? null : new Resampler(sampleRate, rate);
  }

  process([input]) {
    if (input.length > 0) this.blocks.add(this.resampler === null ? input[0] : this.resampler.take(input[0]));
    return true;
  }
}

registerProcessor('vantum-capture', CaptureProcessor);
