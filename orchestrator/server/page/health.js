// What the server says of itself at /health: who listens, thinks and speaks, and whether the brain is a mere smoke test.

const ROLES = [['vad', 'Voice activity'], ['stt', 'Speech to text'], ['llm', 'Language model'], ['tts', 'Text to speech']];

/** {reachable, smokeTest, providers: [[role, name]]}; never throws: a server that is gone is an answer too. */
export async function askHealth(get = (path) => fetch(path, { cache: 'no-store' })) {
  try {
    const response = await get('/health');
    return { reachable: true, ...read(await response.json()) };
  } catch {
    return { reachable: false, smokeTest: false, providers: [] };
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
