// The link to the server, against a socket and a clock that the test moves by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backOff, Connection, MAX_ATTEMPTS, RequestError } from '../../orchestrator/server/page/connection.js';
import { decode, encode } from '../../orchestrator/server/page/vendor/msgpack/index.mjs';

/** A world with a clock of its own; `sockets` are those that were opened, `said` the statuses. */
function world() {
  const here = { at: 0, asleep: 0, timers: [], sockets: [], said: [], messages: [], why: [], token: '' };
  class Socket {
    constructor(url, protocols) {
      Object.assign(this, { url, protocols, sent: [], bufferedAmount: 0, closedWith: null });
      here.sockets.push(this);
    }
    send(bytes) { this.sent.push(decode(bytes)); }
    close(code) { this.closedWith = code; }
    say(eventType, payload, more = {}) {
      this.onmessage({ data: encode({ eventType, eventId: 'e', sessionId: 's1', payload, ...more }) });
    }
    welcome(sessionId = 's1') { this.say('connection.lifecycle.ack', { success: true, sessionId }, { sessionId }); }
    drop(code = 1006, reason = '') { this.onclose({ code, reason }); }
  }
  here.pass = (ms) => {
    const end = here.at + ms;
    for (;;) {
      const next = here.timers.filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (!next) break;
      here.timers.splice(here.timers.indexOf(next), 1);
      here.at = next.due;
      next.action();
    }
    here.at = end;
  };
  here.connection = new Connection('ws://x/ws', {
    status: (status, more) => {
      here.said.push([status, more.sessionId]);
      here.why.push(more.why);
    },
    message: (message) => here.messages.push(message.eventType),
  }, {
    WebSocket: Socket,
    setTimeout: (action, ms) => {
      const timer = { due: here.at + ms, action };
      here.timers.push(timer);
      return timer;
    },
    clearTimeout: (timer) => {
      const index = here.timers.indexOf(timer);
      if (index >= 0) here.timers.splice(index, 1);
    },
    wall: () => here.at + here.asleep,
    random: () => 0.5,
    token: () => here.token,
  });
  here.beats = () => here.last().sent.filter(({ eventType }) => eventType === 'connection.lifecycle.heartbeat');
  here.echo = () => {
    const { eventId, payload } = here.beats().at(-1);
    here.last().say('connection.lifecycle.heartbeat', payload, { eventId });
  };
  here.connection.connect();
  here.last = () => here.sockets.at(-1);
  return here;
}

test('it offers the subprotocol, and is connected when the server has named the session', () => {
  const here = world();
  assert.deepEqual(here.last().protocols, ['vantum.v2']);
  assert.deepEqual(here.said, [['connecting', '']]);
  assert.equal(here.connection.send('audio.input.stop', {}), null);
  here.last().welcome();
  assert.deepEqual(here.said.at(-1), ['connected', 's1']);
  here.connection.send('audio.input.stop', {});
  assert.equal(here.last().sent[0].sessionId, 's1');
});

test('it offers its token beside the subprotocol, and waits for one that must be asked for', async () => {
  const here = world();
  here.token = 'a.b.c';
  here.connection.connect();
  assert.deepEqual(here.last().protocols, ['vantum.v2', 'vantum.token.a.b.c']);
  let give;
  here.token = new Promise((resolve) => { give = resolve; });
  here.connection.connect();
  const before = here.sockets.length;
  give('d.e.f');
  await here.token;
  assert.equal(here.sockets.length, before + 1);
  assert.deepEqual(here.last().protocols, ['vantum.v2', 'vantum.token.d.e.f']);
});

test('a token that comes after the call was given up opens no socket', async () => {
  const here = world();
  let give;
  here.token = new Promise((resolve) => { give = resolve; });
  here.connection.connect();
  here.connection.end('user.action.end_call', {});
  const before = here.sockets.length;
  give('a.b.c');
  await here.token;
  assert.equal(here.sockets.length, before);
});

test('a server that wants a token is not called again, and says why', () => {
  const here = world();
  here.last().drop(4401, 'a key or token is needed');
  assert.deepEqual(here.said.at(-1), ['error', '']);
  assert.equal(here.why.at(-1), 'a key or token is needed');
});

