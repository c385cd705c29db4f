// Assertions on the updates of a turn, for every client library.
import assert from 'node:assert/strict';

const ENDS = ['COMPLETED', 'CANCELLED', 'FAILED'];

/** Collects the updates of a subscription until a turn waits, and until it has ended. */
export class Updates {
  constructor() {
    this.received = [];
    this.ended = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.waiting = new Promise((resolve) => (this.resolveWaiting = resolve));
  }

  next(update) {
    this.received.push(update);
    if (update.metadata?.pending) this.resolveWaiting(update);
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

/** Each attempt's updates are numbered from 1 without gaps, and a later attempt has a higher number. */
export function assertNumbered(updates) {
  let previous = { attempt: 0, sequence: 0 };
  for (const { attempt, sequence } of updates) {
    assert.ok(attempt >= previous.attempt);
    assert.equal(sequence, attempt === previous.attempt ? previous.sequence + 1 : 1);
    previous = { attempt, sequence };
  }
}

/** An update as a line of text, which begins with its attempt and its sequence. */
export function describeUpdate({ attempt, sequence, metadata, event }) {
  const calls = (event?.content ?? []).flatMap(
    ({ toolUse, toolResult }) => toolUse?.name ?? toolResult?.status ?? [],
  );
  const parts = [`${attempt}.${sequence}`, metadata.status];
  if (event) parts.push(`event of ${event.sender.kind}${calls.length ? `: ${calls.join(', ')}` : ''}`);
  const { agentPartialMessage, toolCall, pending } = metadata;
  if (agentPartialMessage) parts.push(`text ${JSON.stringify(agentPartialMessage)}`);
  if (toolCall) parts.push(`${toolCall.name} ${toolCall.status}`);
  if (pending) parts.push(`for ${pending.map(({ name, status }) => `${name} ${status}`).join(', ')}`);
  return parts.join(' ');
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

export function withoutTypename(value) {
  return JSON.parse(JSON.stringify(value, (key, member) => (key === '__typename' ? undefined : member)));
}
