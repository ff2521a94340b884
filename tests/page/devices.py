"""Scripts that put a browser's sound and devices into a test's hands."""

from __future__ import annotations

AUDIO_CONTEXTS = """
window.contexts = [];
window.AudioContext = class extends AudioContext {
  constructor(options) {
    super(options);
    window.contexts.push(this);
  }
  async resume() {
    if (window.interrupted) throw new DOMException('A telephone call has the sound', 'InvalidStateError');
    return super.resume();
  }
};
window.suspendAll = async () => {
  window.interrupted = true;
  await Promise.all(window.contexts.map((context) => context.suspend()));
};
"""
"""`suspendAll()` does what iOS does for a call: nothing resumes the sound until `interrupted` is false."""

STREAMS = """
window.streams = [];
window.refused = '';
const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  if (window.unanswered) await new Promise((answer) => { window.answer = answer; });
  if (window.refused) throw new DOMException('no', window.refused);
  const stream = await ask(wanted);
  window.streams.push(stream);
  return stream;
};
window.track = () => window.streams.at(-1).getAudioTracks()[0];
window.endTrack = () => {
  track().stop();
  track().dispatchEvent(new Event('ended'));
};
window.mute = (muted) => {
  Object.defineProperty(track(), 'muted', { configurable: true, value: muted });
  track().dispatchEvent(new Event(muted ? 'mute' : 'unmute'));
};
"""
"""What devices do: `endTrack()`, `mute(true)`; a browser's question can be `unanswered`, or `refused`."""
