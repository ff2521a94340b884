// Samples in and out: conversion, blocks, the playback queue, which utterance may be heard, the last sound.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LastSound } from '../../orchestrator/server/page/last-sound.js';
import { Blocks, readInt16, Resampler, writeInt16 } from '../../orchestrator/server/page/pcm.js';
import { PlaybackQueue } from '../../orchestrator/server/page/playback-queue.js';
import { Utterances } from '../../orchestrator/server/page/utterances.js';

const QUANTUM = 128;
const quantum = (queue) => {
  const out = new Float32Array(QUANTUM).fill(9);
  queue.fill(out);
  return out;
};
const ramp = (length, from = 0) => Int16Array.from({ length }, (_, i) => from + i + 1);
const kinds = (queue) => queue.takeReports().map(({ kind }) => kind);

test('full scale is clipped, not wrapped, and little endian', () => {
  const view = new DataView(new ArrayBuffer(10));
  writeInt16(view, 0, Float32Array.of(0, 1, -1, 2, -0.5));
  assert.deepEqual(new Uint8Array(view.buffer), Uint8Array.of(0, 0, 0xff, 0x7f, 0, 0x80, 0xff, 0x7f, 0, 0xc0));
});

test('an odd last byte is dropped', () => {
  assert.deepEqual(readInt16(Uint8Array.of(1, 0, 255, 255, 7)), Int16Array.of(1, -1));
});

test('blocks are full, in order, and know their loudness', () => {
  const got = [];
  const blocks = new Blocks(100, (audio, rms) => got.push([new Int16Array(audio), rms]));
  const samples = Float32Array.from({ length: 256 }, (_, i) => i / 0x7fff);
  blocks.add(samples.subarray(0, 128));
  blocks.add(samples.subarray(128));
  assert.equal(got.length, 2);
  assert.deepEqual([...got[0][0], ...got[1][0]], Array.from({ length: 200 }, (_, i) => i));
  const loud = [];
  new Blocks(4, (_, rms) => loud.push(rms)).add(Float32Array.of(0.5, -0.5, 0.5, -0.5));
  assert.equal(loud[0], 0.5);
});

/** What a tone of `hertz` at the rate `from` becomes at the rate `to`, in quanta as the worklet gets them. */
function resampled(hertz, from, to, seconds = 0.5) {
  const resampler = new Resampler(from, to);
  const made = [];
  for (let at = 0; at < from * seconds; at += QUANTUM) {
    made.push(...resampler.take(Float32Array.from({ length: QUANTUM }, (_, i) => Math.sin((2 * Math.PI * hertz * (at + i)) / from))));
  }
  return made;
}
const loudness = (samples) => Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);

test('the sound of any device is brought to the rate of the call: its pitch, its loudness, its length', () => {
  for (const [from, to] of [[96000, 16000], [192000, 16000], [48000, 16000], [44100, 16000], [24000, 16000], [44100, 48000], [16000, 48000]]) {
    const made = resampled(1000, from, to);
    assert.ok(Math.abs(made.length - to / 2) < to / 100, `${from} to ${to}: ${made.length}`);
    const settled = made.slice(1000);
    assert.ok(Math.abs(loudness(settled) - Math.SQRT1_2) < 0.01, `${from} to ${to}: ${loudness(settled)}`);
    let crossings = 0;
    for (let i = 1; i < settled.length; i++) if (settled[i - 1] < 0 && settled[i] >= 0) crossings += 1;
    assert.ok(Math.abs(crossings - (1000 * settled.length) / to) <= 1, `${from} to ${to}: ${crossings}`);
  }
});

test('what a lower rate cannot hold is gone, and does not come back as another tone', () => {
  for (const hertz of [9000, 12_000, 20_000, 40_000]) {
    assert.ok(loudness(resampled(hertz, 96000, 16000).slice(1000)) < 0.01, `${hertz} Hz`);
  }
});

test('chunks are played without a gap, then silence', () => {
  const queue = new PlaybackQueue(16000);
  queue.begin('u', 16000);
  queue.push(ramp(100));
  queue.push(ramp(100, 100));
  queue.end();
  const heard = [...quantum(queue), ...quantum(queue)].map((sample) => Math.round(sample * 0x8000));
  assert.deepEqual(heard.slice(0, 200), [...ramp(200)]);
  assert.ok(heard.slice(200).every((sample) => sample === 0));
  assert.deepEqual(kinds(queue), ['started', 'finished']);
  assert.equal(queue.played, 200);
});

