import { util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores an agent's next version for good, because events name the version that answered, and makes it the
 * current one, in one transaction.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { agentVersion } = ctx.stash;
  const agent = nextAgent(ctx);
  const { id, version } = agent;
  ctx.stash.agent = agent;
  // listAgents returns the default agent first, so the index does not have it.
  const indexKeys = id === 'default' ? {} : { listKey: 'AGENTS', listSort: id };
  const item = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `AGENT#${id}`, sk } });
  const current = {
    ...item('META'),
    item: { ...agent, ...indexKeys },
    condition: { version: unchanged(agentVersion) },
  };
  const stored = {
    ...item(agentVersionKey(version)),
    item: agent,
    condition: { pk: { attributeExists: false } },
  };
  return transactWrite({ items: /** @type {any[]} */ ([{ putItem: current }, { putItem: stored }]) });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return withAgentDefaults(ctx.env, ctx.stash.agent);
  const reasons = ctx.result?.cancellationReasons ?? [];
  if (!reasons.some((reason) => isConditionFailed(reason))) raiseTableError(ctx);
  return util.error('Somebody else put the agent just now. Try again.', 'TryAgain');
}

function nextAgent(ctx) {
  const { id, name, modelId, systemPrompt, inference, contextBytes, maxSteps, toolTimeoutSeconds } =
    ctx.args.input;
  const { reasoning, promptCaching, fallbackModelIds, guardrail } = ctx.args.input;
  return {
    id,
    version: (ctx.stash.agentVersion ?? 0) + 1,
    ...(isNull(name) ? {} : { name }),
    modelId,
    ...(isNull(systemPrompt) ? {} : { systemPrompt }),
    ...(isNull(inference) ? {} : { inference }),
    contextBytes: contextBytes ?? 400000,
    ...(isNull(reasoning) ? {} : { reasoning }),
    promptCaching: promptCaching ?? AGENT_DEFAULTS.promptCaching,
    fallbackModelIds: fallbackModelIds ?? AGENT_DEFAULTS.fallbackModelIds,
    ...(isNull(guardrail) ? {} : { guardrail: toStoredGuardrail(ctx.env, guardrail) }),
    tools: ctx.stash.tools,
    maxSteps: maxSteps ?? AGENT_DEFAULTS.maxSteps,
    toolTimeoutSeconds: toolTimeoutSeconds ?? AGENT_DEFAULTS.toolTimeoutSeconds,
    ...(isNull(ctx.stash.knowledge) ? {} : { knowledge: ctx.stash.knowledge }),
  };
}

/** What is left out stays out, so that it follows the deployment's parameters. */
function toStoredGuardrail(env, { version, mode, newestMessageOnly }) {
  return {
    id: env.GUARDRAIL_ID,
    ...(isNull(version) ? {} : { version }),
    ...(isNull(mode) ? {} : { mode }),
    ...(isNull(newestMessageOnly) ? {} : { newestMessageOnly }),
  };
}

// Copies of helpers in resolvers/shared.js, which says why.

const isNull = (value) => value === undefined || value === null;

/** The settings of an agent that was put without them, or stored before agents had them. */
const AGENT_DEFAULTS = {
  tools: [],
  maxSteps: 10,
  toolTimeoutSeconds: 30,
  promptCaching: 'FIVE_MINUTES',
  fallbackModelIds: [],
};

/** An agent with the defaults of what it leaves out. */
function withAgentDefaults(env, agent) {
  const { guardrail, ...settings } = agent;
  return {
    ...AGENT_DEFAULTS,
    ...settings,
    ...(env.GUARDRAIL_ID === 'none' ? {} : { guardrail: effectiveGuardrail(env, guardrail ?? {}) }),
  };
}

/**
 * The deployment's guardrail, as the agent uses it. An agent cannot do without it. A version counts for the
 * guardrail for which it was put.
 */
function effectiveGuardrail(env, { id, version, mode, newestMessageOnly }) {
  const ownVersion = id === env.GUARDRAIL_ID ? version : null;
  return {
    id: env.GUARDRAIL_ID,
    version: ownVersion ?? env.GUARDRAIL_VERSION,
    mode: mode ?? env.GUARDRAIL_MODE,
    newestMessageOnly: newestMessageOnly ?? env.GUARDRAIL_NEWEST_MESSAGE_ONLY === 'true',
    ownSettings: [
      ...(isNull(ownVersion) ? [] : ['VERSION']),
      ...(isNull(mode) ? [] : ['MODE']),
      ...(isNull(newestMessageOnly) ? [] : ['NEWEST_MESSAGE_ONLY']),
    ],
  };
}

/** The sort key of a version of an agent. */
const agentVersionKey = (version) => `VERSION#${`${1000000 + version}`.slice(1)}`;

/** A condition: the attribute is as it was read, also where it was not there. */
const unchanged = (value) => (isNull(value) ? { attributeExists: false } : { eq: value });

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** AppSync documents the first name; DynamoDB sends the second. */
const isConditionFailed = (reason) =>
  reason?.type === 'ConditionCheckFailed' || reason?.type === 'ConditionalCheckFailed';
