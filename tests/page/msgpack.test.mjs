// The MessagePack codec against bytes written by hand from the specification.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode, Extension, MsgpackError } from '../../orchestrator/server/page/msgpack.js';

const bytes = (hex) => Uint8Array.from(hex.trim().split(/\s+/), (byte) => parseInt(byte, 16));
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

const BOTH_WAYS = [
  ['c0', null],
  ['c2', false],
  ['c3', true],
  ['00', 0],
  ['7f', 127],
  ['cc 80', 128],
  ['cc ff', 255],
  ['cd 01 00', 256],
  ['cd ff ff', 65535],
  ['ce 00 01 00 00', 65536],
  ['ce ff ff ff ff', 4294967295],
  ['ff', -1],
  ['e0', -32],
  ['d0 df', -33],
  ['d0 80', -128],
  ['d1 ff 7f', -129],
  ['d1 80 00', -32768],
  ['d2 ff ff 7f ff', -32769],
  ['d2 80 00 00 00', -2147483648],
  ['cb 3f f8 00 00 00 00 00 00', 1.5],
  ['cb 41 f0 00 00 00 00 00 00', 4294967296],
  ['cb 42 79 c9 75 2e 78 78 00', 1772065318791.5],
  ['a0', ''],
  ['a3 61 62 63', 'abc'],
  ['a5 c3 a4 e2 82 ac', 'ä€'],
  ['c4 00', new Uint8Array(0)],
  ['c4 03 01 80 ff', Uint8Array.of(1, 128, 255)],
  ['90', []],
  ['93 01 a1 61 c0', [1, 'a', null]],
  ['80', {}],
  ['81 a1 61 82 a1 62 02 a1 63 c3', { a: { b: 2, c: true } }],
];

for (const [written, value] of BOTH_WAYS) {
  test(`${written} is ${JSON.stringify(value)}, read and written`, () => {
    assert.deepEqual(decode(bytes(written)), value);
    assert.equal(hex(encode(value)), written);
  });
}

const READ_ONLY = [
  ['cf 00 00 00 00 00 00 00 05', 5],
  ['cf 00 00 01 8d a0 00 00 00', 1707786371072],
  ['cf 00 20 00 00 00 00 00 01', 2 ** 53],
  ['cf ff ff ff ff ff ff ff ff', 2 ** 64],
  ['d3 ff ff ff ff ff ff ff fe', -2],
  ['d3 80 00 00 00 00 00 00 00', -(2 ** 63)],
  ['ca 3f c0 00 00', 1.5],
  ['cc 05', 5],
  ['d9 03 61 62 63', 'abc'],
  ['da 00 01 61', 'a'],
  ['db 00 00 00 01 61', 'a'],
  ['c5 00 02 01 02', Uint8Array.of(1, 2)],
  ['c6 00 00 00 01 07', Uint8Array.of(7)],
  ['dc 00 02 01 02', [1, 2]],
  ['dd 00 00 00 01 05', [5]],
  ['de 00 01 a1 61 01', { a: 1 }],
  ['df 00 00 00 01 a1 61 01', { a: 1 }],
  ['81 05 01', { 5: 1 }],
  ['d4 00 00', undefined],
  ['d4 05 07', new Extension(5, Uint8Array.of(7))],
  ['d5 f0 01 02', new Extension(-16, Uint8Array.of(1, 2))],
  ['d6 07 01 02 03 04', new Extension(7, Uint8Array.of(1, 2, 3, 4))],
  ['c7 03 05 01 02 03', new Extension(5, Uint8Array.of(1, 2, 3))],
  ['c8 00 01 05 09', new Extension(5, Uint8Array.of(9))],
  ['c9 00 00 00 00 05', new Extension(5, new Uint8Array(0))],
  ['d6 ff 00 00 00 02', new Date(2000)],
  ['d7 ff 77 35 94 00 00 00 00 02', new Date(2500)],
  ['c7 0c ff 1d cd 65 00 ff ff ff ff ff ff ff ff', new Date(-500)],
];

for (const [written, value] of READ_ONLY) {
  test(`${written} is read`, () => assert.deepEqual(decode(bytes(written)), value));
}

test('sixteen items and sixty thousand characters get the longer headers', () => {
  assert.equal(hex(encode(new Array(16).fill(0)).slice(0, 3)), 'dc 00 10');
  assert.equal(hex(encode(Object.fromEntries(Array.from({ length: 16 }, (_, i) => [i, i]))).slice(0, 3)), 'de 00 10');
  assert.equal(hex(encode('x'.repeat(40)).slice(0, 2)), 'd9 28');
  assert.equal(hex(encode('x'.repeat(60000)).slice(0, 3)), 'da ea 60');
  assert.equal(hex(encode(new Uint8Array(70000)).slice(0, 5)), 'c6 00 01 11 70');
});

test('audio travels as binary, whatever view of it is given', () => {
  const samples = Int16Array.of(1, -1);
  assert.equal(hex(encode(new Uint8Array(samples.buffer))), 'c4 04 01 00 ff ff');
  assert.equal(hex(encode(samples.buffer)), 'c4 04 01 00 ff ff');
  assert.equal(hex(encode(samples.subarray(1))), 'c4 02 ff ff');
});

test('binary that is read has memory of its own', () => {
  const frame = bytes('c4 02 01 02');
  const audio = decode(frame);
  frame[2] = 9;
  assert.deepEqual(audio, Uint8Array.of(1, 2));
  assert.equal(audio.buffer.byteLength, 2);
});

test('absent keys are left out, and a key called __proto__ is data', () => {
  assert.equal(hex(encode({ a: undefined, b: null })), '81 a1 62 c0');
  const read = decode(encode(new Map([['__proto__', 1]])));
  assert.deepEqual(Object.keys(read), ['__proto__']);
  assert.equal(Object.getPrototypeOf(read), Object.prototype);
});

for (const written of ['c1', 'a3 61', '92 01', '81 a1 61', 'cd 01', 'c4 05 01', 'd6 05 01', '01 02', 'dd ff ff ff ff']) {
  test(`${written} is refused`, () => assert.throws(() => decode(bytes(written)), MsgpackError));
}

test('no bytes at all, endless nesting and functions are refused', () => {
  assert.throws(() => decode(new Uint8Array(0)), MsgpackError);
  assert.throws(() => decode(new Uint8Array(5000).fill(0x91)), MsgpackError);
  assert.throws(() => encode(() => 1), MsgpackError);
});
