// The transcript as list items, changed in place as the conversation goes on.

import { spell, split } from './latency.js';

const SPOKEN = /^(?:said(?: interim)?|unheard)$/;

export class TranscriptView {
  constructor(list) {
    this.list = list;
    this.items = new Map();
  }

  show(entries) {
    const scroller = this.list;
    const following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
    const kept = new Set(entries.map(({ key }) => key));
    for (const [key, item] of this.items) {
      if (!kept.has(key)) {
        item.remove();
        this.items.delete(key);
      }
    }
    for (const entry of entries) this.#show(entry);
    if (following) scroller.scrollTop = scroller.scrollHeight;
  }

  #show(entry) {
    let item = this.items.get(entry.key);
    if (!item) {
      item = document.createElement('li');
      this.items.set(entry.key, item);
      this.list.append(item);
    }
    const content = describe(entry);
    const drawn = JSON.stringify(content);
    if (item.drawn === drawn) return;
    item.drawn = drawn;
    item.className = `entry ${entry.who}`;
    item.replaceChildren(...content.map(([tag, className, text]) => {
      const element = document.createElement(tag);
      element.className = className;
      element.textContent = text;
      if (SPOKEN.test(className)) {
        // What was said may be in any language, of which the server says nothing, and not in the page's.
        element.dir = 'auto';
        element.lang = '';
      }
      return element;
    }));
  }
}

/** The parts of an entry: [tag, class, text]. */
function describe(entry) {
  if (entry.who === 'note') return [['p', 'note', entry.text]];
  if (entry.who === 'caller') {
    if (!entry.understood) return [['span', 'who', 'You'], ['p', 'said none', 'not understood']];
    return [['span', 'who', 'You'], ['p', entry.interim ? 'said interim' : 'said', entry.text]];
  }
  const parts = [['span', 'who', 'Vantum']];
  if (entry.text !== '') parts.push(['p', 'said', entry.text]);
  else if (entry.unheard === '') parts.push(['p', 'said waiting', '…']);
  if (entry.unheard !== '') parts.push(['span', 'label', 'not heard'], ['del', 'unheard', entry.unheard]);
  const took = split(entry.latency);
  if (took !== null) parts.push(['span', 'took', `answered in ${spell(took.totalMs)}`]);
  return parts;
}
