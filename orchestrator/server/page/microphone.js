// The caller's voice: microphone to blocks of Int16LE, at a rate the server takes, for as long as the call lasts.

import { release, resume, WORLD } from './browser-sound.js';
import { reason } from './obstacles.js';
import { SoundKeeper } from './sound-keeper.js';

const PROCESSOR = new URL('./capture-processor.js', import.meta.url);
const RATES = [16000, undefined, 48000]; // what the server listens at; the device's own; what any device can do
const LOWEST_RATE = 8000;
const HIGHEST_RATE = 48000;
const LIKELY_RATE = 16000; // what a device's sound is brought to that is out of these bounds

/** The microphone cannot be used; the message is a sentence for the visitor. */
export class MicrophoneError extends Error {}

/**
 * Open the microphone. `on.block(audio, rms)` gets each block as an ArrayBuffer; `on.changed()` is called when
 * `sound` is another (as of `SoundKeeper`), and `on.lost(error)` when the device is gone for good.
 *
 * A visitor may leave the browser's question unanswered, and the call off: when `wanted()` is false by the time of
 * the answer, the device is let go at once, and null returned. Throws MicrophoneError.
 */
export async function openMicrophone(on, wanted = () => true) {
  const microphone = new Microphone(on);
  const stream = await askForStream();
  if (!wanted()) {
    stop(stream);
    return null;
  }
  try {
    await microphone.listenTo(stream);
  } catch (error) {
    stop(stream);
    microphone.close();
    throw new MicrophoneError(`The microphone's sound cannot be read: ${error.message}`, { cause: error });
  }
  if (wanted()) return microphone;
  microphone.close();
  return null;
}

/** An open microphone. It holds the nodes: a browser may collect those of a suspended context that nobody holds. */
class Microphone {
  constructor(on) {
    this.on = on;
    Object.assign(this, { stream: null, context: null, source: null, node: null, keeper: null, rate: null });
    this.blocks = 0;
    this.closed = false;
  }

  get sound() {
    return this.keeper?.sound ?? 'ok';
  }

  /** Read this stream from now on, in the context that there is or, if that is impossible or not wanted, in another. */
  async listenTo(stream, { anew = false } = {}) {
    const [context, source] = (!anew && inContext(this.context, stream)) || openContext(stream);
    if (context !== this.context) {
      try {
        await context.audioWorklet.addModule(PROCESSOR);
      } catch (error) {
        release(context);
        throw error;
      }
    }
    if (this.closed) {
      stop(stream);
      release(context);
      return;
    }
    this.#use(stream, context, source);
  }

  /** Something may have happened to the sound. */
  look() {
    this.keeper?.check();
  }

  /** The visitor is here: what was taken away is asked for again. */
  poke() {
    this.keeper?.poke();
  }

  close() {
    this.closed = true;
    this.keeper?.close();
    this.source?.disconnect();
    this.node?.disconnect();
    stop(this.stream);
    release(this.context);
    Object.assign(this, { stream: null, context: null, source: null, node: null });
  }

  #use(stream, context, source) {
    this.rate ??= rateOf(context); // it stays, whatever the device does: the server was told
    this.source?.disconnect();
    if (this.stream !== stream) stop(this.stream);
    if (context !== this.context) {
      this.node?.disconnect();
      release(this.context);
      this.node = this.#nodeIn(context);
    }
    Object.assign(this, { stream, context, source });
    source.connect(this.node);
    this.keeper ??= new SoundKeeper(this.#side(), WORLD);
    const look = () => this.keeper.check();
    context.onstatechange = look;
    const [track] = stream.getAudioTracks();
    Object.assign(track, { onended: look, onmute: look, onunmute: look });
    resume(context);
  }

  #nodeIn(context) {
    const node = new AudioWorkletNode(context, 'vantum-capture', {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: 'explicit',
      processorOptions: { rate: this.rate },
    });
    node.port.onmessage = ({ data }) => {
      if (node !== this.node) return;
      this.blocks += 1;
      this.on.block(data.audio, data.rms);
    };
    return node;
  }

  #side() {
    return {
      see: () => {
        const [{ readyState, muted }] = this.stream.getAudioTracks();
        const { state: context } = this.context;
        return { context, track: readyState, muted, visible: !document.hidden, clock: this.blocks };
      },
      resume: () => resume(this.context),
      rebuild: () => this.listenTo(this.stream, { anew: true }),
      reacquire: () => this.#reacquire(),
      giveUp: (error) => this.on.lost(error),
      changed: () => this.on.changed(),
    };
  }

  /** Ask for the device again. The old stream is stopped first: phones give one page one stream. */
  async #reacquire() {
    stop(this.stream);
    const before = this.stream;
    const stream = await askForStream();
    if (this.closed || this.stream !== before) stop(stream); // it came too late
    else await this.listenTo(stream);
  }
}

async function askForStream() {
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(reason(error, window.top !== window), { cause: error });
  }
}

/** The stream as a node in a context that is there already; null if that is impossible. */
function inContext(context, stream) {
  if (context === null || context.state === 'closed') return null;
  try {
    return [context, context.createMediaStreamSource(stream)];
  } catch (error) {
    if (error.name !== 'NotSupportedError') throw error;
    return null; // Firefox takes a stream only at the device's own rate, which is another now
  }
}

/** A context at the first rate that the browser can do, and the stream as a node in it. */
function openContext(stream) {
  let failure = null;
  for (const sampleRate of RATES) {
    let context = null;
    try {
      context = new AudioContext({ sampleRate, latencyHint: 'interactive' });
      return [context, context.createMediaStreamSource(stream)];
    } catch (error) {
      failure = error;
    }
    context?.close();
  }
  throw failure;
}

/** The rate of what is sent to the server. */
function rateOf({ sampleRate }) {
  return sampleRate >= LOWEST_RATE && sampleRate <= HIGHEST_RATE ? sampleRate : LIKELY_RATE;
}

function stop(stream) {
  for (const track of stream?.getTracks() ?? []) {
    Object.assign(track, { onended: null, onmute: null, onunmute: null });
    track.stop();
  }
}
