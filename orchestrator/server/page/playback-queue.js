// What the playback worklet plays next: a ring buffer of Int16 samples of one utterance.

const FADE_FRAMES = 128; // one render quantum: silence without a click

/** A ring buffer that is filled in chunks and drained in render quanta. Pure: no audio API in here. */
export class PlaybackQueue {
  /** `contextRate`: Hz of the frames that `fill` makes. `seconds`: how much audio fits; more is refused. */
  constructor(contextRate, seconds = 30) {
    this.contextRate = contextRate;
    this.seconds = seconds;
    this.reports = [];
    this.tail = new Float32Array(0);
    this.begin('', contextRate);
  }

  /** Forget whatever is queued; what follows belongs to `utterance`, at `rate` Hz. */
  begin(utterance, rate) {
    this.cancel();
    const capacity = Math.ceil(rate * this.seconds);
    if (this.ring?.length !== capacity) this.ring = new Int16Array(capacity);
    this.utterance = utterance;
    this.step = rate / this.contextRate;
    this.ended = false;
    this.played = 0; // frames at the context's rate
  }

  /** Queue samples behind those already there. What does not fit is dropped and reported as an overflow. */
  push(samples) {
    const room = this.ring.length - this.queued;
    const taken = samples.length > room ? samples.subarray(0, room) : samples;
    const start = (this.read + this.queued) % this.ring.length;
    const first = Math.min(taken.length, this.ring.length - start);
    this.ring.set(taken.subarray(0, first), start);
    this.ring.set(taken.subarray(first), 0);
    this.queued += taken.length;
    if (taken.length < samples.length) this.#report('overflow');
  }

  /** No more samples will come for this utterance. */
  end() {
    this.ended = true;
    if (!this.playing && this.queued === 0) this.#report('finished');
  }

  /** Silence: the next quantum fades what was sounding, everything else is gone. */
  cancel() {
    if (this.playing) {
      this.tail = new Float32Array(Math.min(FADE_FRAMES, this.#available()));
      this.#copy(this.tail);
      this.tail.forEach((sample, i) => { this.tail[i] = sample * (1 - (i + 1) / this.tail.length); });
      this.#report('stopped');
    }
    this.read = 0;
    this.queued = 0;
    this.fraction = 0;
    this.playing = false;
  }

  /** Write the next frames into `out`; silence where there are none. */
  fill(out) {
    out.fill(0);
    const faded = Math.min(this.tail.length, out.length);
    out.set(this.tail.subarray(0, faded));
    this.tail = this.tail.subarray(faded);
    const count = Math.min(out.length - faded, this.#available());
    if (count > 0 && !this.playing) {
      this.playing = true;
      if (this.played === 0) this.#report('started', faded);
    }
    this.#copy(out.subarray(faded, faded + count));
    this.played += count;
    if (this.playing && count < out.length - faded) this.#ranOut();
  }

  /** Everything that happened since the last call: {kind, utterance, played, offset}. */
  takeReports() {
    return this.reports.splice(0);
  }

  #ranOut() {
    this.playing = false;
    this.#report(this.ended ? 'finished' : 'starved');
  }

  /** Frames that can be made of what is queued. The last sample stands for itself: nothing follows it yet. */
  #available() {
    if (this.step === 1) return this.queued;
    return Math.max(0, Math.ceil((this.queued - this.fraction) / this.step));
  }

  /** Move frames out of the ring, by linear interpolation where the rates differ. */
  #copy(out) {
    for (let i = 0; i < out.length; i++) {
      const here = this.ring[this.read];
      const next = this.queued > 1 ? this.ring[(this.read + 1) % this.ring.length] : here;
      out[i] = (here + (next - here) * this.fraction) / 0x8000;
      this.#advance();
    }
  }

  #advance() {
    this.fraction += this.step;
    const whole = Math.min(Math.floor(this.fraction), this.queued);
    this.fraction -= whole;
    this.read = (this.read + whole) % this.ring.length;
    this.queued -= whole;
  }

  #report(kind, offset = 0) {
    this.reports.push({ kind, utterance: this.utterance, played: this.played, offset });
  }
}
