// Int16 little-endian mono PCM, and how loud it is. Used inside the audio worklets and outside.

/** Write samples from -1 to 1 as Int16LE into `view` from byte `offset` on; louder ones are clipped, not wrapped. */
export function writeInt16(view, offset, samples) {
  for (let i = 0; i < samples.length; i++) {
    const sample = Math.max(-1, Math.min(1, samples[i]));
    view.setInt16(offset + i * 2, Math.round(sample < 0 ? sample * 0x8000 : sample * 0x7fff), true);
  }
}

/** The samples in bytes of Int16LE, as Int16Array. An odd last byte is dropped. */
export function readInt16(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples = new Int16Array(bytes.byteLength >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(i * 2, true);
  return samples;
}

/** Collects samples into blocks of a fixed length. */
export class Blocks {
  /** `length` in samples; `deliver(bytes, rms)` gets each full block as an ArrayBuffer of Int16LE and its loudness. */
  constructor(length, deliver) {
    this.length = length;
    this.deliver = deliver;
    this.#begin();
  }

  add(samples) {
    let from = 0;
    while (from < samples.length) {
      const part = samples.subarray(from, from + this.length - this.filled);
      writeInt16(this.view, this.filled * 2, part);
      for (const sample of part) this.energy += sample * sample;
      this.filled += part.length;
      from += part.length;
      if (this.filled === this.length) this.#flush();
    }
  }

  #flush() {
    this.deliver(this.view.buffer, Math.sqrt(this.energy / this.length));
    this.#begin();
  }

  #begin() {
    this.view = new DataView(new ArrayBuffer(this.length * 2));
    this.filled = 0;
    this.energy = 0;
  }
}

const HALF_WIDTH = 16; // of the filter, in periods of the lower rate
const PASSED = 0.9; // of the lower rate's half: what is above is filtered away, and does not come back as something else

/** Brings samples to another rate, through a low-pass filter (a sinc under Hann's window). */
export class Resampler {
  /** From and to whole Hz. */
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.up = to / divisor; // the output has a sample at every `down`-th of `up` places between two of the input
    this.down = from / divisor;
    const lower = Math.min(1, to / from);
    this.reach = Math.ceil(HALF_WIDTH / lower); // samples of the input on each side
    this.filters = Array.from({ length: this.up }, (_, place) => this.#filter(place / this.up, lower * PASSED));
    this.place = 0;
    this.kept = new Float32Array(2 * this.reach); // the filter reaches back before the first sample: silence
  }

  /** The samples that can be made now, for those of the input; the filter holds back `reach` of them. */
  take(samples) {
    const input = new Float32Array(this.kept.length + samples.length);
    input.set(this.kept);
    input.set(samples, this.kept.length);
    const made = [];
    let at = 0;
    while (at + 2 * this.reach < input.length) {
      const filter = this.filters[this.place];
      let sum = 0;
      for (let tap = 0; tap < filter.length; tap++) sum += filter[tap] * input[at + tap];
      made.push(sum);
      this.place += this.down;
      at += Math.floor(this.place / this.up);
      this.place %= this.up;
    }
    this.kept = input.slice(at);
    return Float32Array.from(made);
  }

  /** The weights of the input's samples around a place from 0 to 1 between two of them. */
  #filter(place, passed) {
    const weights = Float32Array.from({ length: 2 * this.reach + 1 }, (_, tap) => {
      const x = tap - this.reach - place;
      const window = Math.abs(x) >= this.reach ? 0 : (1 + Math.cos((Math.PI * x) / this.reach)) / 2;
      return window * (x === 0 ? passed : Math.sin(Math.PI * passed * x) / (Math.PI * x));
    });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  }
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
