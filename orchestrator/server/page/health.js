// What the server says of itself: whether it takes calls, who listens, thinks and speaks, and whether the brain is a smoke test.

const ROLES = [['vad', 'Voice activity'], ['stt', 'Speech to text'], ['llm', 'Language model'], ['tts', 'Text to speech']];

/** {reachable, ready, smokeTest, providers: [[role, name]]}; never throws: a server that is gone is an answer too. */
export async function askServer(get = (path) => fetch(path, { cache: 'no-store' })) {
  try {
    const [health, readiness] = await Promise.all(['health', 'ready'].map(async (path) => (await get(path)).json()));
    return { reachable: true, ready: readiness?.ready === true, ...read(health) };
  } catch {
    return { reachable: false, ready: false, smokeTest: false, providers: [] };
  }
}

function read(health) {
  const named = health?.providers ?? {};
  const providers = ROLES.map(([role, label]) => [label, nameOf(named[role])]).filter(([, name]) => name !== '');
  return { smokeTest: health?.brain === 'smoke-test', providers };
}

function nameOf(provider) {
  const name = typeof provider === 'object' ? provider?.name : provider;
  return typeof name === 'string' ? name : '';
}
