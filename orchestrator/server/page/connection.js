// The link to the server: one socket at a time, requests with their acks, reconnection with back-off.

import { meaningOf, NORMAL, readReason } from './close-codes.js';
import { uuid7 } from './uuid.js';
import { errorIn, frame, isAck, isError, read, SUBPROTOCOL, TOKEN_SUBPROTOCOL } from './wire.js';

export const MAX_ATTEMPTS = 8; // about three quarters of a minute of trying
const REASONED = new Set([1008, 4401, 4403]); // closes whose reason is for the visitor
const DELAYS_MS = [500, 1000, 2000, 4000, 8000, 10000];
const STEADY_MS = 5000; // a link that held this long starts counting its failures anew
const CLOSING = 2; // a `readyState`: from here on nothing can be sent
const ACK_MS = 15_000; // longer than the server may take to connect its providers or to finish a transcript
const HEARTBEAT_MS = 15_000;
const ANSWER_MS = 10_000; // for the answer to a heartbeat; then the server is asked once more
const PROBE_MS = 5000; // for the answer to that, or to a heartbeat after the page slept: a phone's network must wake, too
const STUCK_MS = 3000; // a socket that connects for longer when the visitor comes back is not waited for
const ASLEEP_MS = 10_000; // a timer that is so late tells that the page slept
const FAREWELL_MS = 3000;
const SLOW_BYTES = 1 << 20; // half a minute of speech at 16 kHz still unsent: the network cannot keep up

/** Pause before attempt `attempt` (from 0) to reconnect, in ms; `random` from 0 to 1 spreads the callers. */
export function backOff(attempt, random) {
  return DELAYS_MS[Math.min(attempt, DELAYS_MS.length - 1)] * (0.8 + 0.4 * random);
}

/** A request that was refused, not confirmed in time, or lost with its socket. */
export class RequestError extends Error {}

/**
 * `status` is disconnected, connecting, connected (the server has named the session), reconnecting or error.
 *
 * `on.status(status, {sessionId, retryInMs, why})` on every change, `on.message(message)` for everything received but acks.
 * `world` is what the browser gives: WebSocket, setTimeout, clearTimeout, wall() (the time of day in ms, which goes on
 * while the page sleeps), random(); and token(), the token of the next connection or a promise of it, '' for none.
 */
export class Connection {
  constructor(url, on, world) {
    this.url = url;
    this.on = on;
    this.world = world;
    this.status = 'disconnected';
    this.sessionId = '';
    this.socket = null;
    this.attempt = 0;
    this.faults = 0; // calls that broke by a fault of the server's
    this.heard = 0; // messages
    this.wanted = false;
    this.asking = null;
    this.opening = 0; // counts attempts: one that was given up dials no more when its token comes
    this.pending = new Map();
    this.timers = new Set();
  }

  /** Connect, at once even if an attempt was due later. */
  connect() {
    this.wanted = true;
    this.attempt = 0;
    this.faults = 0;
    this.#open('connecting');
  }

  /** Try now what was due later; for when the browser says that the network is back. */
  retryNow() {
    if (this.status === 'reconnecting') this.#open('reconnecting');
  }

  /** Find out soon whether the server is still there; for when the visitor or the network has come back. */
  probe() {
    if (this.status === 'connected') this.#ask(PROBE_MS, false);
    else if (this.status === 'connecting' && this.world.wall() - this.openedAt > STUCK_MS) this.#open('connecting');
    else this.retryNow();
  }

  /** End at once, with `eventType`, and wait for nobody: the page goes away. */
  leave(eventType, payload) {
    if (!this.wanted) return;
    this.send(eventType, payload);
    this.#leave('disconnected', '');
  }

  /** Say goodbye with `eventType` and stay away; the server closes, or we do after a moment. */
  end(eventType, payload) {
    this.wanted = false;
    const socket = this.socket;
    if (this.status !== 'connected') {
      this.#leave('disconnected', '');
      return;
    }
    this.send(eventType, payload);
    this.#after(FAREWELL_MS, () => socket === this.socket && this.#leave('disconnected', ''));
  }

  /** Send a message. Returns its event id, or null if there is no session to send it in. */
  send(eventType, payload) {
    // The server may be closing: the browser knows it before it tells, and complains of what is still sent.
    if (this.status !== 'connected' || this.socket.readyState >= CLOSING) return null;
    const eventId = uuid7();
    this.socket.send(frame(eventType, eventId, this.sessionId, payload));
    return eventId;
  }

  /** Send a message that may be dropped. Says whether it was sent: not if the network is far behind. */
  sendIfRoom(eventType, payload) {
    if (this.status !== 'connected' || this.socket.bufferedAmount > SLOW_BYTES) return false;
    return this.send(eventType, payload) !== null;
  }

