// When the caller was last heard: a gate on the microphone's loudness that follows the room's noise.

const QUIETEST = 0.006; // rms of a full scale of 1: below this nothing counts as sound
const ABOVE_NOISE = 3.5; // how much louder than the room (about 11 dB)
const FALL = 0.3; // how fast the noise estimate follows a quieter block
const RISE = 0.005; // and a louder one

export class LastSound {
  constructor() {
    this.noise = QUIETEST / ABOVE_NOISE;
    this.at = null;
  }

  /** Take the loudness of the block that ended at `atMs`; says whether it counts as sound. */
  take(rms, atMs) {
    const sounding = rms > Math.max(QUIETEST, this.noise * ABOVE_NOISE);
    this.noise += (rms - this.noise) * (rms < this.noise ? FALL : RISE);
    if (sounding) this.at = atMs;
    return sounding;
  }
}
