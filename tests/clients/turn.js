// Assertions on the updates of a turn, for every client library.
import assert from 'node:assert/strict';

const ENDS = ['COMPLETED', 'CANCELLED', 'FAILED'];

/** Collects the updates of a subscription until a turn has ended. */
export class Updates {
  constructor() {
    this.received = [];
    this.ended = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
  }

  next(update) {
    this.received.push(update);
    if (update.event?.sender.kind === 'AGENT' && ENDS.includes(update.metadata?.status))
      this.resolve(this.received);
  }

  error(error) {
    this.reject(
      new Error(`The subscription failed: ${JSON.stringify(error.cause ?? error)}`, { cause: error }),
    );
  }
}

/** The updates are those of one turn: complete, in order, each once, from the question to the answer. */
export function assertWholeTurn(updates, { conversationId, turnId, text }) {
  assert.deepEqual(
    updates.map(({ sequence }) => sequence),
    updates.map((_, index) => index + 1),
    'sequences run from 1 without gaps',
  );
  for (const update of updates) {
    assert.equal(update.conversationId, conversationId);
    assert.equal(update.turnId, turnId);
    assert.equal(update.attempt, 1);
  }
  const first = updates[0];
  assert.equal(first.metadata.status, 'RUNNING');
  assert.equal(first.event.id, turnId);
  assert.equal(first.event.sender.kind, 'USER');
  assert.equal(first.event.text, text);

  const last = updates.at(-1);
  assert.equal(last.metadata.status, 'COMPLETED');
  assert.equal(last.event.sender.kind, 'AGENT');
  assert.equal(last.event.stopReason, 'END_TURN');
  assert.ok(last.event.usage.totalTokens > 0, 'the answer has its usage');

  const batches = updates.map(({ metadata }) => metadata?.agentPartialMessage ?? '');
  const pieces = batches.filter((piece) => piece !== '');
  assert.ok(pieces.length > 1, 'the answer arrives in pieces');
  const streamed = batches.join('');
  assert.equal(last.event.text.slice(0, streamed.length), streamed, 'batches and a tail make the answer');
}

/** The stored turn equals the updates. */
export function assertStored(turn, updates) {
  assert.equal(turn.status, 'COMPLETED');
  assert.equal(turn.question.text, updates[0].event.text);
  assert.deepEqual(turn.answer.map(withoutTypename), [withoutTypename(updates.at(-1).event)]);
  assert.deepEqual(
    turn.batches.map(({ sequence, metadata }) => [sequence, metadata.agentPartialMessage]),
    updates.slice(0, -1).map(({ sequence, metadata }) => [sequence, metadata.agentPartialMessage]),
  );
}

function withoutTypename(value) {
  return JSON.parse(JSON.stringify(value, (key, member) => (key === '__typename' ? undefined : member)));
}