test('a socket that is closing is sent nothing', async () => {
  const here = world();
  here.last().welcome();
  here.last().readyState = 2;
  assert.equal(here.connection.send('audio.input.chunk', {}), null);
  assert.equal(here.connection.sendIfRoom('audio.input.chunk', {}), false);
  await assert.rejects(here.connection.request('audio.input.stop', {}), RequestError);
  assert.deepEqual(here.last().sent, []);
});

test('a request is settled by the ack with its id', async () => {
  const here = world();
  here.last().welcome();
  const request = here.connection.request('audio.input.start', {});
  here.last().say('audio.input.start', { success: true }, { eventId: here.last().sent[0].eventId });
  await request;
  assert.deepEqual(here.messages, []);
});

test('a request is refused by an error with its id, which is shown as well', async () => {
  const here = world();
  here.last().welcome();
  const request = here.connection.request('audio.input.start', {});
  here.last().say('audio.error.unsupported_rate', { error: { message: 'too slow' } }, { eventId: here.last().sent[0].eventId });
  await assert.rejects(request, new RequestError('too slow'));
  assert.deepEqual(here.messages, ['audio.error.unsupported_rate']);
});

test('a request that is never confirmed fails, and so does one whose link is lost', async () => {
  const here = world();
  here.last().welcome();
  const unanswered = here.connection.request('audio.input.start', {});
  here.pass(15_000);
  await assert.rejects(unanswered, RequestError);
  const lost = here.connection.request('audio.input.stop', {});
  here.last().drop();
  await assert.rejects(lost, RequestError);
  await assert.rejects(here.connection.request('audio.input.stop', {}), RequestError);
});

test('a lost link is tried again, later each time, until it is given up', () => {
  const here = world();
  const waits = [];
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    here.last().drop();
    assert.equal(here.said.at(-1)[0], 'reconnecting');
    waits.push(here.timers[0].due - here.at);
    here.pass(waits.at(-1));
    assert.equal(here.sockets.length, attempt + 2);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 10000, 10000, 10000]);
  here.last().drop();
  assert.equal(here.said.at(-1)[0], 'error');
  assert.deepEqual(here.timers, []);
});

test('the pause before another attempt is spread by a fifth', () => {
  assert.equal(backOff(0, 0), 400);
  assert.equal(Math.round(backOff(0, 1)), 600);
  assert.equal(Math.round(backOff(99, 1)), 12000);
});

test('a reconnection gets the new session, and an old socket is not listened to', () => {
  const here = world();
  const [first] = here.sockets;
  first.welcome();
  first.drop();
  here.pass(500);
  here.last().welcome('s2');
  assert.deepEqual(here.said.at(-1), ['connected', 's2']);
  first.say('some.event', {});
  first.drop();
  assert.deepEqual(here.messages, []);
  assert.deepEqual(here.said.at(-1), ['connected', 's2']);
});

test('a server that accepts and drops at once is not hammered', () => {
  const here = world();
  here.last().welcome();
  here.last().drop(1013, 'at capacity');
  here.pass(500);
  here.last().welcome();
  here.last().drop(1013, 'at capacity');
  here.pass(999);
  assert.equal(here.sockets.length, 2);
  here.pass(1);
  assert.equal(here.sockets.length, 3);
});

test('a normal close ends it, a refusal is an error, and neither is tried again', () => {
  for (const [code, status] of [[1000, 'disconnected'], [1008, 'error']]) {
    const here = world();
    here.last().welcome();
    here.last().drop(code, 'because');
    assert.equal(here.said.at(-1)[0], status);
    here.pass(60_000);
    assert.equal(here.sockets.length, 1);
  }
});

test('a server that accepts and says nothing is left', () => {
  const here = world();
  here.pass(15_000);
  assert.equal(here.said.at(-1)[0], 'reconnecting');
  assert.equal(here.sockets[0].closedWith, 1000);
});

test('a farewell is sent, and the socket closed if the server does not', () => {
  const here = world();
  here.last().welcome();
  here.connection.end('user.action.end_call', { reason: 'x' });
  assert.equal(here.last().sent[0].eventType, 'user.action.end_call');
  here.pass(3000);
  assert.equal(here.last().closedWith, 1000);
  assert.equal(here.said.at(-1)[0], 'disconnected');
});

test('ending while reconnecting stops the attempts', () => {
  const here = world();
  here.last().drop();
  here.connection.end('user.action.end_call', {});
  here.pass(60_000);
  assert.equal(here.sockets.length, 1);
  assert.equal(here.said.at(-1)[0], 'disconnected');
});

