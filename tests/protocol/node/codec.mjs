// msgpackr as the reference uses it, driven from the tests: one JSON job on stdin, one JSON result on stdout.
//
//   {"decode": [hex, ...]}  what the shipped client reads from our frames; JSON.stringify, which it uses for
//                           logging, must not throw. Binary becomes {"$bin": hex}.
//   {"encode": [name, ...]} the frames of a JavaScript client, by name; hex.
//   {"echo": [hex, ...]}    unpack and pack again.
import { readFileSync } from "node:fs";
import { pack, unpack } from "msgpackr";

const NOW = 1763856000123;
const HEADER = { eventId: "0190b1b2-0000-7000-8000-000000000001", sessionId: "0190b1b2-0000-7000-8000-00000000000a" };
const pcm = (bytes) => new Uint8Array(bytes).map((_, index) => index & 255);
const message = (eventType, payload) => ({ eventType, ...HEADER, payload });

const VALUES = {
  "empty map": {},
  "map of one": { a: 1 },
  undefined: undefined,
  null: null,
  "undefined field": { a: undefined },
  "clock value": NOW,
  "greatest uint32": 2 ** 32 - 1,
  "above uint32": 2 ** 32,
  "least int32": -(2 ** 31),
  "below int32": -(2 ** 31) - 1,
  fraction: 0.25,
  nan: NaN,
  true: true,
  text: "voicechat.audio.start",
  "long text": "ä".repeat(300),
  "no bytes": new Uint8Array(0),
  "255 bytes": pcm(255),
  "8192 bytes": pcm(8192),
  "65536 bytes": pcm(65536),
  "array buffer": pcm(4).buffer,
  buffer: Buffer.from([0, 1, 2, 3]),

  start: message("voicechat.audio.start", { samplingRate: 16000, language: "en-US", voiceId: "voice" }),
  "start at a fractional rate": message("voicechat.audio.start", { samplingRate: 44100.0001 }),
  "start with nothing said": message("voicechat.audio.start", { samplingRate: undefined, voiceId: null }),
  "start at NaN": message("voicechat.audio.start", { samplingRate: NaN }),
  chunk: message("voicechat.audio.chunk", { audio: pcm(8192), isMuted: false }),
  "chunk of an array buffer": message("voicechat.audio.chunk", { audio: pcm(8192).buffer, isMuted: false }),
  end: message("voicechat.audio.end", {}),
  "end without ids": { eventType: "voicechat.audio.end", eventId: undefined, sessionId: null, payload: {} },
  "v2 start": message("audio.input.start", { samplingRate: 48000, turnMode: "automatic" }),
  "v2 chunk": message("audio.input.chunk", { audio: pcm(1920), timestamp: NOW }),
  "v2 end": message("audio.input.end", { reason: undefined }),
  "v2 interrupt": message("user.action.interrupt", { timestamp: NOW }),
  "payload of a date": message("user.action.interrupt", { timestamp: new Date(NOW) }),
  "a wide integer": message("user.action.interrupt", { timestamp: BigInt(NOW) }),
};

const readable = (value) => {
  if (value instanceof Uint8Array) return { $bin: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(readable);
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, readable(item)]));
  return value;
};

const decode = (hex) => {
  const value = unpack(Buffer.from(hex, "hex"));
  JSON.stringify(value);
  return readable(value);
};

const work = {
  decode,
  encode: (name) => pack(VALUES[name]).toString("hex"),
  echo: (hex) => pack(unpack(Buffer.from(hex, "hex"))).toString("hex"),
};

const [[kind, items]] = Object.entries(JSON.parse(readFileSync(0, "utf8")));
process.stdout.write(JSON.stringify(items.map(work[kind])));
