// The link to the server: one socket at a time, requests with their acks, reconnection with back-off.

import { uuid7 } from './uuid.js';
import { errorIn, frame, isAck, isError, read, SUBPROTOCOL } from './wire.js';

export const MAX_ATTEMPTS = 8; // about three quarters of a minute of trying
const DELAYS_MS = [500, 1000, 2000, 4000, 8000, 10000];
const STEADY_MS = 5000; // a link that held this long starts counting its failures anew
const ACK_MS = 15_000; // longer than the server may take to connect its providers or to finish a transcript
const HEARTBEAT_MS = 15_000;
const SILENCE_MS = 45_000; // without any answer, from a server that answers heartbeats
const FAREWELL_MS = 3000;
const SLOW_BYTES = 1 << 20; // half a minute of speech at 16 kHz still unsent: the network cannot keep up
const NORMAL = 1000;
const POLICY = 1008;

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
 * `world` is what the browser gives: WebSocket, setTimeout, clearTimeout, now(), random().
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
    this.wanted = false;
    this.pending = new Map();
    this.timers = new Set();
  }

  /** Connect, at once even if an attempt was due later. */
  connect() {
    this.wanted = true;
    this.attempt = 0;
    this.#open('connecting');
  }

  /** Try now what was due later; for when the browser says that the network is back. */
  retryNow() {
    if (this.status === 'reconnecting') this.#open('reconnecting');
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
    if (this.status !== 'connected') return null;
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
    this.#become(status);
    const socket = new this.world.WebSocket(this.url, [SUBPROTOCOL]);
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
    this.heardAt = this.world.now();
    if (message.eventType === 'connection.lifecycle.ack') this.#welcome(message);
    else if (message.eventType === 'connection.lifecycle.heartbeat') this.answersHeartbeats = true;
    else if (isAck(message) && this.pending.has(message.eventId)) this.#settle(message.eventId).resolve();
    else {
      if (isError(message.eventType)) this.#settle(message.eventId)?.reject(new RequestError(errorIn(message).message));
      this.on.message(message);
    }
  }

  #welcome({ sessionId, payload }) {
    const named = sessionId || (typeof payload.sessionId === 'string' ? payload.sessionId : '');
    if (named === '' || this.status === 'connected') return;
    this.sessionId = named;
    this.#after(STEADY_MS, () => { this.attempt = 0; });
    this.answersHeartbeats = false;
    this.#become('connected');
    this.#beat();
  }

  #beat() {
    this.#after(HEARTBEAT_MS, () => {
      if (this.status !== 'connected') return;
      if (this.answersHeartbeats && this.world.now() - this.heardAt > SILENCE_MS) {
        this.#lost('The server went silent.');
        return;
      }
      this.send('connection.lifecycle.heartbeat', { timestamp: Date.now() });
      this.#beat();
    });
  }

  #closed(code, reason) {
    if (!this.wanted || code === NORMAL) this.#leave('disconnected', reason);
    else if (code === POLICY) this.#leave('error', reason || 'The server refused this page.');
    else this.#lost(reason);
  }

  #lost(why) {
    if (!this.wanted) return this.#leave('disconnected', '');
    if (this.attempt >= MAX_ATTEMPTS) return this.#leave('error', why || 'The server cannot be reached.');
    this.#drop();
    const retryInMs = backOff(this.attempt++, this.world.random());
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
    this.timers.delete(request.timer);
    this.world.clearTimeout(request.timer);
    return request;
  }

  #after(ms, action) {
    const timer = this.world.setTimeout(() => {
      this.timers.delete(timer);
      action();
    }, ms);
    this.timers.add(timer);
    return timer;
  }

  #become(status, { retryInMs = null, why = '' } = {}) {
    this.status = status;
    this.on.status(status, { sessionId: this.sessionId, retryInMs, why });
  }
}
