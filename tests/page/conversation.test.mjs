// What the page shows of a conversation, from the messages it gets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conversation } from '../../orchestrator/server/page/conversation.js';

const told = (conversation, ...messages) => {
  for (const [eventType, payload] of messages) conversation.take({ eventType, eventId: 'e', sessionId: 's', requestType: '', payload });
  return conversation;
};
const interim = (turn, text) => ['transcript.interim.result', { turn, text, confidence: 0.5, isFinal: false }];
const final = (turn, text) => ['transcript.final.result', { turn, text, confidence: 0.9, isFinal: true, duration: 900 }];
const moved = (from, to, substate) => ['conversation.state.changed', { from, to, substate, cause: 'x', timestamp: 1.5 }];
const asked = (generation) => ['conversation.response.start', { generation, timestamp: 1.5 }];
const token = (generation, index, text) => ['conversation.response.token', { generation, index, token: text }];
const voice = (utteranceId) => ['audio.output.start', { utteranceId, samplingRate: 24000, timestamp: 1.5 }];
const complete = (generation, fullResponse, latency) => ['conversation.response.complete', { generation, fullResponse, tokenCount: 1, duration: 5, latency }];
const cut = (utteranceId, partialResponse, unheardResponse) => ['conversation.state.interrupted', { utteranceId, partialResponse, unheardResponse, heardMs: 700 }];
const texts = ({ entries }) => entries.map(({ who, text }) => `${who}: ${text}`);

test('interim words are replaced by further ones and by the final ones', () => {
  const conversation = told(new Conversation(), interim(1, 'hello'), interim(1, 'hello there'));
  assert.deepEqual(texts(conversation), ['caller: hello there']);
  assert.equal(conversation.entries[0].interim, true);
  told(conversation, final(1, 'Hello there!'));
  assert.deepEqual(texts(conversation), ['caller: Hello there!']);
  assert.equal(conversation.entries[0].interim, false);
});

test('an answer grows by segments, one blank between them, and ends as the whole answer', () => {
  const conversation = told(new Conversation(), final(1, 'Hi'), asked(1), token(1, 0, 'Good day.'), voice('u1'), token(1, 1, ' How are you?'));
  assert.deepEqual(texts(conversation), ['caller: Hi', 'agent: Good day. How are you?']);
  told(conversation, complete(1, 'Good day. How are you? ', { totalMs: 640 }));
  assert.equal(conversation.turns[0].answer, 'Good day. How are you? ');
  assert.deepEqual(conversation.turns[0].latency, { totalMs: 640 });
});

test('a link that is moved to another provider is noted, and the state stays', () => {
  const link = { role: 'tts', status: 'up', provider: 'hibari' };
  const conversation = told(
    new Conversation(), moved('THINKING', 'RESPONDING', 'speaking'),
    ['conversation.state.changed', { from: 'RESPONDING', to: 'RESPONDING', substate: 'speaking', cause: 'link_opened', timestamp: 2, link }],
  );
  assert.deepEqual(texts(conversation), ['note: Voice: hibari, connected again']);
  assert.equal(conversation.state, 'RESPONDING');
  assert.equal(conversation.cause, 'x');
});

test('what was cut off is kept apart from what was heard, also when the whole answer is told afterwards', () => {
  const conversation = told(
    new Conversation(), final(1, 'Why?'), asked(1), token(1, 0, 'Because it can be drawn and checked.'), voice('u1'),
    cut('u1', 'Because it can be', 'drawn and checked.'), complete(1, 'Because it can be drawn and checked.', { totalMs: 700 }), token(1, 1, 'Late.'),
  );
  const [turn] = conversation.turns;
  assert.equal(turn.answer, 'Because it can be');
  assert.equal(turn.unheard, 'drawn and checked.');
  assert.equal(turn.interrupted, true);
  assert.deepEqual(turn.latency, { totalMs: 700 });
});

test('without the unheard part, it is what the answer had beyond the heard one', () => {
  const conversation = told(new Conversation(), asked(1), token(1, 0, 'One two three.'), voice('u1'), cut('u1', 'One', undefined));
  assert.equal(conversation.entries[0].unheard, 'two three.');
});

test('an answer that was withdrawn before a word of it was made leaves no trace', () => {
  const conversation = told(
    new Conversation(), final(1, 'I would like'), moved('LISTENING', 'THINKING', 'generating'), asked(1),
    moved('THINKING', 'LISTENING', 'hearing'), interim(2, 'a pizza'), final(2, 'a pizza'), asked(2), token(2, 0, 'Which one?'), voice('u2'),
  );
  assert.deepEqual(texts(conversation), ['caller: I would like', 'caller: a pizza', 'agent: Which one?']);
  assert.deepEqual(conversation.turns.map(({ said, answer }) => [said, answer]), [['I would like a pizza', 'Which one?']]);
});

