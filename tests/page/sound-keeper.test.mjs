// Sound that the browser takes away: what is decided, and that whatever happens it comes back or the visitor is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ATTEMPTS, decide, SoundKeeper, soundOf, TICK_MS } from '../../orchestrator/server/page/sound-keeper.js';

const FINE = {
  context: 'running', track: 'live', mutedMs: 0, stillMs: 0, visible: true, interrupted: false, attempts: 0, waking: false,
};

test('by what the browser says it is decided what helps, and what the visitor is told', () => {
  const table = [
    [{}, 'keep', 'ok'],
    [{ context: 'suspended' }, 'resume', 'paused'],
    [{ context: 'suspended', waking: true }, 'resume', 'ok'], // a page may begin before the first click
    [{ context: 'interrupted' }, 'resume', 'taken'], // iOS: a call, Siri
    [{ context: 'closed' }, 'rebuild', 'paused'],
    [{ stillMs: 2500 }, 'rebuild', 'taken'], // "running", and no sound comes
    [{ stillMs: 2500, attempts: 1 }, 'reacquire', 'taken'],
    [{ stillMs: 2500, visible: false }, 'keep', 'ok'],
    [{ stillMs: 2500, track: 'none', attempts: 3 }, 'rebuild', 'taken'],
    [{ mutedMs: 500 }, 'keep', 'ok'],
    [{ mutedMs: 1500, interrupted: true }, 'keep', 'taken'],
    [{ interrupted: true }, 'reacquire', 'taken'], // "live, not muted", and silent for ever
    [{ interrupted: true, visible: false }, 'keep', 'ok'],
    [{ track: 'ended' }, 'reacquire', 'taken'],
    [{ track: 'ended', visible: false }, 'keep', 'taken'],
    [{ track: 'ended', attempts: ATTEMPTS }, 'giveUp', 'lost'],
    [{ context: 'closed', attempts: ATTEMPTS }, 'giveUp', 'lost'],
    [{ attempts: ATTEMPTS }, 'keep', 'ok'],
  ];
  for (const [said, action, sound] of table) {
    const seen = { ...FINE, ...said };
    assert.deepEqual([decide(seen), soundOf(seen)], [action, sound], JSON.stringify(said));
  }
});

/** A device and a clock that the test moves. Sound flows where the browser would let it. */
function world({ microphone = true, touch = false } = {}) {
  const here = {
    at: 0, context: 'running', track: microphone ? 'live' : 'none', muted: false, visible: true, clock: 0, flows: true,
    resumable: true, available: true, done: [], told: [], lost: 0, timer: null,
  };
  const side = {
    see: () => ({ context: here.context, track: here.track, muted: here.muted, visible: here.visible, clock: here.clock }),
    resume: () => {
      here.done.push('resume');
      if (here.resumable) here.context = 'running';
    },
    rebuild: async () => {
      here.done.push('rebuild');
      here.context = 'running';
      here.flows = here.rebuildHelps ?? true;
    },
    reacquire: async () => {
      here.done.push('reacquire');
      here.track = 'ended';
      if (!here.available) throw new Error('refused');
      Object.assign(here, { track: 'live', flows: true, muted: false });
      if (here.context === 'closed') here.context = 'running';
    },
    giveUp: () => { here.lost += 1; },
    changed: () => here.told.push(here.keeper.sound),
  };
  here.keeper = new SoundKeeper(side, {
    now: () => here.at,
    setInterval: (action) => { here.timer = action; },
    clearInterval: () => { here.timer = null; },
    touch,
  });
  here.heard = () => here.flows && here.context === 'running' && here.track !== 'ended' && !here.muted;
  here.pass = async (ms) => {
    for (const end = here.at + ms; here.at < end;) {
      here.at += TICK_MS / 5;
      if (here.heard()) here.clock += 1;
      if (here.at % TICK_MS === 0) here.timer?.();
      for (let i = 0; i < 4; i++) await null; // attempts are promises
    }
  };
  return here;
}

test('a context that was suspended for a call of twelve seconds is resumed by itself, and the visitor is told meanwhile', async () => {
  const here = world();
  await here.pass(2000);
  Object.assign(here, { context: 'suspended', resumable: false });
  here.keeper.check();
  await here.pass(12_000);
  assert.equal(here.keeper.sound, 'paused');
  here.resumable = true;
  await here.pass(2500);
  assert.equal(here.keeper.sound, 'ok');
  assert.deepEqual(here.told, ['paused', 'ok']);
});

test('after an interruption the device is asked for anew, whatever its flags say', async () => {
  const here = world();
  await here.pass(2000);
  Object.assign(here, { context: 'interrupted', resumable: false, flows: false });
  here.keeper.check();
  await here.pass(3000);
  assert.equal(here.keeper.sound, 'taken');
  here.context = 'running';
  here.keeper.check();
  await here.pass(100);
  assert.deepEqual(here.done.at(-1), 'reacquire');
  await here.pass(1000);
  assert.equal(here.keeper.sound, 'ok');
  await here.pass(10_000);
  assert.equal(here.done.filter((each) => each === 'reacquire').length, 1);
});

test('a track that was muted is asked for anew when it is no longer', async () => {
  const here = world();
  await here.pass(2000);
  here.muted = true;
  here.keeper.check();
  await here.pass(1500);
  assert.equal(here.keeper.sound, 'taken');
  Object.assign(here, { muted: false, flows: false });
  here.keeper.check();
  await here.pass(1000);
  assert.deepEqual(here.done, ['reacquire']);
  assert.equal(here.keeper.sound, 'ok');
});