test('the ring goes on past its end', () => {
  const queue = new PlaybackQueue(1000, 0.3);
  queue.begin('u', 1000);
  const heard = [];
  for (let i = 0; i < 10; i++) {
    queue.push(ramp(QUANTUM, i * QUANTUM));
    heard.push(...quantum(queue));
  }
  assert.deepEqual(heard.map((sample) => Math.round(sample * 0x8000)), [...ramp(10 * QUANTUM)]);
});

test('more than fits is refused and reported', () => {
  const queue = new PlaybackQueue(1000, 0.3);
  queue.begin('u', 1000);
  queue.push(ramp(500));
  assert.equal(queue.queued, 300);
  assert.deepEqual(kinds(queue), ['overflow']);
});

test('a cancelled utterance fades within one quantum and is then silent', () => {
  const queue = new PlaybackQueue(16000);
  queue.begin('u', 16000);
  queue.push(new Int16Array(16000).fill(16000));
  quantum(queue);
  queue.cancel();
  const fading = quantum(queue);
  assert.ok(fading[0] > 0.4 && fading[0] < 0.5);
  assert.equal(fading[QUANTUM - 1], 0);
  for (let i = 1; i < QUANTUM; i++) assert.ok(fading[i] < fading[i - 1]);
  assert.ok(quantum(queue).every((sample) => sample === 0));
  assert.deepEqual(kinds(queue), ['started', 'stopped']);
});

test('the next utterance starts right behind the fade, with nothing of the one before', () => {
  const queue = new PlaybackQueue(16000);
  queue.begin('a', 16000);
  queue.push(new Int16Array(16000).fill(16000));
  quantum(queue);
  queue.begin('b', 16000);
  queue.push(new Int16Array(QUANTUM).fill(-16000));
  quantum(queue);
  const next = quantum(queue);
  assert.ok(next.every((sample) => sample < 0));
  assert.equal(queue.utterance, 'b');
});

test('a queue that runs dry says so, and goes on when more comes', () => {
  const queue = new PlaybackQueue(16000);
  queue.begin('u', 16000);
  queue.push(ramp(64));
  quantum(queue);
  queue.push(ramp(QUANTUM));
  quantum(queue);
  queue.cancel();
  assert.deepEqual(kinds(queue), ['started', 'starved', 'stopped']);
});

test('an end that comes after the last sample is still an end', () => {
  const queue = new PlaybackQueue(16000);
  queue.begin('u', 16000);
  queue.push(ramp(64));
  quantum(queue);
  queue.end();
  assert.deepEqual(kinds(queue), ['started', 'starved', 'finished']);
});

test('another rate is resampled to the same length and pitch', () => {
  const queue = new PlaybackQueue(48000);
  queue.begin('u', 24000);
  queue.push(Int16Array.from({ length: 2400 }, (_, i) => Math.round(10000 * Math.sin((2 * Math.PI * 440 * i) / 24000))));
  queue.end();
  const heard = [];
  while (!kinds(queue).includes('finished')) heard.push(...quantum(queue));
  assert.equal(queue.played, 4800);
  for (let i = 0; i < 4700; i++) {
    assert.ok(Math.abs(heard[i] * 0x8000 - 10000 * Math.sin((2 * Math.PI * 440 * i) / 48000)) < 60, `frame ${i}`);
  }
});

test('a cancelled or overtaken utterance never comes back', () => {
  const utterances = new Utterances();
  assert.ok(utterances.begin('a'));
  assert.ok(utterances.admits('a'));
  assert.ok(utterances.cancel('a'));
  assert.ok(!utterances.begin('a') && !utterances.admits('a'));
  utterances.begin('b');
  utterances.begin('c');
  assert.ok(!utterances.begin('b') && !utterances.admits('b') && utterances.admits('c'));
});

test('cancelling another utterance leaves the current one alone; naming none means the current one', () => {
  const utterances = new Utterances();
  assert.ok(!utterances.cancel(undefined));
  utterances.begin('b');
  assert.ok(!utterances.cancel('a'));
  assert.ok(utterances.admits('b'));
  assert.ok(utterances.cancel(undefined));
  assert.ok(!utterances.admits('b'));
});

test('the last sound is the last block well above the noise of the room', () => {
  const sound = new LastSound();
  for (let i = 0; i < 100; i++) sound.take(0.002, i * 32);
  assert.equal(sound.at, null);
  for (let i = 100; i < 130; i++) sound.take(0.08, i * 32);
  for (let i = 130; i < 160; i++) sound.take(0.003, i * 32);
  assert.equal(sound.at, 129 * 32);
});

test('a noisy room is not taken for speech', () => {
  const sound = new LastSound();
  for (let i = 0; i < 2000; i++) sound.take(0.02, i);
  assert.ok(!sound.take(0.03, 2001));
  assert.ok(sound.take(0.2, 2002));
});