  /** Send a message and wait for its ack. Rejects with RequestError. */
  request(eventType, payload) {
    const eventId = this.send(eventType, payload);
    if (eventId === null) return Promise.reject(new RequestError(`${eventType}: not connected`));
    return new Promise((resolve, reject) => {
      const timer = this.#after(ACK_MS, () => {
        this.#settle(eventId)?.reject(new RequestError(`${eventType}: no confirmation within ${ACK_MS / 1000} s`));
      });
      this.pending.set(eventId, { resolve, reject, timer });
    });
  }

  #open(status) {
    this.#drop();
    const ours = this.opening;
    this.openedAt = this.world.wall();
    this.#become(status);
    const token = this.world.token();
    if (typeof token === 'string') this.#dial(token);
    else token.then((given) => { if (ours === this.opening) this.#dial(given); });
  }

  #dial(token) {
    const offered = token === '' ? [SUBPROTOCOL] : [SUBPROTOCOL, TOKEN_SUBPROTOCOL + token];
    const socket = new this.world.WebSocket(this.url, offered);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    const ours = (handle) => (event) => { if (socket === this.socket) handle(event); };
    socket.onmessage = ours(({ data }) => this.#take(data));
    socket.onclose = ours(({ code, reason }) => this.#closed(code, reason));
    this.#after(ACK_MS, () => {
      if (socket === this.socket && this.status !== 'connected') this.#lost('The server does not answer.');
    });
  }

  #take(data) {
    const message = read(data);
    if (message === null) return;
    this.heard += 1;
    if (message.eventType === 'connection.lifecycle.heartbeat') return;
    if (message.eventType === 'connection.lifecycle.ack') this.#welcome(message);
    else if (isAck(message) && this.pending.has(message.eventId)) this.#settle(message.eventId).resolve();
    else {
      if (message.eventType === 'connection.lifecycle.disconnect') this.#farewell(message.payload);
      if (isError(message.eventType)) this.#settle(message.eventId)?.reject(new RequestError(errorIn(message).message));
      this.on.message(message);
    }
  }

  #welcome({ sessionId, payload }) {
    const named = sessionId || (typeof payload.sessionId === 'string' ? payload.sessionId : '');
    if (named === '' || this.status === 'connected') return;
    this.sessionId = named;
    this.#after(STEADY_MS, () => { this.attempt = 0; });
    this.#become('connected');
    this.#beat();
  }

  /** The server hangs up. After a goodbye nobody is called again, however the socket then closes. */
  #farewell({ code, reason }) {
    if ((code ?? NORMAL) === NORMAL) this.wanted = false;
    this.goodbye = typeof reason === 'string' ? reason : '';
  }

  #beat() {
    this.asking = this.#after(HEARTBEAT_MS, (late) => {
      if (late > ASLEEP_MS) this.probe();
      else this.#ask(ANSWER_MS, true);
    });
  }

  /**
   * Send a heartbeat. Whatever comes within `patience` ms of the page's own time is a sign of life; without one, the
   * server is asked once more if `again` is true or if the page slept meanwhile (once), and then taken for gone.
   */
  #ask(patience, again, slept = false) {
    if (this.status !== 'connected') return;
    this.#cancel(this.asking);
    const heard = this.heard;
    this.send('connection.lifecycle.heartbeat', { timestamp: this.world.wall() });
    this.asking = this.#after(patience, (late) => {
      if (this.heard !== heard) this.#beat();
      else if (!slept && late > ASLEEP_MS) this.#ask(PROBE_MS, false, true);
      else if (again) this.#ask(PROBE_MS, false, slept);
      else this.#lost('The server went silent.');
    });
  }

  #closed(code, reason) {
    const { again, error } = meaningOf(code);
    const { why, retryMs } = readReason(reason);
    if (!this.wanted || code === NORMAL) return this.#leave('disconnected', why || this.goodbye);
    if (again === 'never' || (again === 'once' && this.faults > 0)) return this.#leave('error', why && REASONED.has(code) ? why : error);
    if (again === 'once') this.faults += 1;
    return this.#lost(error, retryMs);
  }

  #lost(why, retryMs = null) {
    if (!this.wanted) return this.#leave('disconnected', '');
    if (this.attempt >= MAX_ATTEMPTS) return this.#leave('error', why || 'The server cannot be reached.');
    this.#drop();
    const retryInMs = Math.max(retryMs ?? 0, backOff(this.attempt++, this.world.random()));
    this.#after(retryInMs, () => this.#open('reconnecting'));
    return this.#become('reconnecting', { retryInMs, why });
  }

  #leave(status, why) {
    this.wanted = false;
    this.#drop();
    this.#become(status, { why });
  }

  /** Let go of the socket and everything that belongs to it. */
  #drop() {
    for (const timer of this.timers) this.world.clearTimeout(timer);
    this.timers.clear();
    this.asking = null;
    this.goodbye = '';
    this.opening += 1;
    const socket = this.socket;
    this.socket = null;
    this.sessionId = '';
    socket?.close(NORMAL);
    for (const eventId of [...this.pending.keys()]) {
      this.#settle(eventId).reject(new RequestError('The connection was lost.'));
    }
  }

  #settle(eventId) {
    const request = this.pending.get(eventId);
    if (!request) return undefined;
    this.pending.delete(eventId);
    this.#cancel(request.timer);
    return request;
  }

  /** Do `action(late)` after `ms`; `late` is by how many ms of the day's time it comes too late. */
  #after(ms, action) {
    const due = this.world.wall() + ms;
    const timer = this.world.setTimeout(() => {
      this.timers.delete(timer);
      action(this.world.wall() - due);
    }, ms);
    this.timers.add(timer);
    return timer;
  }

  #cancel(timer) {
    if (timer === null) return;
    this.timers.delete(timer);
    this.world.clearTimeout(timer);
  }

  #become(status, { retryInMs = null, why = '' } = {}) {
    this.status = status;
    this.on.status(status, { sessionId: this.sessionId, retryInMs, why });
  }
}
