// The microphone's loudness as it was over the last two seconds.

const BARS = 64; // of 32 ms each
const LOWEST_DB = -60;
const SPOKEN_EVERY_MS = 500; // how often a screen reader's value changes

export class LevelView {
  constructor(canvas) {
    this.canvas = canvas;
    this.levels = new Array(BARS).fill(0);
    this.still = matchMedia('(prefers-reduced-motion: reduce)');
    this.spokenAt = 0;
    this.due = false;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  /** Take the loudness (rms of a full scale of 1) of one block; `sent` tells whether the server gets it. */
  take(rms, sent) {
    const level = Math.min(1, Math.max(0, 1 - (20 * Math.log10(rms + 1e-6)) / LOWEST_DB));
    this.levels.push(sent ? level : -level);
    this.levels.shift();
    const now = performance.now();
    if (now - this.spokenAt > SPOKEN_EVERY_MS) {
      this.spokenAt = now;
      this.canvas.setAttribute('aria-valuenow', String(Math.round(level * 100)));
    }
    this.#later();
  }

  clear() {
    this.levels.fill(0);
    this.canvas.setAttribute('aria-valuenow', '0');
    this.#later();
  }

  #later() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.#draw();
    });
  }

  #draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (width === 0 || height === 0) return;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const pen = canvas.getContext('2d');
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const colours = { sent: style.color, idle: style.getPropertyValue('--level-idle') };
    if (this.still.matches) this.#bar(pen, width, height, colours);
    else this.#history(pen, width, height, colours);
  }

  /** Newest at the right, mirrored about the middle. */
  #history(pen, width, height, { sent, idle }) {
    const pitch = width / BARS;
    const thick = Math.max(1, pitch * 0.5);
    this.levels.forEach((level, i) => {
      const tall = Math.max(thick, Math.abs(level) * height * 0.94);
      pen.fillStyle = level > 0 ? sent : idle;
      pen.beginPath();
      pen.roundRect(i * pitch + (pitch - thick) / 2, (height - tall) / 2, thick, tall, thick / 2);
      pen.fill();
    });
  }

  /** For those who asked for less motion: one bar, nothing that runs across the page. */
  #bar(pen, width, height, { sent, idle }) {
    const level = this.levels.at(-1);
    const thick = Math.min(height, 10 * (devicePixelRatio || 1));
    for (const [colour, length] of [[idle, width], [level > 0 ? sent : idle, Math.abs(level) * width]]) {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.roundRect(0, (height - thick) / 2, length, thick, thick / 2);
      pen.fill();
    }
  }
}
