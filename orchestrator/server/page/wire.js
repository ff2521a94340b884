// The envelope of the wire: {eventType, eventId, sessionId, payload} as one MessagePack map in one frame.

import { decode, DecodeError, encode } from './vendor/msgpack/index.mjs';

/** Chooses the hierarchical dialect (`domain.category.action`). */
export const SUBPROTOCOL = 'vantum.v2';
/** Offered beside it, with a token behind it. */
export const TOKEN_SUBPROTOCOL = 'vantum.token.';

// `undefined` is absent. Numbers follow the server's rule: whole numbers that do not fit 32 bits, such as times in ms,
// travel as float64. The library does that where BigInt is on, since then only a BigInt is an integer of 64 bits.
const ENCODING = { ignoreUndefined: true, useBigInt64: true };

/** The frame of one message. `sessionId` may be null before the server has announced one. */
export function frame(eventType, eventId, sessionId, payload) {
  return encode({ eventType, eventId, sessionId: sessionId ?? undefined, payload }, ENCODING);
}

/**
 * The message in a frame, or null if there is none to be had; missing parts become '' and {}. Integers of 64 bits are
 * read as Number. Binary values are views into the frame.
 */
export function read(data) {
  if (!(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) return null;
  let value;
  try {
    // Each item takes a byte at least. The library makes room for as many as are announced, up to 270 MB, before it looks.
    value = decode(data, { maxArrayLength: data.byteLength });
  } catch (error) {
    if (error instanceof RangeError || error instanceof DecodeError) return null; // cut short or too long; malformed
    throw error;
  }
  if (!isMap(value) || typeof value.eventType !== 'string' || value.eventType === '') return null;
  return {
    eventType: value.eventType,
    eventId: string(value.eventId),
    sessionId: string(value.sessionId),
    requestType: string(value.requestType),
    payload: isMap(value.payload) ? value.payload : {},
  };
}

/** Whether the message confirms a request (the caller compares the event id). */
export function isAck(message) {
  return message.payload.success === true;
}

/** Whether the event reports an error: `x.error.y`, `error.x.y`, or the older `x.y.error`. */
export function isError(eventType) {
  const parts = eventType.split('.');
  return parts.length > 1 && (parts[0] === 'error' || parts[1] === 'error' || parts.at(-1) === 'error');
}

/** What an error event says, wherever it says it. */
export function errorIn({ eventType, requestType, payload }) {
  const inner = isMap(payload.error) ? payload.error : payload;
  return {
    eventType,
    requestType: string(payload.requestType) || requestType,
    code: string(inner.code),
    message: string(inner.message) || `The server reported ${eventType}`,
  };
}

function isMap(value) {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function string(value) {
  return typeof value === 'string' ? value : '';
}
