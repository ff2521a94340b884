// Where the time of a turn went, as the server reports it with `conversation.response.complete`.

/** The stages in order; `field` is the name on the wire, each in ms and counted from the end of the one before. */
export const STAGES = [
  { field: 'endpointMs', id: 'endpoint', name: 'Noticing the end', about: 'from the end of your voice to the decision that your turn is over' },
  { field: 'transcriptMs', id: 'transcript', name: 'Writing it down', about: 'from there to the final transcript' },
  { field: 'firstSegmentMs', id: 'segment', name: 'First words', about: 'from there to the first text that can be spoken' },
  { field: 'firstAudioMs', id: 'audio', name: 'First sound', about: 'from there to the first audio sent' },
];

/** {stages: [{id, name, about, ms}], totalMs} of the stages that are known, or null if none is. */
export function split(latency) {
  if (typeof latency !== 'object' || latency === null) return null;
  const stages = STAGES.map(({ field, id, name, about }) => ({ id, name, about, ms: time(latency[field]) }))
    .filter(({ ms }) => ms !== null);
  const totalMs = time(latency.totalMs) ?? (stages.length > 0 ? stages.reduce((sum, { ms }) => sum + ms, 0) : null);
  return totalMs === null ? null : { stages, totalMs };
}

/** The middle value, or null of none. */
export function median(values) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Milliseconds for reading: `87 ms`, `1.24 s`. */
export function spell(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function time(value) {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}
