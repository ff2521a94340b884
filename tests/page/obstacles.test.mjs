// Why a microphone cannot be had, in sentences that say what to do.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { obstacle, reason } from '../../orchestrator/server/page/obstacles.js';

const GOOD = { isSecureContext: true, mediaDevices: true, address: 'http://localhost:3001/', framed: false, allowed: true };

test('a page that may have a microphone meets no obstacle, also where the browser tells no policy', () => {
  assert.equal(obstacle(GOOD), '');
  assert.equal(obstacle({ ...GOOD, framed: true, allowed: null }), '');
});

test('a page from an insecure address is told the addresses that are not', () => {
  const told = obstacle({ ...GOOD, isSecureContext: false, mediaDevices: false, address: 'http://192.0.2.7:3001/agent/?x#y' });
  assert.ok(told.includes('https://192.0.2.7/agent/ '), told);
  assert.ok(told.includes('http://localhost:3001/agent/.'), told);
});

test('it is said who must allow the microphone: the page around this one, or a proxy', () => {
  assert.match(obstacle({ ...GOOD, framed: true, allowed: false }), /page that embeds this one/);
  assert.match(obstacle({ ...GOOD, allowed: false }), /Permissions-Policy/);
});

test('a refusal says what helps', () => {
  assert.match(reason({ name: 'NotAllowedError' }, false), /address bar/);
  assert.match(reason({ name: 'NotAllowedError' }, true), /embeds it allow/);
  assert.match(reason({ name: 'NotFoundError' }, false), /Connect one/);
  assert.match(reason({ name: 'NotReadableError' }, false), /another program/);
  assert.match(reason({ name: 'Odd', message: 'why' }, false), /why/);
});
