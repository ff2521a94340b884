// The talk page: one call at a time, from the Start button to its end.
//
// For tests, <body> carries data-connection (disconnected, connecting, connected, reconnecting, error), data-call
// (idle, opening, open, ending), data-state, data-substate and data-session, and `window.vantum` (read-only) has
//   state, substate, connection, session   as above
//   turns     [{turn, said, interim, answer, unheard, interrupted, latency, measuredMs}]
//   errors    [{eventType, requestType, code, message}]
//   playback  {playing, playedMs, utterance}: of the utterance that is or was last played

import { announceCall } from './browser-sound.js';
import { Connection } from './connection.js';
import { Conversation } from './conversation.js';
import { Diagram } from './diagram.js';
import { ErrorLine, UNTIL } from './error-line.js';
import { askServer } from './health.js';
import { LastSound } from './last-sound.js';
import { LatencyView } from './latency-view.js';
import { LevelView } from './level-view.js';
import { MicrophoneError, openMicrophone } from './microphone.js';
import { circumstances, obstacle } from './obstacles.js';
import { Playback } from './playback.js';
import { TranscriptView } from './transcript-view.js';
import { Tokens } from './tokens.js';
import { announcement, endWords, lamp, stateWords, worse } from './words.js';

const LIKELY_RATE = 24000; // Hz of the first output, made at the click; another is made if the server announces another
const ASK_EVERY_MS = 5000;
const UNANSWERED_MS = 15_000; // of the browser's question for the microphone
const GAINLESS = 2; // attempts to connect, after which the server is asked by HTTP whether it is there
const IN_CALL = Object.values(UNTIL).filter((kind) => kind !== UNTIL.NEXT_CALL);
/** How long an error of the page's own is shown, by its code; else until the next call. */
const SHOWN_UNTIL = { REQUEST: UNTIL.NEXT_TURN, NETWORK: UNTIL.AUDIO_SENT, OVERFLOW: UNTIL.NEXT_ANSWER };

const at = (id) => document.getElementById(id);
const body = document.body;

