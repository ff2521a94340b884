// MessagePack, as far as the wire needs it: every type is decoded, the plain JavaScript values are encoded.
//
// Numbers follow the server's rules: whole numbers that fit 32 bits travel as integers, all others (so every
// millisecond clock value) as float64; integers of 64 bits decode to Number, never to BigInt.

const MAX_DEPTH = 64;
const utf8 = new TextEncoder();
const text = new TextDecoder();

/** The bytes are not MessagePack: cut short, followed by more, nested too deep, or the unused byte c1. */
export class MsgpackError extends Error {}

/** An extension value that has no meaning here: its type (-128 to 127) and its bytes. */
export class Extension {
  constructor(type, data) {
    this.type = type;
    this.data = data;
  }
}

/** Encode null, boolean, number, bigint, string, bytes, array, Map or object. Absent (undefined) keys are left out. */
export function encode(value) {
  const out = new Writer();
  out.value(value, 0);
  return out.bytes.slice(0, out.length);
}

/** Decode exactly one value. Throws MsgpackError. `bin` becomes a Uint8Array of its own memory. */
export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at !== reader.bytes.length) throw new MsgpackError(`${reader.bytes.length - reader.at} bytes too many`);
  return value;
}

class Writer {
  constructor() {
    this.bytes = new Uint8Array(256);
    this.view = new DataView(this.bytes.buffer);
    this.length = 0;
  }

