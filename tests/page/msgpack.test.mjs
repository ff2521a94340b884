// How the page uses MessagePack: what its frames hold, what it reads from a frame, and which frames it drops.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInt16 } from '../../orchestrator/server/page/pcm.js';
import { ExtData } from '../../orchestrator/server/page/vendor/msgpack/index.mjs';
import { frame, read } from '../../orchestrator/server/page/wire.js';

const bytes = (hex) => Uint8Array.from(hex.trim().split(/\s+/), (byte) => parseInt(byte, 16));
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

const ENVELOPE = '82 a9 65 76 65 6e 74 54 79 70 65 a1 78 a7 70 61 79 6c 6f 61 64 81 a1 76'; // {eventType: 'x', payload: {v:
const MALFORMED = ['c1', 'a3 61', '92 01', '81 a1 61', 'cd 01', 'c4 05 01', 'd6 05 01', 'dd ff ff ff ff', 'd5 ff 00 00'];

/** The value whose bytes stand in a frame for `v`. */
const valueOf = (written) => read(bytes(`${ENVELOPE} ${written}`)).payload.v;
/** The bytes that a value `v` has in a frame. */
const written = (value) => hex(frame('x', 'e', null, { v: value })).split('81 a1 76 ')[1];

test('an envelope is one map, and what is absent is left out', () => {
  assert.equal(hex(frame('x', 'e', null, { a: undefined, b: null })),
    '83 a9 65 76 65 6e 74 54 79 70 65 a1 78 a7 65 76 65 6e 74 49 64 a1 65 a7 70 61 79 6c 6f 61 64 81 a1 62 c0');
});

const WRITTEN = [
  ['00', 0],
  ['cd 3e 80', 16000],
  ['ce ff ff ff ff', 4294967295],
  ['d2 80 00 00 00', -2147483648],
  ['cb 41 f0 00 00 00 00 00 00', 4294967296],
  ['cb c1 e0 00 00 00 20 00 00', -2147483649],
  ['cb 42 79 c9 75 2e 78 70 00', 1772065318791],
  ['cb 42 79 c9 75 2e 78 78 00', 1772065318791.5],
  ['c3', true],
  ['a5 c3 a4 e2 82 ac', 'ä€'],
  ['c4 03 01 80 ff', Uint8Array.of(1, 128, 255)],
];

for (const [expected, value] of WRITTEN) {
  test(`${JSON.stringify(value)} is sent as ${expected}, and read again`, () => {
    assert.equal(written(value), expected);
    assert.deepEqual(valueOf(expected), value);
  });
}

test('audio is sent as binary, also when it is a part of a longer buffer', () => {
  const samples = Int16Array.of(1, -1, 2);
  assert.equal(written(new Uint8Array(samples.buffer)), 'c4 06 01 00 ff ff 02 00');
  assert.equal(written(new Uint8Array(samples.buffer, 2, 2)), 'c4 02 ff ff');
});

test('a second of audio is sent and read whole', () => {
  const audio = Uint8Array.from({ length: 96000 }, (_, i) => i % 251);
  assert.deepEqual(read(frame('audio.input.chunk', 'e', 's', { audio })).payload.audio, audio);
});

test('audio that is read gives its samples, wherever it lies in its frame', () => {
  for (const pad of ['', 'a', 'ab']) {
    const { audio } = read(frame('x', 'e', 's', { pad, audio: Uint8Array.of(1, 0, 255, 255) })).payload;
    assert.ok(audio instanceof Uint8Array);
    assert.deepEqual(readInt16(audio), Int16Array.of(1, -1));
  }
});

const READ = [
  ['integers of 64 bits are numbers', 'cf 00 00 01 8d a0 00 00 00', 1707786371072],
  ['negative ones too', 'd3 ff ff ff ff ff ff ff fe', -2],
  ['those too large for a number are the nearest', 'cf ff ff ff ff ff ff ff ff', 2 ** 64],
  ['float32', 'ca 3f c0 00 00', 1.5],
  ['longer headers than are needed', 'db 00 00 00 01 61', 'a'],
  ['arrays', 'dc 00 02 01 02', [1, 2]],
  ['number keys', '81 05 01', { 5: 1 }],
  ['a timestamp of 4 bytes', 'd6 ff 00 00 00 02', new Date(2000)],
  ['a timestamp of 8 bytes', 'd7 ff 77 35 94 00 00 00 00 02', new Date(2500)],
  ['a timestamp of 12 bytes', 'c7 0c ff 1d cd 65 00 ff ff ff ff ff ff ff ff', new Date(-500)],
  ['an unknown extension', 'd5 07 01 02', new ExtData(7, Uint8Array.of(1, 2))],
];

for (const [name, given, value] of READ) {
  test(`${name}: ${given} is read`, () => assert.deepEqual(valueOf(given), value));
}

test('an unknown extension in the place of a text or a map is as if it were absent', () => {
  const message = read(bytes('83 a9 65 76 65 6e 74 54 79 70 65 a1 78 a7 65 76 65 6e 74 49 64 d4 05 07 a7 70 61 79 6c 6f 61 64 d4 05 07'));
  assert.equal(message.eventId, '');
  assert.deepEqual(message.payload, {});
});

for (const value of MALFORMED) {
  test(`a frame with ${value} in it is dropped`, () => {
    assert.equal(read(bytes(value)), null);
    assert.equal(read(bytes(`${ENVELOPE} ${value}`)), null);
  });
}

test('a message that is followed by more bytes is dropped', () => {
  assert.equal(valueOf('01'), 1);
  assert.equal(read(bytes(`${ENVELOPE} 01 02`)), null);
});

test('an empty frame, endless nesting and a key called __proto__ are dropped', () => {
  assert.equal(read(new ArrayBuffer(0)), null);
  assert.equal(read(new Uint8Array(5000).fill(0x91)), null);
  assert.equal(read(bytes(`${ENVELOPE} 81 a9 5f 5f 70 72 6f 74 6f 5f 5f 01`)), null);
});

test('an array that announces more items than its frame has bytes takes no room', () => {
  const before = process.memoryUsage().rss;
  assert.equal(read(bytes('dd 01 ff ff ff')), null); // 33,554,431 items
  assert.ok(process.memoryUsage().rss - before < 50e6);
});

test('frames that were damaged on the way give a message or none, never an error', () => {
  const whole = frame('audio.output.chunk', 'e', 's', { audio: new Uint8Array(9), words: [1, { a: null, b: 1.5 }, 'ä'.repeat(300)] });
  for (let at = 0; at < whole.length; at++) {
    assert.equal(read(whole.slice(0, at)), null);
    for (const byte of [0x00, 0x80, 0xc1, 0xc6, 0xc9, 0xd6, 0xdd, 0xdf, 0xff]) {
      const damaged = whole.slice();
      damaged[at] = byte;
      read(damaged);
    }
  }
});