const conversation = new Conversation();
const transcript = new TranscriptView(at('transcript'));
const latency = new LatencyView(at('latency'), at('latency-turns'), at('latency-summary'));
const level = new LevelView(at('level'));
const diagram = new Diagram(document.querySelectorAll('#rooms > li'), at('diagram'));
const errorLine = new ErrorLine(at('error'));
const playback = new Playback({
  report: played, trouble: (error) => fail(`The answer cannot be played: ${error.message}`), changed: render,
});
const tokens = new Tokens({
  location, history, parent: window.parent, window,
  get sessionStorage() { return window.sessionStorage; }, // a browser that keeps nothing throws here
  setTimeout: (action, ms) => setTimeout(action, ms),
  clearTimeout: (timer) => clearTimeout(timer),
});
const connection = new Connection(
  new URL('ws', document.baseURI.replace(/^http/, 'ws')).href, // beside the page, wherever a proxy serves it
  { status: linked, message: received },
  {
    WebSocket,
    setTimeout: (action, ms) => setTimeout(action, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    wall: () => Date.now(),
    random: Math.random,
    token: () => tokens.next(),
  },
);

let call = 'idle';
let mode = 'automatic';
let microphone = null;
let lastSound = new LastSound();
let recording = false;
let sessions = 0; // in this call: more than one after a reconnection
let opening = 0; // calls begun so far: tells whether the microphone that comes is still wanted
let unanswered = false; // the browser's question for the microphone
let busy = false; // the server said so
let gainless = 0; // attempts one after the other in which no session began
let droppedAudio = false;
let link = {}; // what the lamp is made of
let introduced = '';
let asking = null;
let heardUtterance = '';
let due = false;

// --- a call --------------------------------------------------------------------------------------------------

async function startCall() {
  if (call !== 'idle') return;
  errorLine.over();
  const why = obstacle(circumstances());
  if (why !== '') {
    refuse(why);
    return;
  }
  const ours = ++opening;
  const wanted = () => ours === opening && call === 'opening';
  become('opening');
  at('phrase').focus(); // Start gives way to Cancel, which a second press of the same key must not meet
  announceCall(true);
  playback.prepare(LIKELY_RATE);
  const reminder = setTimeout(() => {
    unanswered = wanted();
    render();
  }, UNANSWERED_MS);
  try {
    microphone = await openMicrophone({ block: captured, lost: microphoneLost, changed: render }, wanted);
  } catch (error) {
    if (!(error instanceof MicrophoneError)) throw error;
    if (!wanted()) return;
    cancelCall();
    refuse(error.message);
    return;
  } finally {
    clearTimeout(reminder);
    unanswered = false;
  }
  if (microphone === null) return;
  conversation.forget();
  lastSound = new LastSound();
  sessions = 0;
  gainless = 0;
  busy = false;
  become('open');
  connection.connect();
}

/** No call begins, and this is why; on a small screen the line may be out of sight. */
function refuse(why) {
  fail(why, 'MICROPHONE');
  at('error').scrollIntoView({ block: 'nearest' });
}

/** The visitor will not wait for the microphone. If it comes nevertheless, it is let go at once. */
function cancelCall() {
  opening += 1;
  announceCall(false);
  become('idle');
  playback.close();
}

function endCall() {
  if (call === 'opening') cancelCall();
  if (call !== 'open') return;
  become('ending');
  closeMicrophone();
  playback.close();
  connection.end('user.action.end_call', { reason: 'caller_hung_up' });
}

function callOver(why) {
  if (call === 'idle') return;
  if (why !== '' || call === 'ending') errorLine.over(...IN_CALL);
  conversation.forget();
  closeMicrophone();
  if (!playback.playing) playback.close();
  become('idle');
  watchServer();
  if (why !== '') fail(why, 'ENDED');
}

/** The page goes away, perhaps to come back as it was: the call does not. */
function leave() {
  if (call === 'opening') cancelCall();
  if (call === 'idle') return;
  connection.leave('user.action.end_call', { reason: 'page_left' });
  playback.close();
}

function closeMicrophone() {
  recording = false;
  announceCall(false);
  microphone?.close();
  microphone = null;
  level.clear();
}

function microphoneLost(error) {
  fail(`The microphone is gone. ${error?.message ?? ''}`.trim(), 'MICROPHONE');
  endCall();
}

// --- the link ------------------------------------------------------------------------------------------------

function linked(status, { sessionId, retryInMs, why }) {
  link = { ...link, retryInMs, why };
  if (status === 'error') link.reachable = false;
  body.dataset.connection = status;
  body.dataset.session = sessionId;
  if (status === 'connected') welcomed();
  else if (status === 'reconnecting') lineDropped(retryInMs);
  else if (status === 'disconnected') callOver(endWords(conversation.cause) || endWords(why));
  else if (status === 'error') callOver(why || 'The server cannot be reached.');
  render();
}

function welcomed() {
  conversation.forget();
  sessions += 1;
  gainless = 0;
  busy = false;
  if (sessions > 1) conversation.note('Connected again. This is a new conversation: the agent has forgotten the one before.');
  else if (conversation.entries.length > 0) conversation.note('A new call');
  errorLine.over(...IN_CALL);
  if (mode === 'automatic') beginRecording();
}

function lineDropped(retryInMs) {
  recording = false;
  playback.cancel();
  conversation.forget();
  if (retryInMs !== null && ++gainless === GAINLESS && !busy) explain();
}

/** The WebSocket cannot be had. If the server answers all the same, something between takes the upgrade away. */
async function explain() {
  const { reachable, ready } = await askServer();
  if (!reachable || !ready || connection.status === 'connected' || call !== 'open') return;
  conversation.fail('The server answers, but no call gets through: a proxy before it seems to drop the Upgrade header.', 'UPGRADE');
  showError(UNTIL.CONNECTED);
}

function received(message) {
  const { eventType, payload } = message;
  const known = conversation.errors.length;
  const before = conversation.state;
  conversation.take(message);
  if (conversation.state === 'THINKING' && before !== 'THINKING') errorLine.over(UNTIL.NEXT_TURN);
  if (conversation.errors.length > known && eventType !== 'system.status.busy') showError(connection.status === 'connected' ? UNTIL.NEXT_TURN : UNTIL.CONNECTED);
  busy = eventType === 'system.status.busy' || busy;
  if (eventType === 'audio.output.start') playback.begin(payload.utteranceId, rateIn(payload));
  else if (eventType === 'audio.output.chunk') heard(payload);
  else if (eventType === 'audio.output.complete') playback.end(payload.utteranceId);
  else if (eventType === 'audio.output.cancel') playback.cancel(payload.utteranceId);
  render();
}

function heard({ audio, utteranceId, ...payload }) {
  if (audio instanceof Uint8Array && typeof utteranceId === 'string' && call === 'open') {
    playback.push(utteranceId, audio, rateIn(payload));
  }
}

function rateIn({ samplingRate, sampleRate }) {
  const rate = samplingRate ?? sampleRate;
  return rate >= 3000 && rate <= 192000 ? rate : LIKELY_RATE;
}

// --- turns ---------------------------------------------------------------------------------------------------

function beginRecording() {
  if (recording || connection.status !== 'connected' || microphone === null) return;
  recording = true;
  const request = connection.request('audio.input.start', {
    samplingRate: microphone.rate,
    turnMode: mode,
  });
  request.catch((error) => {
    if (connection.status !== 'connected') return; // the lost link is shown as such
    recording = false;
    fail(error.message, 'REQUEST');
    render();
  });
}

function endRecording() {
  if (!recording) return;
  recording = false;
  connection.request('audio.input.stop', {}).catch((error) => {
    if (connection.status === 'connected') fail(error.message, 'REQUEST');
  });
}

function toggleTurn() {
  if (call !== 'open' || mode !== 'manual') return;
  if (recording) endRecording();
  else {
    errorLine.over(UNTIL.NEXT_TURN);
    playback.cancel(); // the server cuts its answer off by itself when a recording starts
    beginRecording();
  }
  render();
}

function chooseMode(chosen) {
  if (chosen === mode) return;
  mode = chosen;
  endRecording();
  if (mode === 'automatic') beginRecording();
  render();
}

/** Silence at once, here and at the server; nothing if nobody is answering. */
function interrupt() {
  if (!playback.playing && conversation.state !== 'RESPONDING' && conversation.state !== 'THINKING') return;
  playback.cancel();
  connection.send('user.action.interrupt', { timestamp: Date.now() });
}

// --- sound ---------------------------------------------------------------------------------------------------

function captured(audio, rms) {
  lastSound.take(rms, performance.now());
  level.take(rms, recording);
  if (!recording || connection.status !== 'connected') return;
  const timestamp = performance.timeOrigin + performance.now();
  const sent = connection.sendIfRoom('audio.input.chunk', { audio: new Uint8Array(audio), timestamp });
  if (!sent && !droppedAudio) fail('The network is too slow: some of what you said was lost.', 'NETWORK');
  if (sent) errorLine.over(UNTIL.AUDIO_SENT);
  droppedAudio = !sent;
}

function played({ kind, utterance, heardAt }) {
  heardUtterance = utterance;
  if (kind === 'started') {
    errorLine.over(UNTIL.NEXT_ANSWER);
    conversation.started(utterance, heardAt, lastSound.at);
  } else if (kind === 'overflow') fail('The server sent more sound than can be kept; some of the answer was lost.', 'OVERFLOW');
  else if (call === 'idle' && kind !== 'progress') playback.close(); // the last words are over, one way or another
  render();
}

// --- what is shown -------------------------------------------------------------------------------------------

function become(next) {
  call = next;
  body.dataset.call = next;
  render();
}

function fail(message, code = '') {
  if (code === 'REQUEST' && errorLine.says(message)) return; // the server has said so already
  conversation.fail(message, code);
  showError(SHOWN_UNTIL[code] ?? UNTIL.NEXT_CALL);
}

function showError(until) {
  errorLine.show(conversation.errors.at(-1).message, until);
}

/** Show everything as it now is, once for all that happens in one go. */
function render() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    draw();
  });
}

