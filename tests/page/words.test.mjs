// Latency, health and the page's sentences.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askHealth } from '../../orchestrator/server/page/health.js';
import { median, spell, split } from '../../orchestrator/server/page/latency.js';
import { ROOMS, stateWords, statusWords } from '../../orchestrator/server/page/words.js';

test('latency is split into the stages that are known', () => {
  const { stages, totalMs } = split({ endpointMs: 500, transcriptMs: null, firstSegmentMs: 300, firstAudioMs: 'odd', totalMs: 950 });
  assert.deepEqual(stages.map(({ id, ms }) => [id, ms]), [['endpoint', 500], ['segment', 300]]);
  assert.equal(totalMs, 950);
});

test('a missing total is the sum, and no numbers are no latency', () => {
  assert.equal(split({ endpointMs: 500, firstAudioMs: 100 }).totalMs, 600);
  assert.equal(split({}), null);
  assert.equal(split(undefined), null);
  assert.equal(split({ totalMs: Number.NaN, endpointMs: -1 }), null);
});

test('milliseconds read well', () => {
  assert.equal(spell(86.6), '87 ms');
  assert.equal(spell(1236), '1.24 s');
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1]), 2.5);
  assert.equal(median([]), null);
});

test('every room and every substate has its words', () => {
  const open = { call: 'open', status: 'connected', mode: 'automatic', recording: true };
  const substates = ['connecting', 'quiet', 'hearing', 'endpointing', 'speculating', 'keypad', 'finalizing', 'generating', 'retrying', 'running_tools', 'speaking', 'paused', 'confirming', 'saying_goodbye', 'closing', 'ended'];
  const headlines = substates.map((substate) => stateWords({ ...open, state: 'LISTENING', substate })[0]);
  assert.equal(new Set(headlines).size, substates.length);
  for (const state of ROOMS) assert.notEqual(stateWords({ ...open, state, substate: '' })[0], 'Connected');
  assert.equal(stateWords({ ...open, state: 'SOMETHING', substate: 'new' })[0], 'Connected');
});

test('in manual mode the caller is told what the button does', () => {
  const manual = { call: 'open', status: 'connected', mode: 'manual', state: 'LISTENING', substate: 'quiet' };
  assert.equal(stateWords({ ...manual, recording: false })[0], 'Your turn');
  assert.match(stateWords({ ...manual, recording: true })[1], /again/);
});

test('the lamp says when the next attempt is due', () => {
  assert.equal(statusWords('reconnecting', { retryInMs: 4100 }), 'Reconnecting in 4 s');
  assert.equal(statusWords('reconnecting', {}), 'Reconnecting');
  assert.equal(statusWords('disconnected', { reachable: false }), 'Server not reachable');
});

test('health names the providers that are there, and the smoke-test brain', async () => {
  const answer = (body) => async () => ({ json: async () => body });
  assert.deepEqual(await askHealth(answer({ brain: 'smoke-test', providers: { tts: 'hibari', stt: { name: 'moonshine' }, llm: 5 } })), {
    reachable: true, smokeTest: true, providers: [['Speech to text', 'moonshine'], ['Text to speech', 'hibari']],
  });
  assert.deepEqual(await askHealth(answer(null)), { reachable: true, smokeTest: false, providers: [] });
  assert.equal((await askHealth(async () => { throw new TypeError('refused'); })).reachable, false);
});
