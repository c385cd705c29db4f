import { util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Lists the agents: the default one first, then those of the index by id. A page's token is the id of its
 * last agent. A page has at most MAX_PAGE_TOOLS tools, because a handler of AppSync may make 1,000
 * iterations.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const limit = ctx.args.limit ?? 20;
  requireInput('limit', limit >= 1 && limit <= 100, '1 to 100');
  const token = ctx.args.nextToken ?? '';
  const lastId = decodeToken(token);
  const isLastId = util.matches('\\A(?:!|[A-Za-z0-9_-]{1,64})\\z', lastId);
  requireInput('nextToken', token === '' || isLastId, 'what the last page returned');
  const listKey = { eq: 'AGENTS' };
  return query({
    query: lastId ? { listKey, listSort: { gt: lastId } } : { listKey },
    index: 'list',
    limit: token === '' ? limit : limit + 1,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const first = ctx.args.nextToken ? [] : [ctx.stash.agent];
  const room = (ctx.args.limit ?? 20) - first.length;
  const items = withinToolLimit(first, ctx.result.items.slice(0, room));
  const hasMore = ctx.result.items.length > items.length || ctx.result.nextToken;
  // A page of the default agent alone ends with "!", which sorts before every id.
  const lastId = items.length > 0 ? items[items.length - 1].id : '!';
  return {
    items: [...first, ...items].map((agent) => toVisibleAgent(ctx, withAgentDefaults(ctx.env, agent))),
    nextToken: hasMore ? util.base64Encode(lastId) : null,
  };
}

/** Enough for the default page of 20 agents with 32 tools each. */
const MAX_PAGE_TOOLS = 640;

/** The agents that fit beside the first ones, at least one. */
function withinToolLimit(first, agents) {
  const fitting = [];
  let room = MAX_PAGE_TOOLS;
  for (const agent of first) room -= agent.tools.length;
  for (const agent of agents) {
    room -= (agent.tools ?? []).length;
    if (room < 0) break;
    fitting.push(agent);
  }
  return fitting;
}

// Copies of helpers in resolvers/shared.js, which says why.

const isNull = (value) => value === undefined || value === null;

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

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

/** Decodes a nextToken: the key of the page's last item, or the empty text where the token is invalid. */
function decodeToken(token) {
  const isBase64 = util.matches(
    '\\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\\z',
    token,
  );
  return isBase64 ? util.base64Decode(token) : '';
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
