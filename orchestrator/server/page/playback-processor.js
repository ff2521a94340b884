// The audio worklet that plays: chunks and commands in, sound out, reports of what was played back.

import { PlaybackQueue } from './playback-queue.js';

const PROGRESS_SECONDS = 0.05;

class PlaybackProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = new PlaybackQueue(sampleRate);
    this.reported = 0;
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  obey({ command, utterance, rate, samples }) {
    if (command === 'begin') this.queue.begin(utterance, rate);
    else if (command === 'push') this.queue.push(samples);
    else if (command === 'end') this.queue.end();
    else if (command === 'cancel') this.queue.cancel();
  }

  process(inputs, [output]) {
    this.queue.fill(output[0]);
    for (let channel = 1; channel < output.length; channel++) output[channel].set(output[0]);
    for (const report of this.queue.takeReports()) this.tell(report);
    if (this.queue.playing && currentTime - this.reported >= PROGRESS_SECONDS) {
      this.tell({ kind: 'progress', utterance: this.queue.utterance, played: this.queue.played, offset: 0 });
    }
    return true;
  }

  tell({ kind, utterance, played, offset }) {
    this.reported = currentTime;
    this.port.postMessage({
      kind,
      utterance,
      playedMs: (played / sampleRate) * 1000,
      contextTime: currentTime + offset / sampleRate,
    });
  }
}

registerProcessor('vantum-playback', PlaybackProcessor);
