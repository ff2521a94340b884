// The line that says what is wrong, as long as it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ErrorLine, UNTIL } from '../../orchestrator/server/page/error-line.js';

const line = () => new ErrorLine({ textContent: '' });

test('an error goes with what it is about, and with nothing else', () => {
  const shown = line();
  shown.show('The network is too slow.', UNTIL.AUDIO_SENT);
  shown.over(UNTIL.NEXT_TURN, UNTIL.CONNECTED);
  assert.equal(shown.element.textContent, 'The network is too slow.');
  shown.over(UNTIL.AUDIO_SENT);
  assert.equal(shown.element.textContent, '');
});

test('the newest is shown, and one that is not over yet comes back after it', () => {
  const shown = line();
  shown.show('No microphone.', UNTIL.NEXT_CALL);
  shown.show('No answer.', UNTIL.NEXT_TURN);
  assert.equal(shown.element.textContent, 'No answer.');
  assert.ok(shown.says('No answer.') && !shown.says('No microphone.'));
  shown.over(UNTIL.NEXT_TURN);
  assert.equal(shown.element.textContent, 'No microphone.');
});

test('the same error again is counted, and counted anew after it was over', () => {
  const shown = line();
  for (let i = 0; i < 3; i++) shown.show('Starting.', UNTIL.CONNECTED);
  assert.equal(shown.element.textContent, 'Starting. (3 times)');
  shown.over();
  assert.equal(shown.element.textContent, '');
  shown.show('Starting.', UNTIL.CONNECTED);
  assert.equal(shown.element.textContent, 'Starting.');
});
