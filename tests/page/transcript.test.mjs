// The transcript's items.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TranscriptView } from '../../orchestrator/server/page/transcript-view.js';

/** As much of an element as the view uses. */
class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], scrollHeight: 0, scrollTop: 0, clientHeight: 0 });
  }

  append(...more) {
    this.children.push(...more);
  }

  replaceChildren(...others) {
    this.children = others;
  }
}

test('what was said has the direction of its own letters and not the language of the page', () => {
  globalThis.document = { createElement: (tag) => new Element(tag) };
  const list = new Element('ol');
  new TranscriptView(list).show([
    { key: 1, who: 'caller', understood: true, interim: true, text: 'שלום. מה שלומך?' },
    { key: 2, who: 'agent', text: 'مرحبا.', unheard: 'كيف حالك؟' },
    { key: 3, who: 'caller', understood: false },
    { key: 4, who: 'note', text: 'The call began.' },
  ]);
  const parts = list.children.flatMap((item) => item.children);
  const spoken = parts.filter(({ dir }) => dir === 'auto');
  assert.deepEqual(spoken.map(({ textContent }) => textContent), ['שלום. מה שלומך?', 'مرحبا.', 'كيف حالك؟']);
  assert.ok(spoken.every(({ lang }) => lang === ''));
  assert.ok(parts.filter((part) => !spoken.includes(part)).every(({ lang }) => lang === undefined));
});
