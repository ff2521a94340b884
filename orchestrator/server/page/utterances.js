// Which utterance may be heard. One that was cancelled or overtaken never comes back.

const REMEMBERED = 256;

export class Utterances {
  constructor() {
    this.current = null;
    this.void = new Set();
  }

  /** Make `utterance` the current one, if it may still be heard; the one before is void. Says whether it is new. */
  begin(utterance) {
    if (utterance === this.current || this.void.has(utterance)) return false;
    this.cancel(this.current);
    this.current = utterance;
    return true;
  }

  /** Whether audio of `utterance` may be played now. */
  admits(utterance) {
    return utterance === this.current;
  }

  /** Void `utterance` (the current one, if none is named). Says whether that was the one being heard. */
  cancel(utterance) {
    const named = utterance || this.current;
    if (named === null) return false;
    this.void.add(named);
    if (this.void.size > REMEMBERED) this.void.delete(this.void.values().next().value);
    if (named !== this.current) return false;
    this.current = null;
    return true;
  }
}
