// The caller's voice: microphone to blocks of Int16LE, at a rate the server takes.

import { resume } from './audio-context.js';

const PROCESSOR = new URL('./capture-processor.js', import.meta.url);
const RATES = [16000, undefined, 48000]; // what the server listens at; the device's own; what any device can do
const LOWEST_RATE = 8000;
const HIGHEST_RATE = 48000;

/** The microphone cannot be used; the message is a sentence for the visitor. */
export class MicrophoneError extends Error {}

/**
 * Open the microphone. `block(audio, rms)` gets each block as an ArrayBuffer; `lost()` is called when the device
 * goes away, `changed()` when the browser takes its sound away or gives it back. Throws MicrophoneError.
 */
export async function openMicrophone({ block, lost, changed }) {
  const stream = await askForStream();
  let context = null;
  try {
    let source;
    [context, source] = listenTo(stream);
    await context.audioWorklet.addModule(PROCESSOR);
    const node = new AudioWorkletNode(context, 'vantum-capture', {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    node.port.onmessage = ({ data }) => block(data.audio, data.rms);
    source.connect(node);
    stream.getAudioTracks()[0].onended = lost;
    return new Microphone(stream, context, source, node, changed);
  } catch (error) {
    release(stream, context);
    throw new MicrophoneError(`The microphone's sound cannot be read: ${error.message}`, { cause: error });
  }
}

/** An open microphone. It holds the nodes: a browser may collect those of a suspended context that nobody holds. */
class Microphone {
  constructor(stream, context, source, node, changed) {
    Object.assign(this, { stream, context, source, node });
    this.suspended = false;
    context.onstatechange = () => {
      this.suspended = context.state !== 'running';
      this.resume();
      changed();
    };
    this.resume();
  }

  get rate() {
    return this.context.sampleRate;
  }

  /** Ask the browser for the sound again, where it has taken it away: for a telephone call, say, or a locked screen. */
  resume() {
    resume(this.context);
  }

  close() {
    release(this.stream, this.context);
  }
}

async function askForStream() {
  if (!navigator.mediaDevices) {
    throw new MicrophoneError('This browser gives the microphone only to pages from https or from localhost.');
  }
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new MicrophoneError(reason(error), { cause: error });
  }
}

function reason({ name, message }) {
  if (name === 'NotAllowedError' || name === 'SecurityError') {
    return 'The microphone was refused. Allow it for this page in the browser’s address bar, then press Start again.';
  }
  if (name === 'NotFoundError') return 'No microphone was found. Connect one, then press Start again.';
  if (name === 'NotReadableError' || name === 'AbortError') {
    return 'The microphone is in use by another program. Close that, then press Start again.';
  }
  return `The microphone cannot be opened: ${message || name}`;
}

/** A context at the first rate that both the browser and the server can do, and the stream as a node in it. */
function listenTo(stream) {
  let failure = new Error('no usable sampling rate');
  for (const sampleRate of RATES) {
    let context = null;
    try {
      context = new AudioContext({ sampleRate, latencyHint: 'interactive' });
      if (context.sampleRate >= LOWEST_RATE && context.sampleRate <= HIGHEST_RATE) {
        return [context, context.createMediaStreamSource(stream)];
      }
    } catch (error) {
      failure = error; // Firefox takes a stream only at the device's own rate: try the next
    }
    context?.close();
  }
  throw failure;
}

function release(stream, context) {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
  if (context === null) return;
  context.onstatechange = null;
  if (context.state !== 'closed') context.close();
}