test('a track that ended behind the lock screen is asked for when the page is seen again', async () => {
  const here = world();
  await here.pass(2000);
  Object.assign(here, { visible: false, track: 'ended' });
  here.keeper.check();
  await here.pass(60_000);
  assert.deepEqual(here.done, []);
  here.visible = true;
  here.keeper.poke();
  await here.pass(500);
  assert.deepEqual([here.done, here.keeper.sound, here.lost], [['reacquire'], 'ok', 0]);
});

test('a phone that was away for some seconds is not believed that it still listens; a desk is', async () => {
  for (const touch of [true, false]) {
    const here = world({ touch });
    await here.pass(2000);
    here.visible = false;
    here.keeper.check();
    await here.pass(5000);
    here.visible = true;
    here.keeper.check();
    await here.pass(500);
    assert.deepEqual(here.done, touch ? ['reacquire'] : []);
  }
});

test('a clock that stands still is wound up again: a new context first, then the device', async () => {
  const here = world();
  await here.pass(2000);
  Object.assign(here, { flows: false, rebuildHelps: false });
  await here.pass(2600);
  assert.deepEqual(here.done, ['rebuild']);
  await here.pass(3000);
  assert.deepEqual(here.done, ['rebuild', 'reacquire']);
  await here.pass(1000);
  assert.equal(here.keeper.sound, 'ok');
});

test('a microphone that is gone is asked for some times, less and less often, and given up once', async () => {
  const here = world();
  await here.pass(2000);
  Object.assign(here, { track: 'ended', available: false });
  here.keeper.check();
  await here.pass(20_000);
  assert.equal(here.done.length, ATTEMPTS);
  assert.equal(here.lost, 1);
  assert.equal(here.keeper.sound, 'lost');
});

test('a loudspeaker that was given up is tried again when one is connected', async () => {
  const here = world({ microphone: false });
  await here.pass(2000);
  Object.assign(here, { flows: false, rebuildHelps: false });
  await here.pass(40_000);
  assert.equal(here.lost, 1);
  here.rebuildHelps = true;
  here.keeper.poke();
  await here.pass(3000);
  assert.equal(here.keeper.sound, 'ok');
});

test('failures long ago do not count', async () => {
  const here = world();
  await here.pass(2000);
  for (let i = 0; i < 3 * ATTEMPTS; i++) {
    here.track = 'ended';
    here.keeper.check();
    await here.pass(12_000);
    assert.equal(here.keeper.sound, 'ok');
  }
  assert.equal(here.lost, 0);
});

test('a page that stood still itself does not take the sound for dead', async () => {
  const here = world();
  await here.pass(2000);
  here.at += 10_000; // nothing ran: no timer, and no block was seen
  here.timer();
  await here.pass(1000);
  assert.deepEqual(here.done, []);
});

test('an attempt that is never done does not hold up the next', async () => {
  const here = world();
  await here.pass(2000);
  here.keeper.side.reacquire = () => {
    here.done.push('reacquire');
    return new Promise(() => undefined);
  };
  here.track = 'ended';
  here.keeper.check();
  await here.pass(31_000);
  assert.equal(here.done.length, 3);
});

test('a closed keeper does nothing', async () => {
  const here = world();
  here.keeper.close();
  here.context = 'suspended';
  here.keeper.check();
  await here.pass(5000);
  assert.deepEqual(here.done, []);
});

/** Numbers that look random and are the same every time (mulberry32). */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('whatever the browser did: seen, clicked and with a device, the sound is back within five seconds', async () => {
  const happenings = [
    (here) => { here.context = 'suspended'; },
    (here) => { here.context = 'interrupted'; },
    (here) => { here.context = 'closed'; },
    (here) => { here.context = 'running'; },
    (here) => { here.muted = true; },
    (here) => { here.muted = false; },
    (here) => { here.track = here.track === 'none' ? 'none' : 'ended'; },
    (here) => { here.flows = false; },
    (here) => { here.visible = false; },
    (here) => { here.visible = true; },
    (here) => { here.resumable = !here.resumable; },
    (here) => { here.available = !here.available; },
    (here) => { here.keeper.poke(); },
  ];
  for (let seed = 0; seed < 300; seed++) {
    const random = numbers(seed);
    const here = world({ touch: random() < 0.5, microphone: random() < 0.7 });
    const names = [];
    for (let i = 0; i < 12; i++) {
      const which = Math.floor(random() * happenings.length);
      names.push(which);
      happenings[which](here);
      if (random() < 0.5) here.keeper.check(); // some changes are told, some are not
      await here.pass(Math.floor(random() * 8) * TICK_MS);
      const silent = here.visible && !here.heard() && here.track !== 'none';
      if (silent) {
        const before = here.done.length;
        await here.pass(3500);
        const known = here.heard() || here.keeper.sound !== 'ok' || here.done.length > before;
        assert.ok(known, `silent, and nobody says so: seed ${seed}, ${names}`);
      }
    }
    Object.assign(here, { visible: true, resumable: true, available: true, muted: false });
    here.keeper.poke();
    await here.pass(5000);
    assert.ok(here.heard(), `seed ${seed}: ${names}; did ${here.done}`);
    assert.equal(here.keeper.sound, 'ok', `seed ${seed}: ${names}`);
  }
});