  value(value, depth) {
    if (depth > MAX_DEPTH) throw new MsgpackError(`nested deeper than ${MAX_DEPTH}`);
    if (value === null || value === undefined) this.u8(0xc0);
    else if (typeof value === 'boolean') this.u8(value ? 0xc3 : 0xc2);
    else if (typeof value === 'number') this.number(value);
    else if (typeof value === 'bigint') this.bigint(value);
    else if (typeof value === 'string') this.string(value);
    else if (value instanceof ArrayBuffer) this.binary(new Uint8Array(value));
    else if (ArrayBuffer.isView(value)) this.binary(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    else if (Array.isArray(value)) this.array(value, depth);
    else if (value instanceof Map) this.map([...value], depth);
    else if (typeof value === 'object') this.map(Object.entries(value), depth);
    else throw new MsgpackError(`a ${typeof value} cannot be encoded`);
  }

  number(n) {
    if (!Number.isInteger(n) || Object.is(n, -0) || n > 0xffffffff || n < -0x80000000) {
      this.u8(0xcb);
      this.room(8);
      this.view.setFloat64(this.length, n);
      this.length += 8;
    } else if (n >= 0) this.unsigned(n);
    else this.negative(n);
  }

  unsigned(n) {
    if (n < 0x80) this.u8(n);
    else if (n < 0x100) this.u8(0xcc, n);
    else if (n < 0x10000) this.u16(0xcd, n);
    else this.u32(0xce, n);
  }

  negative(n) {
    if (n >= -0x20) this.u8(n & 0xff);
    else if (n >= -0x80) this.u8(0xd0, n & 0xff);
    else if (n >= -0x8000) this.u16(0xd1, n & 0xffff);
    else this.u32(0xd2, n >>> 0);
  }

  bigint(n) {
    const signed = n < 0n;
    if (n < -(2n ** 63n) || n >= 2n ** 64n) throw new MsgpackError(`${n} does not fit 64 bits`);
    this.u8(signed ? 0xd3 : 0xcf);
    this.room(8);
    if (signed) this.view.setBigInt64(this.length, n);
    else this.view.setBigUint64(this.length, n);
    this.length += 8;
  }

  string(value) {
    const bytes = utf8.encode(value);
    if (bytes.length < 32) this.u8(0xa0 | bytes.length);
    else this.header(bytes.length, 0xd9, 0xda, 0xdb);
    this.raw(bytes);
  }

  binary(bytes) {
    this.header(bytes.length, 0xc4, 0xc5, 0xc6);
    this.raw(bytes);
  }

  array(items, depth) {
    if (items.length < 16) this.u8(0x90 | items.length);
    else this.header(items.length, null, 0xdc, 0xdd);
    for (const item of items) this.value(item, depth + 1);
  }

  map(entries, depth) {
    const present = entries.filter(([, value]) => value !== undefined);
    if (present.length < 16) this.u8(0x80 | present.length);
    else this.header(present.length, null, 0xde, 0xdf);
    for (const [key, value] of present) {
      this.value(key, depth + 1);
      this.value(value, depth + 1);
    }
  }

  header(length, tag8, tag16, tag32) {
    if (tag8 !== null && length < 0x100) this.u8(tag8, length);
    else if (length < 0x10000) this.u16(tag16, length);
    else this.u32(tag32, length);
  }

  u8(...values) {
    this.room(values.length);
    for (const value of values) this.bytes[this.length++] = value;
  }

  u16(tag, value) {
    this.u8(tag, value >>> 8, value & 0xff);
  }

  u32(tag, value) {
    this.u8(tag, value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
  }

  raw(bytes) {
    this.room(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  room(count) {
    if (this.length + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    grown.set(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}

class Reader {
  constructor(data) {
    this.bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.at = 0;
  }

  value(depth) {
    if (depth > MAX_DEPTH) throw new MsgpackError(`nested deeper than ${MAX_DEPTH}`);
    const tag = this.unsigned(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.map(tag & 0x0f, depth);
    if (tag < 0xa0) return this.array(tag & 0x0f, depth);
    if (tag < 0xc0) return this.string(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    return this.tagged(tag, depth);
  }

  tagged(tag, depth) {
    switch (tag) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.take(this.unsigned(1 << (tag - 0xc4)));
      case 0xc7: case 0xc8: case 0xc9: return this.extension(this.unsigned(1 << (tag - 0xc7)));
      case 0xca: return this.fixed(4, (at) => this.view.getFloat32(at));
      case 0xcb: return this.fixed(8, (at) => this.view.getFloat64(at));
      case 0xcc: case 0xcd: case 0xce: return this.unsigned(1 << (tag - 0xcc));
      case 0xcf: return this.fixed(8, (at) => Number(this.view.getBigUint64(at)));
      case 0xd0: return this.fixed(1, (at) => this.view.getInt8(at));
      case 0xd1: return this.fixed(2, (at) => this.view.getInt16(at));
      case 0xd2: return this.fixed(4, (at) => this.view.getInt32(at));
      case 0xd3: return this.fixed(8, (at) => Number(this.view.getBigInt64(at)));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return this.extension(1 << (tag - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return this.string(this.unsigned(1 << (tag - 0xd9)));
      case 0xdc: case 0xdd: return this.array(this.unsigned(2 << (tag - 0xdc)), depth);
      case 0xde: case 0xdf: return this.map(this.unsigned(2 << (tag - 0xde)), depth);
      default: throw new MsgpackError(`byte ${tag.toString(16)} begins no value`);
    }
  }

  map(count, depth) {
    const result = {};
    for (let i = 0; i < count; i++) {
      const key = String(this.value(depth + 1));
      const value = this.value(depth + 1);
      // Defined, not assigned: a key called __proto__ is data like any other.
      Object.defineProperty(result, key, { value, writable: true, enumerable: true, configurable: true });
    }
    return result;
  }

  array(count, depth) {
    const result = [];
    for (let i = 0; i < count; i++) result.push(this.value(depth + 1));
    return result;
  }

  string(length) {
    return text.decode(this.take(length));
  }

  extension(length) {
    const type = this.fixed(1, (at) => this.view.getInt8(at));
    const data = this.take(length);
    if (type === 0 && length === 1) return undefined; // msgpackr's way to write undefined
    if (type === -1) return timestamp(data);
    return new Extension(type, data);
  }

  unsigned(size) {
    let value = 0;
    for (const byte of this.peek(size)) value = value * 256 + byte;
    this.at += size;
    return value;
  }

  fixed(size, read) {
    this.peek(size);
    const value = read(this.at);
    this.at += size;
    return value;
  }

  take(length) {
    const bytes = this.peek(length).slice();
    this.at += length;
    return bytes;
  }

  peek(length) {
    if (this.at + length > this.bytes.length) throw new MsgpackError('cut short');
    return this.bytes.subarray(this.at, this.at + length);
  }
}

/** The standard timestamp extension in its three sizes, as a Date. */
function timestamp(data) {
  const view = new DataView(data.buffer);
  if (data.length === 4) return new Date(view.getUint32(0) * 1000);
  if (data.length === 8) {
    const seconds = (view.getUint32(0) & 0x3) * 2 ** 32 + view.getUint32(4);
    return new Date(seconds * 1000 + (view.getUint32(0) >>> 2) / 1e6);
  }
  if (data.length === 12) return new Date(Number(view.getBigInt64(4)) * 1000 + view.getUint32(0) / 1e6);
  throw new MsgpackError(`a timestamp of ${data.length} bytes`);
}
