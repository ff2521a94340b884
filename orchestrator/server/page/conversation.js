// What the page knows of the conversation: its state, and what was said, heard and left unheard by both sides.

import { errorIn, isError } from './wire.js';

const LINKS = { stt: 'Speech to text', llm: 'Language model', tts: 'Voice' };
const LINK_STATUS = {
  trying: 'trying to connect', waiting: 'will be tried again', up: 'connected again', down: 'lost',
};

const BLANK = {
  turn: null, said: '', interim: false, answer: '', unheard: '', interrupted: false, latency: null, measuredMs: null,
};

/**
 * Takes messages in order, holds the transcript as `entries`:
 *
 * {who: 'caller', turn, text, interim, understood}
 * {who: 'agent', generation, utterance, text, unheard, interrupted, finished, latency, measuredMs}
 * {who: 'note', text}
 *
 * each with a `key` that is never used twice. Unknown events change nothing.
 */
export class Conversation {
  constructor() {
    this.entries = [];
    this.errors = [];
    this.keys = 0; // given so far
    this.forget();
  }

  /** The session is gone, and nothing is known of the next one's state; what was said stays readable. */
  forget() {
    this.state = '';
    this.substate = '';
    this.cause = '';
    this.finish();
  }

  /** Nothing more will come: what was in the making stays as it is, what was not understood for good goes. */
  finish() {
    this.answering = null;
    this.lastSaid = null;
    this.unmeasured = false;
    for (const entry of this.entries) this.#settle(entry);
    this.entries = this.entries.filter((entry) => entry.who !== 'caller' || !entry.interim);
  }

  take(message) {
    const { eventType, payload } = message;
    if (isError(eventType)) this.#failed(message);
    else handlers[eventType]?.call(this, payload);
  }

  /** A line of ours between what was said. */
  note(text) {
    this.#add({ who: 'note', text });
  }

  /** An error of the page's own, in the shape of the server's. */
  fail(message, code = '') {
    this.errors.push({ eventType: '', requestType: '', code, message });
  }

  /** The first sound of `utterance` was heard at `heardAt`, the caller's last at `lastSoundAt` (or null), both in ms. */
  started(utterance, heardAt, lastSoundAt) {
    const entry = this.#ofUtterance(utterance);
    if (!entry) return;
    entry.sounded = true;
    if (this.unmeasured && lastSoundAt !== null && heardAt > lastSoundAt) entry.measuredMs = heardAt - lastSoundAt;
    this.unmeasured = false;
  }

  /** The exchanges so far; what was said in several goes before it was answered is one of them: {turn, said, interim, answer, unheard, interrupted, latency, measuredMs}. */
  get turns() {
    const turns = [];
    for (const entry of this.entries) {
      let last = turns.at(-1);
      if (!last || last.over || entry.who === 'note') turns.push((last = { ...BLANK }));
      if (entry.who === 'caller') {
        const { turn, text, interim } = entry;
        Object.assign(last, { turn, said: join(last.said, text), interim });
      } else if (entry.who === 'agent' && (entry.text !== '' || entry.unheard === '')) {
        const { text: answer, unheard, interrupted, latency, measuredMs } = entry;
        Object.assign(last, { answer, unheard, interrupted, latency, measuredMs, over: true });
      }
    }
    return turns.filter(({ said, over }) => said !== '' || over).map(({ over, ...turn }) => turn);
  }

