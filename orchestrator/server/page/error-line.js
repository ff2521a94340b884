// The line that says what is wrong, as long as it is.

/** How long an error is true: until the next call, until a session is there, until a turn is understood, and so on. */
export const UNTIL = {
  NEXT_CALL: 'next call', CONNECTED: 'connected', NEXT_TURN: 'next turn', AUDIO_SENT: 'audio sent', NEXT_ANSWER: 'next answer',
};

export class ErrorLine {
  constructor(element) {
    this.element = element;
    this.errors = new Map();
  }

  /** Show an error until it is over. Those that were not over yet come back after it. */
  show(message, until) {
    const before = this.errors.get(until);
    this.errors.delete(until);
    this.errors.set(until, { message, times: before?.message === message ? before.times + 1 : 1 });
    this.#write();
  }

  /** Whether this is what it says now. */
  says(message) {
    return [...this.errors.values()].at(-1)?.message === message;
  }

  /** The errors of these kinds are over, or all of them. */
  over(...kinds) {
    for (const kind of kinds.length > 0 ? kinds : [...this.errors.keys()]) this.errors.delete(kind);
    this.#write();
  }

  #write() {
    const last = [...this.errors.values()].at(-1);
    const words = last === undefined ? '' : last.times > 1 ? `${last.message} (${last.times} times)` : last.message;
    if (this.element.textContent !== words) this.element.textContent = words;
  }
}
