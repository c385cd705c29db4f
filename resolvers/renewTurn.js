import { util } from '@aws-appsync/utils';

/**
 * Renews the lease of the attempt that publishes, under its fence, and tells it the turn's status.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, run, attempt, sequence } = ctx.args.data;
  const now = util.time.nowEpochMilliSeconds();
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ pk: `CONVERSATION#${conversationId}`, sk: `TURN#${turnId}` }),
    update: {
      expression: 'SET leaseUntil = :lease, lastSequence = :sequence',
      expressionValues: util.dynamodb.toMapValues({ ':lease': now + 30000, ':sequence': sequence }),
    },
    condition: {
      expression:
        '#run = :run AND attempt = :attempt AND ((leaseUntil > :now AND #status IN (:running, :cancelling)) OR (claimableUntil > :now AND #status = :running))',
      expressionNames: { '#run': 'run', '#status': 'status' },
      expressionValues: util.dynamodb.toMapValues({ ':run': run, ':attempt': attempt, ':now': now, ...LIVE }),
    },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const isStale = ctx.error?.type === 'DynamoDB:ConditionalCheckFailedException';
  if (isStale) util.error('Another attempt owns the turn, or it has ended.', 'StaleAttempt');
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const { contentBlockIndex, agentPartialMessage, note, continues, event, ...update } = ctx.args.data;
  const metadata = { status: ctx.result.status, contentBlockIndex, agentPartialMessage, note, continues };
  return { ...update, metadata, event: event && told(update, event) };
}

const LIVE = { ':running': 'RUNNING', ':cancelling': 'CANCELLING' };
const said = (event) => event.content.map((block) => block.text ?? '').join('');
const told = ({ conversationId, turnId }, event) => ({ ...event, conversationId, turnId, text: said(event) });
