// What sound needs of the browser: contexts at a rate, permission to play and record at once, and a clock.

/** What a `SoundKeeper` needs. */
export const WORLD = {
  now: () => performance.now(),
  setInterval: (action, ms) => setInterval(action, ms),
  clearInterval: (timer) => clearInterval(timer),
  touch: navigator.maxTouchPoints > 0,
};

/** Have a context run. A browser that refuses does so until a click, or until what has the sound is over. */
export function resume(context) {
  if (context.state !== 'running' && context.state !== 'closed') context.resume().catch(() => undefined);
}

/** Let go of a context and its events. */
export function release(context) {
  if (context === null) return;
  context.onstatechange = null;
  context.onerror = null;
  if (context.state !== 'closed') context.close();
}

/** Tell a phone that this page records and plays, so that the voice comes from its loudspeaker; `false` ends that. */
export function announceCall(goesOn) {
  if (navigator.audioSession) navigator.audioSession.type = goesOn ? 'play-and-record' : 'auto';
}
