// The agent's voice: chunks from the wire to the loudspeaker, and silence the moment it is asked for.

import { release, resume, WORLD } from './browser-sound.js';
import { readInt16 } from './pcm.js';
import { SoundKeeper } from './sound-keeper.js';
import { Utterances } from './utterances.js';

const PROCESSOR = new URL('./playback-processor.js', import.meta.url);

export class Playback {
  /**
   * `report` gets {kind, utterance, playedMs, heardAt}; kind is started, progress, starved, finished, stopped or
   * overflow, and `heardAt` the time (performance.now()) at which that reaches the loudspeaker. `trouble` gets
   * an error when sound cannot be made. `changed` is called when `sound` is another, as of `SoundKeeper`.
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
  get sound() {
    return this.output?.sound ?? 'ok';
  }

  /** The visitor is here: what was taken away is asked for again. */
  poke() {
    this.output?.poke();
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
    Object.assign(this, { rate, report, waiting: [], context: null, node: null, closed: false });
    this.begun = null; // the command that began an utterance of which more may come
    this.before = 0; // ms of it that were played by contexts that are gone
    this.last = { kind: '', playedMs: 0 }; // report
    this.#renew();
    this.keeper = new SoundKeeper(
      {
        see: () => {
          const { state: context, currentTime: clock } = this.context;
          return { context, track: 'none', muted: false, visible: !document.hidden, clock };
        },
        resume: () => this.resume(),
        rebuild: () => this.#rebuild(),
        giveUp: (error) => trouble(error ?? new Error('the loudspeaker takes no sound')),
        changed,
      },
      WORLD,
    );
    this.#open().catch((error) => {
      if (!this.closed) trouble(error);
    });
  }

  get sound() {
    return this.keeper.sound;
  }

  poke() {
    this.keeper.poke();
  }

  resume() {
    resume(this.context);
  }

  send(message, transfer = []) {
    if (message.command === 'begin') Object.assign(this, { begun: message, before: 0 });
    if (message.command === 'cancel' || message.command === 'end') this.begun = null;
    if (this.node) this.node.port.postMessage(message, transfer);
    else this.waiting.push([message, transfer]);
  }

  close() {
    this.closed = true;
    this.keeper.close();
    this.node?.disconnect();
    release(this.context);
  }

  #renew() {
    release(this.context);
    this.context = contextAt(this.rate);
    const look = () => this.keeper.check();
    this.context.onstatechange = look;
    this.context.onerror = () => {
      if (!this.closed) this.#lost();
    };
  }

  async #open() {
    const { context } = this;
    this.resume();
    await context.audioWorklet.addModule(PROCESSOR);
    if (this.closed || context !== this.context) return;
    this.node = new AudioWorkletNode(context, 'vantum-playback', { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.#take(data, context);
    this.node.connect(context.destination);
    for (const [message, transfer] of this.waiting.splice(0)) this.node.port.postMessage(message, transfer);
  }

  /** The device is gone, which a context says in no other way; a closed one is made anew. */
  #lost() {
    release(this.context);
    this.keeper.check();
  }

  /** Play on in another context; what the old one had not played is lost. */
  async #rebuild() {
    this.node?.disconnect();
    this.node = null;
    const { kind, utterance, playedMs, heardAt } = this.last;
    const playing = kind === 'started' || kind === 'progress';
    if (this.begun === null && playing) this.#tell({ kind: 'stopped', utterance, playedMs, heardAt });
    if (this.closed) return; // that was the last of the call
    this.before = playing && this.begun?.utterance === utterance ? playedMs : 0;
    this.waiting = this.begun === null ? [] : [[this.begun, []]];
    this.#renew();
    await this.#open();
  }

  #take({ kind, utterance, playedMs, contextTime }, context) {
    if (context !== this.context) return;
    this.#tell({ kind, utterance, playedMs: this.before + playedMs, heardAt: this.#wallClock(contextTime) });
  }

  #tell(told) {
    this.last = told;
    this.report(told);
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
