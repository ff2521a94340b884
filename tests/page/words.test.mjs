// Latency, health and the page's sentences.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askServer } from '../../orchestrator/server/page/health.js';
import { median, spell, split } from '../../orchestrator/server/page/latency.js';
import { announcement, lamp, ROOMS, stateWords, worse } from '../../orchestrator/server/page/words.js';

test('latency is split into the stages that are known', () => {
  const { stages, totalMs } = split({ endpointMs: 500, transcriptMs: null, firstSegmentMs: 300, firstAudioMs: 'odd', totalMs: 950 });
  assert.deepEqual(stages.map(({ id, ms }) => [id, ms]), [['endpoint', 500], ['segment', 300]]);
  assert.equal(totalMs, 950);
});

test('a missing total is the sum, and without numbers there is no latency', () => {
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
  assert.deepEqual(lamp('reconnecting', { retryInMs: 4100 }), ['trying', 'Reconnecting in 4 s']);
  assert.deepEqual(lamp('reconnecting', {}), ['trying', 'Reconnecting']);
});

test('without a call the lamp says what the server said last of taking calls', () => {
  assert.deepEqual(lamp('disconnected', {}), ['idle', 'Looking for the server']);
  assert.deepEqual(lamp('disconnected', { reachable: false }), ['bad', 'Server not reachable']);
  assert.deepEqual(lamp('disconnected', { reachable: true, ready: false }), ['trying', 'Not ready yet']);
  for (const status of ['disconnected', 'error']) assert.deepEqual(lamp(status, { reachable: true, ready: true }), ['good', 'Ready']);
  assert.deepEqual(lamp('error', { reachable: false, why: 'Refused.' }), ['bad', 'Refused.']);
});

test('a line that never was there did not drop, and a call without sound says so', () => {
  const open = { call: 'open', mode: 'automatic', recording: true, state: '', substate: '' };
  assert.equal(stateWords({ ...open, status: 'reconnecting', begun: false })[0], 'Calling');
  assert.equal(stateWords({ ...open, status: 'reconnecting', begun: true })[0], 'The line dropped');
  assert.equal(stateWords({ ...open, status: 'reconnecting', begun: false, busy: true })[0], 'All lines are busy');
  assert.match(stateWords({ ...open, status: 'connected', sound: 'paused' })[0], /paused the sound/);
  assert.match(stateWords({ ...open, status: 'connected', sound: 'taken', state: 'LISTENING' })[1], /takes it back/);
  assert.match(stateWords({ ...open, call: 'opening', unanswered: true })[1], /waits for your answer/);
});

test('of two sounds the worse is told', () => {
  assert.equal(worse('ok', 'ok'), 'ok');
  assert.equal(worse('paused', 'ok'), 'paused');
  assert.equal(worse('paused', 'taken'), 'taken');
});

test('a screen reader hears the rooms, not every substate', () => {
  const connected = { status: 'connected', sound: 'ok' };
  assert.deepEqual(ROOMS.map((state) => announcement({ ...connected, state })), ['Getting ready', 'Listening', 'Thinking', 'Speaking', 'Saying goodbye']);
  assert.equal(announcement({ ...connected, state: '' }), '');
  assert.equal(announcement({ status: 'reconnecting', state: 'LISTENING', sound: 'ok' }), '');
  assert.match(announcement({ status: 'connected', state: 'LISTENING', sound: 'paused' }), /paused/);
});

test('the server says whether it takes calls, which providers are there, and that its brain is a smoke test', async () => {
  const server = (health, ready) => async (path) => ({ json: async () => ({ health, ready })[path] });
  const providers = { tts: 'hibari', stt: { name: 'moonshine' }, llm: 5 };
  assert.deepEqual(await askServer(server({ brain: 'smoke-test', providers }, { ready: true })), {
    reachable: true, ready: true, smokeTest: true, providers: [['Speech to text', 'moonshine'], ['Text to speech', 'hibari']],
  });
  assert.deepEqual(await askServer(server(null, { ready: false, waiting: 'x' })), { reachable: true, ready: false, smokeTest: false, providers: [] });
  assert.equal((await askServer(async () => { throw new TypeError('refused'); })).reachable, false);
});