// --- is the server still there? ------------------------------------------------------------------------------

test('a heartbeat that is not answered is sent once more, and then the server is left', () => {
  const here = world();
  here.last().welcome();
  here.pass(15_000);
  assert.equal(here.beats().length, 1);
  here.echo();
  here.pass(10_000 + 15_000);
  assert.equal(here.beats().length, 2);
  here.pass(10_000);
  assert.equal(here.beats().length, 3);
  assert.equal(here.said.at(-1)[0], 'connected');
  here.pass(5000);
  assert.equal(here.said.at(-1)[0], 'reconnecting');
});

test('whatever is said after a heartbeat is a sign of life', () => {
  const here = world();
  here.last().welcome();
  for (let i = 0; i < 20; i++) {
    here.pass(12_000);
    here.last().say('conversation.state.changed', {});
  }
  assert.equal(here.said.at(-1)[0], 'connected');
});

/** Let the browser fire the next timer late, by so many ms of the day: it slowed the page down, or slept. */
function late(here, ms) {
  const next = Math.min(...here.timers.map(({ due }) => due));
  here.asleep += ms;
  here.pass(next - here.at);
}

test('a page whose timers come once a minute keeps a quiet call', () => {
  const here = world();
  here.last().welcome();
  here.pass(5000);
  for (let minute = 0; minute < 10; minute++) {
    const before = here.beats().length;
    late(here, 50_000);
    if (here.beats().length > before) here.echo(); // messages come in time, only timers do not
  }
  assert.equal(here.said.at(-1)[0], 'connected');
  assert.ok(here.beats().length >= 4);
});

test('after the lid was shut for an hour the server is asked soon, and left if it is gone', () => {
  const here = world();
  here.last().welcome();
  here.pass(5000);
  late(here, 3_600_000);
  assert.equal(here.beats().length, 1);
  here.pass(5000);
  assert.equal(here.said.at(-1)[0], 'reconnecting');
});

test('sleep between a heartbeat and its answer is not the silence of the server', () => {
  const here = world();
  here.last().welcome();
  here.pass(15_000);
  late(here, 3_600_000);
  assert.equal(here.said.at(-1)[0], 'connected');
  here.echo();
  here.pass(30_000);
  assert.equal(here.said.at(-1)[0], 'connected');
});

test('a visitor who comes back to a dead line is connected again within seconds', () => {
  const here = world();
  here.last().welcome();
  here.pass(6000);
  here.connection.probe();
  here.pass(4999);
  assert.equal(here.said.at(-1)[0], 'connected');
  here.pass(1);
  assert.equal(here.said.at(-1)[0], 'reconnecting');
});

test('a visitor who comes back to a living line notices nothing', () => {
  const here = world();
  here.last().welcome();
  here.pass(6000);
  here.connection.probe();
  here.echo();
  here.connection.probe();
  here.echo();
  here.pass(14_000);
  assert.deepEqual(here.said.map(([status]) => status), ['connecting', 'connected']);
});

test('a socket that hangs while it connects is replaced when the visitor comes back, a young one is not', () => {
  const here = world();
  here.pass(2000);
  here.connection.probe();
  assert.equal(here.sockets.length, 1);
  here.pass(2000);
  here.connection.probe();
  assert.equal(here.sockets.length, 2);
  assert.equal(here.sockets[0].closedWith, 1000);
});

test('a page that goes away hangs up at once', () => {
  const here = world();
  here.last().welcome();
  here.connection.leave('user.action.end_call', { reason: 'page_left' });
  assert.deepEqual(here.last().sent.at(-1).payload, { reason: 'page_left' });
  assert.equal(here.last().closedWith, 1000);
  assert.equal(here.said.at(-1)[0], 'disconnected');
  assert.deepEqual(here.timers, []);
});

// --- who is called again ---------------------------------------------------------------------------------------

test('by its code a close is the end, an error, or a reason to call again', () => {
  const expected = {
    1000: 'disconnected', 1001: 'reconnecting', 1002: 'error', 1003: 'error', 1006: 'reconnecting', 1007: 'error',
    1008: 'error', 1009: 'error', 1011: 'reconnecting', 1012: 'reconnecting', 1013: 'reconnecting', 4000: 'reconnecting',
  };
  for (const [code, status] of Object.entries(expected)) {
    const here = world();
    here.last().welcome();
    here.last().drop(Number(code), 'because');
    assert.equal(here.said.at(-1)[0], status, code);
  }
});

