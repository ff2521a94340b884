// What to do about sound that the browser has taken away: decided here from what it tells, done by its owner.

export const TICK_MS = 500;
export const STILL_MS = 2000; // a sound that is said to run and does not: its clock stands still for so long
export const MUTED_MS = 1000; // shorter than this, nobody needs to be told
const AWAY_MS = 2000; // a phone that was away for longer may have given the microphone to another program
const WAKING_MS = 3000; // a context that was never heard of may wait for a click
const FINE_MS = 5000; // sound that came for so long counts its failures anew
const RESUME_MS = 2000; // between attempts to resume that nothing called for
const PATIENCE_MS = 15_000; // for an attempt to be done
const PAUSES_MS = [0, 500, 1000, 2000, 4000]; // before attempts one after the other
export const ATTEMPTS = PAUSES_MS.length;

/**
 * What to do: keep, resume (the context), rebuild (the context), reacquire (the device) or giveUp.
 *
 * `context` is the audio context's state; `track` that of the microphone's track (live or ended), none for a
 * loudspeaker. `mutedMs`: for how long the browser has muted the track; `stillMs`: for how long nothing has moved;
 * `interrupted`: something else had the microphone, so that the track's own word ("live, not muted") is not enough;
 * `attempts`: how often it was rebuilt or acquired again without success.
 */
export function decide({ context, track, mutedMs, stillMs, visible, interrupted, attempts }) {
  if (attempts >= ATTEMPTS && (track === 'ended' || context === 'closed' || stillMs > STILL_MS)) return 'giveUp';
  if (track === 'ended') return visible ? 'reacquire' : 'keep'; // phones refuse it to a page that nobody sees
  if (context === 'closed') return 'rebuild';
  if (context !== 'running') return 'resume';
  if (mutedMs > 0 || !visible) return 'keep';
  if (interrupted && track === 'live') return 'reacquire';
  if (stillMs > STILL_MS) return track === 'live' && attempts > 0 ? 'reacquire' : 'rebuild';
  return 'keep';
}

/** What the visitor is told: ok, paused (a click helps), taken (by another program, and it comes back) or lost. */
export function soundOf({ context, track, mutedMs, stillMs, visible, interrupted, attempts, waking }) {
  const seen = { context, track, mutedMs, stillMs, visible, interrupted, attempts };
  const action = decide(seen);
  if (action === 'giveUp') return 'lost';
  if (track === 'ended' || context === 'interrupted' || mutedMs > MUTED_MS) return 'taken';
  if (context !== 'running') return waking ? 'ok' : 'paused';
  return action === 'reacquire' || action === 'rebuild' ? 'taken' : 'ok';
}

/**
 * Watches one sound and has its owner do what helps.
 *
 * `side.see()` tells {context, track, muted, visible, clock}; `clock` is any number that moves while sound flows.
 * `side.resume()`, `side.rebuild()`, `side.reacquire()` (both return a promise) and `side.giveUp()` carry out, and
 * `side.changed()` is called when `sound` is another. `world` has now(), setInterval(), clearInterval() and `touch`
 * (whether it is a phone).
 */
export class SoundKeeper {
  constructor(side, world) {
    this.side = side;
    this.world = world;
    const now = world.now();
    Object.assign(this, {
      sound: 'ok', attempts: 0, interrupted: false, clock: null, ran: false, begunAt: now, movedAt: now, stoodAt: now,
      mutedAt: null, hiddenAt: null, lookedAt: now, resumedAt: -Infinity, nextAt: now, busyUntil: null, over: false,
      gaveUp: false, failure: null,
    });
    this.timer = world.setInterval(() => this.check(false), TICK_MS);
  }

  /** Look at the sound, and do what helps. `told`: because something has happened, and not as time goes by. */
  check(told = true) {
    if (this.over) return;
    const seen = this.#look();
    const action = decide(seen);
    const sound = soundOf(seen);
    if (sound !== this.sound) {
      this.sound = sound;
      this.side.changed();
    }
    if (action === 'giveUp') this.#giveUp();
    else if (action === 'resume') this.#resume(told);
    else if (action !== 'keep') this.#attempt(action);
  }

  /** The visitor clicked, came back or connected a device: whatever was given up is tried again. */
  poke() {
    this.attempts = 0;
    this.nextAt = this.world.now();
    this.gaveUp = false;
    this.check();
  }

  close() {
    this.over = true;
    this.world.clearInterval(this.timer);
  }

  #look() {
    const now = this.world.now();
    const { context, track, muted, visible, clock } = this.side.see();
    const stalled = now - this.lookedAt > 2 * TICK_MS; // the page itself stood still, and has not yet seen what came
    this.lookedAt = now;
    if (clock !== this.clock || !visible || stalled || context !== 'running') this.movedAt = now;
    if (clock !== this.clock && this.clock !== null) this.ran = true;
    this.clock = clock;
    this.mutedAt = muted ? this.mutedAt ?? now : null;
    const away = this.hiddenAt !== null && visible && now - this.hiddenAt > AWAY_MS;
    this.hiddenAt = visible ? null : this.hiddenAt ?? now;
    if (this.ran && (context === 'interrupted' || muted || (away && this.world.touch))) this.interrupted = true;
    const seen = {
      context,
      track,
      visible,
      mutedMs: this.mutedAt === null ? 0 : Math.max(1, now - this.mutedAt),
      stillMs: now - this.movedAt,
      interrupted: this.interrupted,
      attempts: this.attempts,
      waking: !this.ran && now - this.begunAt < WAKING_MS,
    };
    if (decide(seen) !== 'keep' || seen.stillMs > TICK_MS) this.stoodAt = now;
    if (now - this.stoodAt > FINE_MS) this.attempts = 0;
    return seen;
  }

  #resume(told) {
    const now = this.world.now();
    if (!told && now - this.resumedAt < RESUME_MS) return;
    this.resumedAt = now;
    this.side.resume();
  }

  async #attempt(action) {
    const now = this.world.now();
    if (now < this.nextAt || (this.busyUntil !== null && now < this.busyUntil)) return;
    if (this.busyUntil !== null) this.attempts += 1; // the one before was never done
    const until = now + PATIENCE_MS;
    this.busyUntil = until;
    try {
      await this.side[action]();
      this.interrupted &&= action !== 'reacquire';
    } catch (error) {
      this.failure = error;
    }
    if (this.busyUntil !== until) return; // it took too long, and another attempt goes on
    const after = this.world.now();
    this.busyUntil = null;
    this.attempts += 1;
    this.movedAt = after;
    this.nextAt = after + PAUSES_MS[Math.min(this.attempts, ATTEMPTS - 1)];
  }

  #giveUp() {
    if (this.gaveUp) return;
    this.gaveUp = true;
    this.side.giveUp(this.failure);
  }
}