test('a fallback takes the place of the answer that the model did not give', () => {
  const conversation = told(
    new Conversation(), final(1, 'Hi'), asked(1), moved('THINKING', 'RESPONDING', 'speaking'), token(2, 0, 'Sorry, say that again?'), voice('u1'),
    complete(2, 'Sorry, say that again?', {}),
  );
  assert.deepEqual(texts(conversation), ['caller: Hi', 'agent: Sorry, say that again?']);
});

test('a retried generation shows one answer', () => {
  const conversation = told(new Conversation(), final(1, 'Hi'), asked(1), moved('THINKING', 'THINKING', 'retrying'), asked(2), token(2, 0, 'Hello.'));
  assert.deepEqual(texts(conversation), ['caller: Hi', 'agent: Hello.']);
});

test('state and substate follow the server, also where only the substate changes', () => {
  const conversation = told(new Conversation(), moved('INITIALIZING', 'LISTENING', 'quiet'), moved('LISTENING', 'LISTENING', 'hearing'));
  assert.deepEqual([conversation.state, conversation.substate, conversation.cause], ['LISTENING', 'hearing', 'x']);
});

test('a turn without words is marked as such, once however often it happens', () => {
  const conversation = told(new Conversation(), interim(1, 'uh'), final(1, ''), final(2, ' '), final(3, ''));
  assert.equal(conversation.entries.length, 1);
  assert.equal(conversation.entries[0].understood, false);
  told(conversation, interim(4, 'Now then'));
  assert.deepEqual(texts(conversation), ['caller: Now then']);
});

test('interim words of a turn that never became final go with the next turn', () => {
  const conversation = told(new Conversation(), interim(1, 'noise'), interim(2, 'words'));
  assert.deepEqual(texts(conversation), ['caller: words']);
});

test('the response time is measured once a turn, and not for what nobody asked', () => {
  const conversation = told(new Conversation(), asked(1), token(1, 0, 'Welcome.'), voice('u1'));
  conversation.started('u1', 5000, 4000);
  assert.equal(conversation.turns[0].measuredMs, null);
  told(conversation, complete(1, 'Welcome.', undefined), final(1, 'Hi'), asked(2), token(2, 0, 'Hello.'), voice('u2'));
  conversation.started('u2', 9700, 9000);
  conversation.started('u2', 9900, 9000);
  assert.equal(conversation.turns[1].measuredMs, 700);
});

test('a new session keeps what was said, forgets the state, and numbers anew', () => {
  const conversation = told(new Conversation(), moved('LISTENING', 'THINKING', 'generating'), final(1, 'Hi'), asked(1), token(1, 0, 'Hello.'), voice('u1'), complete(1, 'Hello.'));
  told(conversation, interim(2, 'half a'));
  conversation.forget();
  assert.equal(conversation.state, '');
  conversation.note('Connected again.');
  told(conversation, final(1, 'Once more'), asked(1), token(1, 0, 'Gladly.'));
  assert.deepEqual(texts(conversation), ['caller: Hi', 'agent: Hello.', 'note: Connected again.', 'caller: Once more', 'agent: Gladly.']);
});

test('an answer that the lost link cut short says what was not heard', () => {
  const conversation = told(new Conversation(), asked(1), token(1, 0, 'Never voiced.'));
  conversation.forget();
  assert.equal(conversation.entries[0].unheard, 'Never voiced.');
});

test('a server that stops tells those in a call, and those who only try to call nothing', () => {
  const conversation = new Conversation();
  conversation.take({ eventType: 'system.status.maintenance', payload: {} });
  assert.deepEqual(conversation.entries, []);
  conversation.take({ eventType: 'conversation.state.changed', payload: { from: 'INITIALIZING', to: 'LISTENING' } });
  conversation.take({ eventType: 'system.status.maintenance', payload: {} });
  assert.match(conversation.entries[0].text, /about to stop/);
});

test('errors and a busy server are kept for the error line', () => {
  const conversation = told(
    new Conversation(),
    ['conversation.error.llm_failed', { requestType: '', error: { message: 'no model', code: 'LLM_ERROR', timestamp: 1.5 } }],
    ['system.status.busy', { activeSessions: 4, maxSessions: 4 }],
  );
  assert.deepEqual(conversation.errors.map(({ code }) => code), ['LLM_ERROR', 'BUSY']);
  assert.match(conversation.errors[1].message, /4 of 4/);
});

test('unknown events and payloads of the wrong shape change nothing', () => {
  const conversation = told(
    new Conversation(),
    ['some.future.event', { a: 1 }], ['constructor', {}], ['transcript.final.result', {}], ['conversation.state.changed', { to: 7 }],
    ['conversation.response.token', { token: 9 }], ['conversation.state.interrupted', {}], ['audio.output.start', {}],
  );
  assert.deepEqual(conversation.entries, []);
  assert.deepEqual(conversation.errors, []);
  assert.equal(conversation.state, '');
});