test('a fault of the server is called again after once, not twice', () => {
  const here = world();
  here.last().welcome();
  here.last().drop(1011, 'internal error');
  here.pass(500);
  here.last().welcome('s2');
  here.pass(60_000);
  here.last().drop(1011, 'internal error');
  assert.equal(here.said.at(-1)[0], 'error');
  assert.match(here.why.at(-1), /error inside the server/);
});

test('after a goodbye nobody is called again, however the line then ends', () => {
  for (const code of [1000, 1001, 1006, 1011]) {
    const here = world();
    here.last().welcome();
    here.last().say('connection.lifecycle.disconnect', { reason: 'idle', code: 1000 });
    here.last().drop(code);
    assert.deepEqual([here.said.at(-1)[0], here.why.at(-1)], ['disconnected', 'idle']);
    here.pass(60_000);
    assert.equal(here.sockets.length, 1);
  }
});

test('a server that hangs up without a goodbye is called again', () => {
  const here = world();
  here.last().welcome();
  here.last().say('connection.lifecycle.disconnect', { reason: 'shutdown', code: 1001 });
  here.last().drop(1001, 'shutdown');
  assert.equal(here.said.at(-1)[0], 'reconnecting');
});

test('a busy server is called again when it asks for that', () => {
  const here = world();
  here.last().welcome();
  here.last().drop(1013, 'busy; retry=10000');
  here.pass(9999);
  assert.equal(here.sockets.length, 1);
  here.pass(1);
  assert.equal(here.sockets.length, 2);
});

// --- whatever happens --------------------------------------------------------------------------------------------

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

test('whatever happens: one socket at most, nothing goes on after the end, and a server that answers is reached', () => {
  const codes = [1000, 1001, 1006, 1008, 1009, 1011, 1012, 1013, 4999];
  for (let seed = 0; seed < 500; seed++) {
    const random = numbers(seed);
    const pick = (list) => list[Math.floor(random() * list.length)];
    const here = world();
    const open = () => here.sockets.filter(({ closedWith }) => closedWith === null);
    const happenings = [
      () => open()[0]?.welcome(`s${seed}`),
      () => {
        const [socket] = open();
        if (socket) Object.assign(socket, { closedWith: 0 }).drop(pick(codes), pick(['', 'idle', 'busy; retry=10000']));
      },
      () => open()[0]?.say('connection.lifecycle.disconnect', { reason: 'idle', code: pick([1000, 1001, 1011]) }),
      () => here.connection.probe(),
      () => here.connection.retryNow(),
      () => { if (here.timers.length > 0) late(here, random() * 100_000); },
      () => here.pass(random() * 20_000),
      () => here.connection.request('audio.input.start', {}).catch(() => undefined),
      () => here.connection.end('user.action.end_call', {}),
      () => here.connection.leave('user.action.end_call', {}),
    ];
    for (let step = 0; step < 20; step++) {
      pick(happenings)();
      assert.ok(open().length <= 1, `seed ${seed}`);
      const [status] = here.said.at(-1);
      if (status === 'disconnected' || status === 'error') {
        assert.deepEqual([here.timers.length, open().length], [0, 0], `seed ${seed}: ${status}`);
        break;
      }
    }
    here.connection.connect();
    for (let second = 0; second < 60; second++) {
      here.pass(1000);
      if (here.connection.status !== 'connected') here.last().welcome('s');
      if (here.beats().length > 0) here.echo();
    }
    assert.equal(here.connection.status, 'connected', `seed ${seed}`);
  }
});

test('audio is not piled up on a network that cannot keep up', () => {
  const here = world();
  here.last().welcome();
  assert.ok(here.connection.sendIfRoom('audio.input.chunk', { audio: new Uint8Array(2) }));
  here.last().bufferedAmount = 2 ** 21;
  assert.ok(!here.connection.sendIfRoom('audio.input.chunk', { audio: new Uint8Array(2) }));
});

test('the network coming back hurries a waiting attempt', () => {
  const here = world();
  here.last().drop();
  here.connection.retryNow();
  assert.equal(here.sockets.length, 2);
});