function draw() {
  const { state, substate } = conversation;
  const { status } = connection;
  body.dataset.state = state;
  body.dataset.substate = substate;
  const sound = worse(microphone?.sound ?? 'ok', playback.sound);
  const begun = sessions > 0;
  const [phrase, hint] = stateWords({ call, status, mode, recording, state, substate, sound, begun, unanswered, busy });
  const [colour, words] = lamp(status, link);
  write('phrase', phrase);
  write('hint', hint);
  write('announcement', call === 'open' ? announcement({ status, state, sound }) : '');
  write('connection', words);
  body.dataset.lamp = colour;
  write('session', body.dataset.session && `Session ${body.dataset.session}`);
  write('turn-words', recording ? 'End your turn' : 'Begin your turn');
  const open = call === 'open';
  at('start').hidden = call !== 'idle';
  at('turn').hidden = !open || mode !== 'manual';
  at('turn').disabled = status !== 'connected';
  at('interrupt').hidden = !open;
  at('interrupt').disabled = !playback.playing && state !== 'RESPONDING' && state !== 'THINKING';
  at('end').hidden = call === 'idle';
  at('end').disabled = call === 'ending';
  write('end', call === 'opening' || (status === 'reconnecting' && !begun) ? 'Cancel' : 'End call');
  at('reconnect').hidden = status !== 'reconnecting' && link.reachable !== false;
  body.toggleAttribute('data-recording', recording);
  diagram.light(state, substate);
  transcript.show(conversation.entries);
  latency.show(conversation.turns);
}

