// Where the page has its token from, which the server asks for if it has keys.
//
// `#token=…` behind the page's address is the token of every connection. `#token=ask`, for a page in a frame: before each
// connection the page around it is sent {type: 'vantum.token.wanted'}, and answers {type: 'vantum.token', token: '…'}.

const ASK = 'ask';
const KEPT = 'vantum.token'; // in the tab's own storage: a reload is no reason to ask again
const PATIENCE_MS = 10_000; // for the page around, which must ask its own server

/** `world` is what the browser gives: location, history, sessionStorage, parent, window, setTimeout, clearTimeout. */
export class Tokens {
  constructor(world) {
    this.world = world;
    const given = new URLSearchParams(world.location.hash.slice(1)).get('token');
    if (given) this.#keep(given);
    this.token = given || this.#kept();
  }

  /** The token for the next connection, or a promise of it; '' without one. */
  next() {
    return this.token === ASK ? this.#ask() : this.token;
  }

  /** Out of the address, where anybody may read it who looks over a shoulder, and into the tab. */
  #keep(token) {
    const { history, location } = this.world;
    history.replaceState(null, '', location.pathname + location.search);
    try {
      this.world.sessionStorage.setItem(KEPT, token);
    } catch {
      // The browser keeps nothing for pages: after a reload there is no token.
    }
  }

  #kept() {
    try {
      return this.world.sessionStorage.getItem(KEPT) ?? '';
    } catch {
      return '';
    }
  }

  #ask() {
    const { window, parent, setTimeout, clearTimeout } = this.world;
    return new Promise((resolve) => {
      const settle = (token) => {
        clearTimeout(timer);
        window.removeEventListener('message', take);
        resolve(token);
      };
      const take = ({ source, data }) => {
        if (source === parent && data?.type === 'vantum.token' && typeof data.token === 'string') settle(data.token);
      };
      const timer = setTimeout(() => settle(''), PATIENCE_MS);
      window.addEventListener('message', take);
      parent.postMessage({ type: 'vantum.token.wanted' }, '*'); // no secret: it only asks
    });
  }
}
