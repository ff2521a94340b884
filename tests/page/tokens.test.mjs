// Where the page has its token from.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tokens } from '../../orchestrator/server/page/tokens.js';

/** A browser's tab with this address; `kept` is its own storage, and `asked` what the page around was told. */
function tab(hash, kept = new Map()) {
  const here = { kept, asked: [], listeners: new Set(), shown: `/agent/?a=1${hash}`, timers: [] };
  const parent = { postMessage: (message, to) => here.asked.push([message, to]) };
  here.say = (data, source = parent) => [...here.listeners].forEach((listen) => listen({ data, source }));
  here.tokens = new Tokens({
    parent,
    location: { hash, pathname: '/agent/', search: '?a=1' },
    history: { replaceState: (state, title, address) => { here.shown = address; } },
    sessionStorage: { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) },
    window: {
      addEventListener: (name, listen) => here.listeners.add(listen),
      removeEventListener: (name, listen) => here.listeners.delete(listen),
    },
    setTimeout: (action) => here.timers.push(action),
    clearTimeout: () => {},
  });
  return here;
}

test('without a token there is none, and nobody is asked', () => {
  const here = tab('');
  assert.equal(here.tokens.next(), '');
  assert.deepEqual(here.asked, []);
});

test('a token behind the address is taken out of it, and is there after a reload', () => {
  const here = tab('#token=a.b.c');
  assert.equal(here.tokens.next(), 'a.b.c');
  assert.equal(here.shown, '/agent/?a=1');
  assert.equal(tab('', here.kept).tokens.next(), 'a.b.c');
});

test('a page in a frame asks the one around it, each time, and believes nobody else', async () => {
  const here = tab('#token=ask');
  const first = here.tokens.next();
  assert.deepEqual(here.asked, [[{ type: 'vantum.token.wanted' }, '*']]);
  here.say({ type: 'vantum.token', token: 'evil' }, {});
  here.say({ type: 'something else' });
  here.say({ type: 'vantum.token', token: 'd.e.f' });
  assert.equal(await first, 'd.e.f');
  assert.equal(here.listeners.size, 0);
  const second = here.tokens.next();
  here.say({ type: 'vantum.token', token: 'g.h.i' });
  assert.equal(await second, 'g.h.i');
});

test('a page around it that does not answer is not waited for without end', async () => {
  const here = tab('#token=ask');
  const token = here.tokens.next();
  here.timers.forEach((action) => action());
  assert.equal(await token, '');
});

test('a browser that keeps nothing for pages has its token until the reload', () => {
  const tokens = new Tokens({
    location: { hash: '#token=a.b.c', pathname: '/', search: '' },
    history: { replaceState: () => {} },
    get sessionStorage() { throw new Error('denied'); },
  });
  assert.equal(tokens.next(), 'a.b.c');
});
