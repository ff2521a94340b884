// The agent's voice: chunks from the wire to the loudspeaker, and silence the moment it is asked for.

import { resume } from './audio-context.js';
import { readInt16 } from './pcm.js';
import { Utterances } from './utterances.js';

const PROCESSOR = new URL('./playback-processor.js', import.meta.url);

export class Playback {
  /**
   * `report` gets {kind, utterance, playedMs, heardAt}; kind is started, progress, starved, finished, stopped or
   * overflow, and `heardAt` the time (performance.now()) at which that reaches the loudspeaker. `trouble` gets
   * an error when sound cannot be made. `changed` is called when the browser takes the sound away or gives it back.
   */
  constructor({ report, trouble, changed }) {
    this.report = report;
    this.trouble = trouble;
    this.changed = changed;
    this.utterances = new Utterances();
    this.output = null;
    this.playedMs = 0;
    this.playing = false;
  }

  /** Have an output at `rate` Hz. Call it from a click first: browsers let a page make sound only after one. */
  prepare(rate) {
    if (this.output?.rate === rate) {
      this.output.resume();
      return;
    }
    this.output?.close();
    const output = new Output(rate, this.trouble, this.changed, (told) => {
      if (output === this.output) this.#take(told);
    });
    this.output = output;
  }

  /** Whether the browser has taken the sound away. */
  get suspended() {
    return this.output?.suspended ?? false;
  }

  /** Ask for the sound again. */
  resume() {
    this.output?.resume();
  }

  begin(utterance, rate) {
    if (!this.utterances.begin(utterance)) return;
    this.playedMs = 0;
    this.prepare(rate);
    this.output.send({ command: 'begin', utterance, rate });
  }

  push(utterance, bytes, rate) {
    this.begin(utterance, rate);
    if (!this.utterances.admits(utterance)) return;
    const samples = readInt16(bytes);
    if (samples.length > 0) this.output.send({ command: 'push', samples }, [samples.buffer]);
  }

  end(utterance) {
    if (this.utterances.admits(utterance)) this.output.send({ command: 'end' });
  }

  /** Silence `utterance`, or whatever plays if none is named. Nothing of it is played afterwards. */
  cancel(utterance = null) {
    if (this.utterances.cancel(utterance)) this.output?.send({ command: 'cancel' });
  }

  /** Let go of the sound device. */
  close() {
    this.cancel();
    this.output?.close();
    this.output = null;
    this.playing = false;
  }

  #take(told) {
    this.playing = told.kind === 'started' || told.kind === 'progress';
    this.playedMs = told.playedMs;
    this.report(told);
  }
}

/** An audio context with the playback worklet in it; commands given while it loads are kept in order. */
class Output {
  constructor(rate, trouble, changed, report) {
    this.rate = rate;
    this.waiting = [];
    this.node = null;
    this.closed = false;
    this.context = contextAt(rate);
    this.suspended = false; // as long as it never ran, it waits for the visitor's first click
    this.context.onstatechange = () => {
      this.suspended = this.context.state !== 'running';
      this.resume();
      changed();
    };
    this.#open(report).catch((error) => {
      if (!this.closed) trouble(error);
    });
  }

  async #open(report) {
    this.resume();
    await this.context.audioWorklet.addModule(PROCESSOR);
    if (this.closed) return;
    this.node = new AudioWorkletNode(this.context, 'vantum-playback', { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => {
      const { kind, utterance, playedMs, contextTime } = data;
      report({ kind, utterance, playedMs, heardAt: this.#wallClock(contextTime) });
    };
    this.node.connect(this.context.destination);
    for (const [message, transfer] of this.waiting.splice(0)) this.node.port.postMessage(message, transfer);
  }

  resume() {
    resume(this.context);
  }

  send(message, transfer = []) {
    if (this.node) this.node.port.postMessage(message, transfer);
    else this.waiting.push([message, transfer]);
  }

  close() {
    this.closed = true;
    this.node?.disconnect();
    this.context.onstatechange = null;
    if (this.context.state !== 'closed') this.context.close();
  }

  /** When the frame at `contextTime` leaves the loudspeaker, on performance.now()'s clock. */
  #wallClock(contextTime) {
    const { contextTime: then, performanceTime } = this.context.getOutputTimestamp?.() ?? {};
    if (then > 0) return performanceTime + (contextTime - then) * 1000;
    const delay = this.context.outputLatency || this.context.baseLatency || 0;
    return performance.now() + (contextTime - this.context.currentTime + delay) * 1000;
  }
}

/** A context at `rate` Hz, or at the device's own where the browser will not have that; the queue then resamples. */
function contextAt(rate) {
  try {
    return new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
  } catch (error) {
    if (error.name !== 'NotSupportedError') throw error;
    return new AudioContext({ latencyHint: 'interactive' });
  }
}