  #failed(message) {
    this.errors.push(errorIn(message));
  }

  heardOf({ text, turn, isFinal }) {
    if (typeof text !== 'string') return;
    const understood = text.trim() !== '';
    if (!isFinal && !understood) return;
    const entry = this.#ofTurn(turn) ?? this.#caller(turn);
    Object.assign(entry, { text, interim: !isFinal, understood });
    if (isFinal && understood) this.unmeasured = true;
    this.lastSaid = entry;
  }

  moved({ from, to, substate, cause, link }) {
    if (typeof to !== 'string') return;
    if (link) {
      this.note(`${LINKS[link.role] ?? link.role}: ${link.provider}, ${LINK_STATUS[link.status] ?? link.status}`);
      return;
    }
    if (from === 'THINKING' && to === 'LISTENING') this.#withdraw();
    this.state = to;
    this.substate = typeof substate === 'string' ? substate : '';
    this.cause = typeof cause === 'string' ? cause : '';
  }

  asked({ generation }) {
    this.#withdraw();
    this.answering = this.#agent(generation);
  }

  said({ token, generation }) {
    if (typeof token !== 'string') return;
    const entry = this.#ofGeneration(generation);
    if (!entry.interrupted) entry.text += token;
  }

  answered({ fullResponse, generation, latency }) {
    const entry = this.#ofGeneration(generation);
    if (!entry.interrupted && typeof fullResponse === 'string' && fullResponse !== '') entry.text = fullResponse;
    entry.finished = true;
    if (typeof latency === 'object' && latency !== null) entry.latency = latency;
  }

  voiced({ utteranceId }) {
    if (typeof utteranceId !== 'string') return;
    const entry = this.answering ?? this.#last('agent');
    if (entry && entry.utterance === null) entry.utterance = utteranceId;
  }

  interrupted({ partialResponse, unheardResponse, utteranceId, heardMs }) {
    const entry = this.#ofUtterance(utteranceId) ?? this.#last('agent');
    if (!entry) return;
    const heard = typeof partialResponse === 'string' ? partialResponse : entry.text;
    entry.unheard = typeof unheardResponse === 'string' ? unheardResponse : rest(entry.text, heard);
    entry.text = heard;
    entry.heardMs = typeof heardMs === 'number' ? heardMs : null;
    entry.interrupted = true;
  }

  /** The answer in the making will not be spoken: the caller went on, or another is asked for. */
  #withdraw() {
    const entry = this.answering;
    this.answering = null;
    if (!entry || entry.finished || entry.interrupted || entry.utterance !== null) return;
    this.#settle(entry);
  }

  /** An answer that will not go on: nothing of it was spoken unless its sound began. */
  #settle(entry) {
    if (entry.who !== 'agent' || entry.finished || entry.interrupted) return;
    if (entry.utterance === null) {
      entry.unheard = entry.text;
      entry.text = '';
      if (entry.unheard === '') this.entries = this.entries.filter((other) => other !== entry);
    }
    entry.interrupted = true;
  }

  #ofTurn(turn) {
    if (turn === undefined || turn === null) return this.lastSaid?.interim ? this.lastSaid : null;
    return this.lastSaid?.turn === turn ? this.lastSaid : null;
  }

  #ofGeneration(generation) {
    const current = this.answering;
    if (current && (generation === undefined || current.generation === generation)) return current;
    const known = this.#inSession((entry) => entry.who === 'agent' && entry.generation === generation);
    if (known) return known;
    this.#withdraw(); // a fallback answers in place of the model
    this.answering = this.#agent(generation);
    return this.answering;
  }

  #ofUtterance(utterance) {
    return this.entries.findLast((entry) => entry.who === 'agent' && entry.utterance === utterance && utterance);
  }

  /** The last entry that fits and is newer than the last note: numbers begin anew with each session. */
  #inSession(fits) {
    const begun = this.entries.findLastIndex((entry) => entry.who === 'note');
    return this.entries.slice(begun + 1).findLast(fits);
  }

  #last(who) {
    return this.entries.findLast((entry) => entry.who === who);
  }

  /** A new entry of the caller's; what was heard of a turn that never became final goes, and so does a cough. */
  #caller(turn) {
    this.entries = this.entries.filter((entry) => entry.who !== 'caller' || !entry.interim);
    const last = this.entries.at(-1);
    if (last?.who === 'caller' && !last.understood) this.entries.pop();
    return this.#add({ who: 'caller', turn: turn ?? null, text: '', interim: true, understood: true });
  }

  #agent(generation) {
    return this.#add({
      who: 'agent', generation: generation ?? null, utterance: null, text: '', unheard: '', interrupted: false,
      finished: false, sounded: false, heardMs: null, latency: null, measuredMs: null,
    });
  }

  #add(entry) {
    entry.key = ++this.keys;
    this.entries.push(entry);
    return entry;
  }
}

const handlers = {
  'conversation.state.changed': Conversation.prototype.moved,
  'transcript.interim.result': Conversation.prototype.heardOf,
  'transcript.final.result'(payload) {
    this.heardOf({ ...payload, isFinal: true });
  },
  'conversation.response.start': Conversation.prototype.asked,
  'conversation.response.token': Conversation.prototype.said,
  'conversation.response.complete': Conversation.prototype.answered,
  'conversation.state.interrupted': Conversation.prototype.interrupted,
  'audio.output.start': Conversation.prototype.voiced,
  'system.status.maintenance'() {
    if (this.state !== '') this.note('The server is about to stop: this call will be ended soon.');
  },
  'system.status.busy'({ activeSessions, maxSessions }) {
    this.fail(`All lines are taken (${activeSessions} of ${maxSessions} calls). Please try again in a moment.`, 'BUSY');
  },
};

/** Two pieces of an answer with one blank between, unless there is one already. */
function join(before, piece) {
  return before === '' || /\s$/.test(before) || /^\s/.test(piece) ? before + piece : `${before} ${piece}`;
}

/** What of `whole` comes after `heard`; '' if `heard` is not its beginning. */
function rest(whole, heard) {
  return whole.startsWith(heard) ? whole.slice(heard.length).trim() : '';
}
