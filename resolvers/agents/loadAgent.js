import { util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads an agent's current version: the conversation's, the one named by the arguments, or the default one. A
 * turn that goes on after the answers to its tool calls has the version that made the calls. The stash has
 * all of it for startTurn.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const field = ctx.args.input ? 'agentId' : 'id';
  const turn = waitedTurn(ctx);
  const agentId =
    turn?.agentId ?? ctx.stash.conversation?.agentId ?? ctx.args.input?.agentId ?? ctx.args.id ?? 'default';
  requireInput(field, isId(agentId), ID_RULE);
  ctx.stash.agentId = agentId;
  const sk = turn ? agentVersionKey(turn.agentVersion) : 'META';
  return get({ key: { pk: `AGENT#${agentId}`, sk }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { agentId } = ctx.stash;
  const agent = ctx.result ?? (agentId === 'default' ? defaultAgent(ctx.env) : null);
  if (!agent) util.error(`There is no agent ${agentId}.`, 'NotFound');
  ctx.stash.agent = withAgentDefaults(ctx.env, agent);
  return toVisibleAgent(ctx, ctx.stash.agent);
}

/** The turn, where it waits or is queued after a wait. A new message is no part of the turn that it ends. */
function waitedTurn(ctx) {
  const { turn } = ctx.stash;
  if (!turn || isNull(turn.agentVersion)) return null;
  const isAnswered = turn.status === 'WAITING' && ctx.info.fieldName === 'answerToolCall';
  return isAnswered || turn.status === 'QUEUED' ? turn : null;
}

/** The default agent as the template's parameters have it, until an administrator puts one of that id. */
function defaultAgent(env) {
  return {
    id: 'default',
    version: 0,
    name: 'Assistant',
    modelId: env.MODEL_ID,
    systemPrompt: env.SYSTEM_PROMPT,
    inference: { maxTokens: JSON.parse(env.MAX_TOKENS) },
    contextBytes: JSON.parse(env.CONTEXT_BYTES),
    ...(env.FALLBACK_MODEL_IDS === 'none' ? {} : { fallbackModelIds: env.FALLBACK_MODEL_IDS.split(',') }),
    ...(env.KNOWLEDGE_BASE_ID === 'none' ? {} : { knowledge: defaultKnowledge(env) }),
  };
}

function defaultKnowledge(env) {
  return {
    knowledgeBaseId: env.KNOWLEDGE_BASE_ID,
    mode: env.KNOWLEDGE_MODE,
    results: JSON.parse(env.KNOWLEDGE_RESULTS),
    ...(env.RERANK_MODEL_ARN === 'none' ? {} : { rerankModelArn: env.RERANK_MODEL_ARN }),
    onFailure: 'ANSWER',
  };
}

// Copies of helpers in resolvers/shared.js, which says why.

const ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _ and -';

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

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

/**
 * An agent as the caller may see it. Only administrators see its system prompt, what its tools call, the
 * filter of its documents and the guardrail's id.
 */
function toVisibleAgent(ctx, agent) {
  if (ctx.stash.isAdministrator) return agent;
  const tools = agent.tools.map((tool) => ({ ...tool, lambda: null, graphql: null, mcp: null }));
  const { guardrail, knowledge } = agent;
  return {
    ...agent,
    systemPrompt: null,
    tools,
    ...(knowledge ? { knowledge: { ...knowledge, filter: null, rerankModelArn: null } } : {}),
    ...(guardrail ? { guardrail: { ...guardrail, id: null } } : {}),
  };
}

/** The sort key of a version of an agent. */
const agentVersionKey = (version) => `VERSION#${`${1000000 + version}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
