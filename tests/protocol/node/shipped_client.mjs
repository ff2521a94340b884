// What the reference's shipped web client does with a frame, restated: its checks, its acks, its error rule.
//
// stdin: a JSON array of steps, {"send": eventType, "eventId": id} for a tracked request, {"frame": hex} for a
// frame from the server. stdout: what the user would notice, in order, as a JSON array of strings.
import { readFileSync } from "node:fs";
import { unpack } from "msgpackr";

const seen = [];
const pending = new Map();
let sessionId = null;
let playing = null;

const log = (fields) => JSON.stringify(fields); // throws on a BigInt, as the client's logger does

const stopPlayback = (why) => {
  seen.push(`${why}: playback stopped`);
  playing = null;
};

const enqueue = ({ audio, sampleRate, utteranceId }) => {
  if (!ArrayBuffer.isView(audio) || audio.byteLength === 0) throw new Error("audio is not a typed array");
  const rate = Number.isFinite(sampleRate) && sampleRate > 0 && sampleRate <= 192000 ? sampleRate : 16000;
  if (playing !== null && playing !== utteranceId) stopPlayback("another utterance");
  playing = utteranceId;
  const bytes = Uint8Array.from(audio); // a copy: the view may lie at an odd offset of the frame
  const samples = new Int16Array(bytes.buffer, 0, bytes.byteLength >> 1);
  seen.push(`plays ${samples.length} samples at ${rate} Hz from ${samples[0]}`);
};

const handlers = {
  "connection.ack": () => {},
  "voicechat.response.start": ({ payload }) => {
    log({ utteranceId: payload.utteranceId, timestamp: payload.timestamp });
    stopPlayback("start");
  },
  "voicechat.response.chunk": ({ payload }) => enqueue(payload),
  "voicechat.response.complete": ({ payload }) => {
    log({ utteranceId: payload.utteranceId });
    seen.push("complete");
  },
  "voicechat.response.interrupt": ({ payload }) => {
    log({ utteranceId: payload.utteranceId, timestamp: payload.timestamp });
    stopPlayback("interrupt");
  },
  "voicechat.response.stop": ({ payload }) => {
    log({ utteranceId: payload.utteranceId, timestamp: payload.timestamp });
    stopPlayback("stop");
  },
};

const receive = (data) => {
  const message = unpack(data);
  if (!message.eventType) return void seen.push("dropped: no event type");
  if (message.eventType === "connection.ack" && message.sessionId) {
    sessionId = message.sessionId;
    seen.push(`session ${sessionId}`);
  }
  if (message.payload.success === true && pending.has(message.eventId)) {
    seen.push(`acknowledged ${pending.get(message.eventId)}`);
    pending.delete(message.eventId);
    return;
  }
  if (message.eventType.endsWith(".error")) {
    seen.push(`${message.requestType || "ERROR"}: ${message.payload.message || "Unknown error"}`);
    return;
  }
  const handler = handlers[message.eventType];
  if (handler) handler(message);
  else seen.push(`unhandled event type ${message.eventType}`);
};

for (const step of JSON.parse(readFileSync(0, "utf8"))) {
  if (step.send) pending.set(step.eventId, step.send);
  else {
    const frame = Buffer.from(step.frame, "hex");
    receive(new Uint8Array(frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.byteLength)));
  }
}
for (const request of pending.values()) seen.push(`timed out ${request}`);
process.stdout.write(JSON.stringify(seen));
