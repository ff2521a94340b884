// Envelopes, error events and ids.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '../../orchestrator/server/page/vendor/msgpack/index.mjs';
import { uuid7 } from '../../orchestrator/server/page/uuid.js';
import { errorIn, frame, isAck, isError, read } from '../../orchestrator/server/page/wire.js';

test('a message is one map of eventType, eventId, sessionId and payload', () => {
  const sent = decode(frame('audio.input.stop', 'e1', 's1', {}));
  assert.deepEqual(sent, { eventType: 'audio.input.stop', eventId: 'e1', sessionId: 's1', payload: {} });
});

test('a timestamp goes out as float64, also when it is a whole number', () => {
  const sent = frame('user.action.interrupt', 'e', 's', { timestamp: 1772065318791 });
  assert.ok(Buffer.from(sent).includes(Buffer.from('cb4279c9752e787000', 'hex')));
});

test('a frame that is not a message is read as none', () => {
  for (const value of [null, 1, 'text', [1], {}, { eventType: 5 }, { eventType: '' }]) {
    assert.equal(read(encode(value)), null);
  }
  assert.equal(read(Uint8Array.of(0xc1)), null);
  assert.equal(read('a text frame'), null);
});

test('parts that are missing or of another type come out empty', () => {
  assert.deepEqual(read(encode({ eventType: 'x', sessionId: 7, payload: 'odd', more: 1 })), {
    eventType: 'x', eventId: '', sessionId: '', requestType: '', payload: {},
  });
});

test('errors are known by their names', () => {
  for (const name of ['audio.error.invalid_format', 'error.service.llm_unavailable', 'error.unknown', 'voicechat.audio.error']) {
    assert.ok(isError(name), name);
  }
  for (const name of ['audio.input.start', 'conversation.state.changed', 'error', 'my.terror.x']) assert.ok(!isError(name), name);
});

test('an error is read from either shape, and always says something', () => {
  const full = read(encode({
    eventType: 'audio.error.unsupported_rate',
    payload: { requestType: 'audio.input.start', error: { message: 'samplingRate 7 is below 8000', code: 'INVALID_PAYLOAD', timestamp: 1.5 } },
  }));
  assert.deepEqual(errorIn(full), {
    eventType: 'audio.error.unsupported_rate', requestType: 'audio.input.start', code: 'INVALID_PAYLOAD', message: 'samplingRate 7 is below 8000',
  });
  assert.equal(errorIn(read(encode({ eventType: 'a.error', requestType: 'a.b', payload: { message: 'no' } }))).message, 'no');
  assert.match(errorIn(read(encode({ eventType: 'error.unknown', payload: null }))).message, /error\.unknown/);
});

test('an ack is a payload that says success', () => {
  assert.ok(isAck(read(encode({ eventType: 'audio.input.start', payload: { success: true } }))));
  assert.ok(!isAck(read(encode({ eventType: 'audio.input.start', payload: { success: false } }))));
});

test('ids are UUIDs of version 7 and sort by time', () => {
  const [early, late] = [uuid7(1000), uuid7(1001)];
  for (const id of [early, late]) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.ok(early < late);
  assert.equal(uuid7(0x0123456789ab).slice(0, 13), '01234567-89ab');
});