/** Change a text only if it differs, so that screen readers hear each change once. */
function write(id, words) {
  if (at(id).textContent !== words) at(id).textContent = words;
}

// --- the server ----------------------------------------------------------------------------------------------

/** Ask the server whether it takes calls, now and every few seconds. During a call, the link tells more. */
async function watchServer() {
  if (call === 'idle' && !document.hidden) introduce(await askServer());
  clearTimeout(asking);
  asking = setTimeout(watchServer, ASK_EVERY_MS);
}

function introduce({ reachable, ready, smokeTest, providers }) {
  if (call === 'idle') link = { ...link, reachable, ready };
  render();
  const introduction = JSON.stringify([smokeTest, providers]);
  if (!reachable || introduction === introduced) return;
  introduced = introduction;
  at('brain').hidden = !smokeTest;
  at('providers').hidden = providers.length === 0;
  at('providers').replaceChildren(...providers.map(([role, name]) => named(role, name)));
  if (at('diagram').childElementCount === 0) diagram.load('diagrams/conversation.svg');
}

function named(role, name) {
  const pair = document.createElement('div');
  for (const [tag, words] of [['dt', role], ['dd', name]]) {
    const element = document.createElement(tag);
    element.textContent = words;
    pair.append(element);
  }
  return pair;
}

function reconnect() {
  if (connection.status === 'reconnecting') connection.retryNow();
  else if (connection.status === 'error') startCall();
  else watchServer();
}

/** The visitor is here: the browser gives back what it has taken from a page that nobody looked at. */
function wake() {
  if (document.hidden) return;
  microphone?.poke();
  playback.poke();
}

/** The visitor has come back: is everything still there? */
function comeBack() {
  microphone?.look();
  if (document.hidden) return;
  wake();
  if (call === 'open') connection.probe();
  watchServer();
}

// --- keys and clicks -----------------------------------------------------------------------------------------

const TAKES_SPACE = 'button, a[href], summary, input:not([type=radio]), select, textarea, [contenteditable]';

function pressed(event) {
  wake();
  if (event.altKey || event.ctrlKey || event.metaKey || call !== 'open') return;
  if (event.key === 'Escape') interrupt();
  else if (event.key === ' ' && mode === 'manual' && !event.target.closest?.(TAKES_SPACE)) {
    event.preventDefault(); // no scrolling
    if (!event.repeat) toggleTurn();
  }
}

at('start').addEventListener('click', startCall);
at('end').addEventListener('click', endCall);
at('turn').addEventListener('click', toggleTurn);
at('interrupt').addEventListener('click', interrupt);
at('reconnect').addEventListener('click', reconnect);
for (const radio of document.querySelectorAll('input[name=mode]')) {
  radio.addEventListener('change', () => chooseMode(radio.value));
  if (radio.checked) mode = radio.value; // browsers restore a choice on reload
}
document.addEventListener('keydown', pressed);
document.addEventListener('click', wake);
document.addEventListener('visibilitychange', comeBack);
window.addEventListener('pageshow', comeBack);
window.addEventListener('pagehide', leave);
window.addEventListener('online', () => connection.probe());
navigator.mediaDevices?.addEventListener('devicechange', wake);

Object.defineProperty(window, 'vantum', {
  value: Object.freeze({
    get state() { return conversation.state; },
    get substate() { return conversation.substate; },
    get connection() { return connection.status; },
    get session() { return connection.sessionId; },
    get turns() { return structuredClone(conversation.turns); },
    get errors() { return structuredClone(conversation.errors); },
    get playback() { return { playing: playback.playing, playedMs: playback.playedMs, utterance: heardUtterance }; },
  }),
});

render();
watchServer();
