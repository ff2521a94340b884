// What browsers do to audio contexts: they suspend them, and give them back when they are asked at the right time.

/** Have a context run. A browser that refuses does so until a click, or until what has the sound is over. */
export function resume(context) {
  if (context.state !== 'running' && context.state !== 'closed') context.resume().catch(() => undefined);
}
