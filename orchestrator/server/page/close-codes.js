// What a WebSocket's close code means for the page: whether the call is over, and whether it may be made again.

const MISUNDERSTOOD = 'This page and the server do not understand each other. Reload the page.';

/** By code: `again` is never, once or always; `error` is the sentence for the visitor if the server gives none. */
const MEANINGS = {
  1000: { again: 'never', error: '' }, // the end of a call, said goodbye to or not
  1001: { again: 'always', error: 'The server has stopped.' },
  1002: { again: 'never', error: MISUNDERSTOOD },
  1003: { again: 'never', error: MISUNDERSTOOD },
  1006: { again: 'always', error: '' }, // no code came: the line is dead
  1007: { again: 'never', error: MISUNDERSTOOD },
  1008: { again: 'never', error: 'The server refused this page.' },
  1009: { again: 'never', error: MISUNDERSTOOD }, // a message that was too long would be so again
  1011: { again: 'once', error: 'The call ended because of an error inside the server.' },
  1012: { again: 'always', error: 'The server has been restarted.' },
  4401: { again: 'never', error: 'The server asks for a token, and this page has none that is valid.' },
  4403: { again: 'never', error: 'This page may not use the server.' },
  4429: { again: 'always', error: 'The server takes no more calls from here at the moment.' },
  1013: { again: 'always', error: 'The server takes no calls at the moment.' }, // busy, or not ready
};

export const NORMAL = 1000;

/** {again, error} for a close code. One that nobody knows is taken for a dead line. */
export function meaningOf(code) {
  return MEANINGS[code] ?? MEANINGS[1006];
}

/** The pause that a close reason asks for ("busy; retry=10000"), in ms, or null; and the reason without it. */
export function readReason(reason) {
  const asked = /;\s*retry=(\d{1,6})$/.exec(reason);
  return { why: asked ? reason.slice(0, asked.index) : reason, retryMs: asked ? Number(asked[1]) : null };
}
