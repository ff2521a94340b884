// The page's sentences about the state of the conversation and of the link.

/** The five rooms, in the order a call passes through them. */
export const ROOMS = ['INITIALIZING', 'LISTENING', 'THINKING', 'RESPONDING', 'ENDING'];

const SUBSTATES = {
  connecting: ['Getting ready', 'The speech and language models are being opened.'],
  quiet: ['Listening', 'Go ahead, say something.'],
  hearing: ['Hearing you', ''],
  endpointing: ['A pause', 'If it lasts, your turn is over.'],
  speculating: ['Nearly your answer', 'The turn seems over; the answer is being prepared.'],
  keypad: ['Keys', 'What is pressed on the telephone is gathered.'],
  finalizing: ['Writing it down', 'The last of your words are being transcribed.'],
  generating: ['Thinking', 'The language model is working out an answer.'],
  running_tools: ['Looking it up', 'A tool that the language model asked for is running.'],
  retrying: ['Thinking again', 'The language model failed; it is being asked once more.'],
  speaking: ['Speaking', 'Talk over it to interrupt.'],
  paused: ['Holding on', 'Was that an interruption, or only a cough?'],
  confirming: ['Still holding on', 'What you said is being read before the answer goes on.'],
  saying_goodbye: ['Last words', 'Something that the call needs was lost.'],
  closing: ['Saying goodbye', ''],
  ended: ['The call has ended', ''],
};

const STATES = {
  INITIALIZING: SUBSTATES.connecting,
  LISTENING: SUBSTATES.quiet,
  THINKING: SUBSTATES.generating,
  RESPONDING: SUBSTATES.speaking,
  ENDING: SUBSTATES.closing,
};

/** [headline, sentence] for sound that the browser has taken away, as of `SoundKeeper`. */
const SOUNDS = {
  paused: ['The browser has paused the sound', 'Click or tap anywhere to go on.'],
  taken: ['The sound is interrupted', 'Something else has it: a telephone call, perhaps. The page takes it back as soon as it can.'],
  lost: ['The sound is gone', 'Connect a microphone and a loudspeaker.'],
};

/** [headline, sentence] for where the conversation is. */
export function stateWords({
  call, status, mode, recording, state, substate, sound = 'ok', begun = true, unanswered = false, busy = false,
}) {
  if (call === 'opening' && unanswered) {
    return ['Opening the microphone', 'The browser waits for your answer: look for its question beside the address, or behind this window.'];
  }
  if (call === 'opening') return ['Opening the microphone', 'Your browser may ask for permission.'];
  if (call === 'idle') return ['Press Start and talk', 'Your microphone is opened when you press Start, and closed when the call ends.'];
  if (status === 'reconnecting' && busy) return ['All lines are busy', 'The page is calling again by itself.'];
  if (status === 'reconnecting' && !begun) return ['Calling', 'No answer yet. The page is calling again by itself.'];
  if (status === 'reconnecting') return ['The line dropped', 'The page is calling again by itself.'];
  if (status !== 'connected') return ['Calling', ''];
  if (sound !== 'ok') return SOUNDS[sound];
  if (mode === 'manual' && !recording && state === 'LISTENING') {
    return ['Your turn', 'Press the button or the space bar, speak, and press it again when you are done.'];
  }
  if (mode === 'manual' && recording && state === 'LISTENING') {
    return ['Hearing you', 'Press again when you are done.'];
  }
  if (mode === 'manual' && substate === 'speaking') return [SUBSTATES.speaking[0], 'Begin your turn, or press Escape, to interrupt.'];
  return SUBSTATES[substate] ?? STATES[state] ?? ['Connected', ''];
}

/**
 * [colour, words] of the lamp: of the link during a call; else whether the server takes calls, as it said last.
 * `reachable` is null as long as it was not asked.
 */
export function lamp(status, { retryInMs = null, why = '', reachable = null, ready = false } = {}) {
  if (status === 'connected') return ['good', 'Connected'];
  if (status === 'connecting') return ['trying', 'Connecting'];
  if (status === 'reconnecting') {
    return ['trying', retryInMs === null ? 'Reconnecting' : `Reconnecting in ${Math.max(1, Math.round(retryInMs / 1000))} s`];
  }
  if (reachable === null) return ['idle', 'Looking for the server'];
  if (!reachable) return status === 'error' ? ['bad', why || 'The server cannot be reached'] : ['bad', 'Server not reachable'];
  return ready ? ['good', 'Ready'] : ['trying', 'Not ready yet'];
}

/** What a screen reader says of where the call is, which is less than the page shows: '' without a call. */
export function announcement({ status, state, sound }) {
  if (status !== 'connected') return '';
  return SOUNDS[sound]?.[0] ?? STATES[state]?.[0] ?? '';
}

/** The worse of two sounds: the microphone's and the loudspeaker's. */
export function worse(one, other) {
  const order = ['ok', 'paused', 'taken', 'lost'];
  return order[Math.max(order.indexOf(one), order.indexOf(other))];
}

/** Why a call ended, from the cause the server gives, or '' for the ordinary hanging up. */
export function endWords(cause) {
  return {
    idle: 'The call ended because nobody spoke.',
    overloaded: 'The server has too much to do. Please call again later.',
    too_old: 'The call reached its longest allowed time.',
    budget_spent: 'The call ended because the money for today is used up.',
    shutdown: 'The server is shutting down.',
    provider_unavailable: 'The call ended because a speech or language service is not available.',
    model_kept_failing: 'The call ended because the language model kept failing.',
    internal_error: 'The call ended because of an error inside the server.',
  }[cause] ?? '';
}
