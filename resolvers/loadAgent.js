import { util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads an agent's current version: the conversation's, the one that is asked for, or the default one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const field = ctx.args.input ? 'agentId' : 'id';
  ctx.stash.agentId = ctx.stash.conversation?.agentId ?? ctx.args.input?.agentId ?? ctx.args.id ?? 'default';
  if (!util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', ctx.stash.agentId)) {
    util.error(`${field} must be 1 to 64 of A-Z, a-z, 0-9, _ and -.`, 'InvalidInput', null, { field });
  }
  return get({ key: { pk: `AGENT#${ctx.stash.agentId}`, sk: 'META' }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const id = ctx.stash.agentId;
  const agent = ctx.result ?? (id === 'default' ? defaultAgent(ctx.env) : null);
  if (!agent) util.error(`There is no agent ${id}.`, 'NotFound');
  ctx.stash.agent = agent;
  return ctx.stash.isAdministrator ? agent : { ...agent, systemPrompt: null };
}

// What the template says, until somebody puts an agent of that name.
function defaultAgent(env) {
  return {
    id: 'default',
    version: 0,
    name: 'Assistant',
    modelId: env.MODEL_ID,
    systemPrompt: env.SYSTEM_PROMPT,
    inference: { maxTokens: JSON.parse(env.MAX_TOKENS) },
    contextBytes: JSON.parse(env.CONTEXT_BYTES),
  };
}
