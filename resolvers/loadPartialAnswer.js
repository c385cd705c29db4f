import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads what a dead attempt said that no event holds, and writes out how its turn is closed: with an event that keeps it.
 * A handler may make 1,000 iterations: a pipeline names this function once for each page it allows.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, turn } = ctx.stash;
  const isDead = turn && turn.status !== 'QUEUED' && turn.status !== turn.storedStatus;
  const isDue = ctx.info.fieldName === 'cancelTurn' ? turn.status === 'QUEUED' : isDead;
  if (!isDue || closing?.isWhole) runtime.earlyReturn({});
  const key = (sequence) => `${`${1000000 + turn.attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;
  const sk = { between: [key((closing?.read ?? turn.lastEventSequence) + 1), key(999999)] };
  return query({ query: { pk: { eq: `TURN#${turn.conversationId}#${turn.id}` }, sk }, consistentRead: true, limit: 900 });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const { closing, conversation, turn } = ctx.stash;
  const { said = [], read: before = turn.lastEventSequence } = closing ?? {};
  const read = ctx.result.items.reduce((_, { sequence, contentBlockIndex, text }) => {
    const block = said[said.length - 1];
    if (text && block?.index === contentBlockIndex) block.text += text;
    else if (text) said.push({ index: contentBlockIndex, text });
    return sequence;
  }, before);
  const { id, conversationId, attempt, failure } = turn;
  const [position, sequence, now] = [turn.lastPosition + 1, Math.max(read, turn.lastSequence) + 1, util.time.nowISO8601()];
  const end = turn.status === 'FAILED' ? { status: 'FAILED', failure } : { status: 'CANCELLED' };
  const change = { ...end, lastPosition: position, lastSequence: sequence, lastEventSequence: sequence, announced: false };
  const about = { id: `${id}-closed-${turn.run}`, conversationId, turnId: id, attempt, position, createdAt: now };
  const why = end.failure ? { failure } : { stopReason: 'CANCELLED' };
  const event = { ...about, sender: { kind: 'AGENT', id: conversation.agentId }, content: said.map(({ text }) => ({ text })), ...why };
  ctx.stash.closing = { said, read, isWhole: !ctx.result.nextToken, event, change };
  return {};
}
