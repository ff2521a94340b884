// The audio worklet that captures: microphone samples in, blocks of Int16LE and their loudness out.

import { Blocks } from './pcm.js';

const BLOCK_SECONDS = 0.032; // one window of the server's voice activity model at 16 kHz (512 samples)

class CaptureProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    const length = Math.round(sampleRate * BLOCK_SECONDS);
    this.blocks = new Blocks(length, (audio, rms) => this.port.postMessage({ audio, rms }, [audio]));
  }

  process([input]) {
    if (input.length > 0) this.blocks.add(input[0]);
    return true;
  }
}

registerProcessor('vantum-capture', CaptureProcessor);
