// The state diagram that the server draws from its live machine, with the current state lit.

const PULSE_MS = 900;

/** The page's own row of five rooms, and the server's drawing where it can be had. */
export class Diagram {
  /** `rooms`: elements with data-room; `place`: where the drawing goes, hidden as long as there is none. */
  constructor(rooms, place) {
    this.rooms = [...rooms];
    this.place = place;
    this.lit = [];
    this.state = '';
    this.substate = '';
  }

  /** Fetch the drawing and show it. Without one, the row of rooms is all there is. */
  async load(url) {
    try {
      const response = await fetch(url);
      if (!response.ok) return;
      const svg = drawing(new DOMParser().parseFromString(await response.text(), 'image/svg+xml'));
      if (svg === null) return;
      this.place.replaceChildren(svg);
      this.place.closest('[hidden]')?.removeAttribute('hidden');
      this.light(this.state, this.substate);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch's way to say that the network failed
    }
  }

  /** Show where the conversation is; '' for nowhere. */
  light(state, substate) {
    const entered = [];
    if (state !== this.state) entered.push(...this.#elements(state, ''));
    if (state !== this.state || substate !== this.substate) entered.push(...this.#elements('', substate));
    this.state = state;
    this.substate = substate;
    for (const element of this.lit) element.classList.remove('active');
    this.lit = this.#elements(state, substate);
    for (const element of this.lit) element.classList.add('active');
    for (const room of this.rooms) room.setAttribute('aria-current', room.dataset.room === state ? 'step' : 'false');
    entered.forEach(pulse);
  }

  #elements(state, substate) {
    const ids = [state && `state-${state}`, substate && `substate-${substate}`].filter(Boolean);
    const drawn = ids.map((id) => this.place.querySelector(`#${CSS.escape(id)}`)).filter(Boolean);
    return [...this.rooms.filter((room) => room.dataset.room === state), ...drawn];
  }
}

/** The drawing as an element of this page; null if it is not a drawing. It brings its own styles, all under its class. */
function drawing(parsed) {
  const svg = parsed.documentElement;
  if (svg.localName !== 'svg' || parsed.querySelector('parsererror')) return null;
  svg.setAttribute('aria-label', 'State diagram of the conversation');
  return document.importNode(svg, true);
}

function pulse(element) {
  element.classList.remove('visited');
  void element.getBoundingClientRect(); // lets the animation begin again
  element.classList.add('visited');
  clearTimeout(element.pulse);
  element.pulse = setTimeout(() => element.classList.remove('visited'), PULSE_MS);
}
