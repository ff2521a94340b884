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
