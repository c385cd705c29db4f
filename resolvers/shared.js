/*
 * Helpers that several functions declare. AppSync resolvers and functions cannot import files, so each copies
 * what it needs. This file is not deployed: it is the source of truth, and tests/conventions.rs holds every
 * copy to its text here.
 *
 * Conditions, filters and items of transactions are cast to any. AppSync type-checks code when it is saved;
 * it is not documented whether in strict mode, and without that mode the types of @aws-appsync/utils allow no
 * attribute in them.
 */
import { runtime, util } from '@aws-appsync/utils';
import { update } from '@aws-appsync/utils/dynamodb';

/**
 * How long a handler owns a turn after its last accepted publish. The same as LEASE in
 * handler/src/aws/dynamodb/expressions.rs.
 */
const LEASE_MILLISECONDS = 30000;

/**
 * How long a queued run may be claimed: the 300 s for which Lambda keeps an event (MaximumEventAgeInSeconds
 * in template.yaml), and 60 s for two clocks that differ.
 */
const CLAIMABLE_MILLISECONDS = 360000;

/**
 * A run that was started this short a time ago is not started again. Lambda retries a failed invocation after
 * a minute.
 */
const START_INTERVAL_MILLISECONDS = 60000;

/**
 * The largest number of content blocks of an event. The same as MAX_EVENT_BLOCKS in
 * handler/turn/src/answer.rs.
 */
const MAX_EVENT_BLOCKS = 64;

/**
 * The largest number of citations of an event or a batch. The same as MAX_EVENT_CITATIONS in
 * handler/turn/src/answer.rs.
 */
const MAX_CITATIONS = 64;

/**
 * The largest number of pending calls of a turn. The same as MAX_STEP_CALLS in
 * handler/turn/src/tool_calls.rs.
 */
const MAX_PENDING_CALLS = 32;

/**
 * The largest number of runs of a turn: a message starts one, and so does each retry, each continue and each
 * last answer to the calls of a wait.
 */
const MAX_RUNS = 100;

/** Refuses to start another run of a turn that has had all of them. */
function requireRunLeft(turn) {
  if (turn.run >= MAX_RUNS)
    util.error(`The turn has had ${MAX_RUNS} runs. Send a new message.`, 'TooManyRuns');
}

/**
 * The largest number of participants of a conversation. The same as MAX_PARTICIPANTS in
 * handler/src/aws/dynamodb/participant_lists.rs.
 */
const MAX_PARTICIPANTS = 50;

/**
 * The largest attempt or sequence that batchKey can hold. The same as MAX_SEQUENCE in
 * handler/src/aws/dynamodb/reads.rs.
 */
const MAX_SEQUENCE = 999999;

/** How long batches and the records of first messages are kept. */
const RETENTION_SECONDS = 86400;

const ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _ and -';

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** How many bytes a text has. */
function utf8Length(text) {
  const encoded = util.base64Encode(text);
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding;
}

/** A lone surrogate has no UTF-8, so it does not survive the encoding and decoding. */
const isUnicode = (text) => util.base64Decode(util.base64Encode(text)) === text;

/**
 * Whether a text has no visible character; a model may refuse such a text. The set is what Java, JavaScript,
 * Python or Rust counts as white space: is_blank of the crate api has the same definition.
 */
const isBlank = (text) =>
  util.matches(
    '\\A[\\x{09}-\\x{0D}\\x{1C}-\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{180E}\\x{2000}-\\x{200A}' +
      '\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}]*\\z',
    text,
  );

/** The size of a text or list in a JSON document: bytes of JSON-escaped UTF-8, without the quotes or brackets. */
function jsonSize(value) {
  const encoded = util.base64Encode(JSON.stringify(value));
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding - '""'.length;
}

/** Refuses a text that no model is asked. */
function requireText(field, text) {
  requireInput(field, text && !isBlank(text), 'more than blanks');
  requireInput(field, isUnicode(text), 'Unicode text without lone surrogates');
  requireInput(field, jsonSize(text) <= 102400, 'at most 100 KB of JSON-escaped UTF-8');
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

/** An agent as the handler gets it. */
function toPayloadAgent(agent) {
  const { id, version, name, modelId, systemPrompt, inference, contextBytes } = agent;
  const { reasoning, promptCaching, fallbackModelIds, guardrail } = agent;
  const { tools, maxSteps, toolTimeoutSeconds, knowledge } = agent;
  const model = { modelId, systemPrompt, inference, contextBytes };
  const settings = { reasoning, promptCaching, fallbackModelIds, guardrail };
  return { id, version, name, ...model, ...settings, tools, maxSteps, toolTimeoutSeconds, knowledge };
}

/** Decodes a nextToken: the key of the page's last item, or the empty text where the token is invalid. */
function decodeToken(token) {
  const isBase64 = util.matches(
    '\\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\\z',
    token,
  );
  return isBase64 ? util.base64Decode(token) : '';
}

/** Whether a message that is sent is the stored one: the same text, which replaces the same turn. */
const isSameMessage = (event, { replacesTurnId, text }) =>
  event.content.length === 1 &&
  event.content[0].text === text &&
  (event.replacesTurnId ?? null) === (replacesTurnId ?? null);

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** The sort key of a batch: six digits each, so that keys sort by attempt, then sequence. */
const batchKey = (attempt, sequence) =>
  `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** The sort key of a version of an agent. */
const agentVersionKey = (version) => `VERSION#${`${1000000 + version}`.slice(1)}`;

/** The key of the answer to a tool call: the call's id, and the position of the event that has the call. */
function toolAnswerKey(turn, toolUseId) {
  const sk = `ANSWER#${toolUseId}#${`${100000000 + turn.pendingPosition}`.slice(1)}`;
  return { pk: `TURN#${turn.conversationId}#${turn.id}`, sk };
}

/** A condition: the attribute is as it was read, also where it was not there. */
const unchanged = (value) => (isNull(value) ? { attributeExists: false } : { eq: value });

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** An agent has stored no event of the id that getCitation names. */
const raiseNoEvent = (ctx) => util.error(`There is no event ${ctx.args.eventId} of an agent.`, 'NotFound');

/** Why one item of the transaction was refused, by the name that the request gave it. */
function reasonFor(ctx, name) {
  return (ctx.result?.cancellationReasons ?? [])[ctx.stash.transactionItemNames.indexOf(name)];
}

/** AppSync documents the first name; DynamoDB sends the second. */
const isConditionFailed = (reason) =>
  reason?.type === 'ConditionCheckFailed' || reason?.type === 'ConditionalCheckFailed';

/** A conversation of the caller's, as the API shows it. */
const toOwnConversation = (item) => ({ ...item, ownerId: item.owner, access: 'OWNER' });

/**
 * The text of an event. It is stored where the content is not exactly one block, so that no reader loops over
 * blocks.
 */
const textOf = (event) => event.text ?? event.content[0]?.text ?? '';

/**
 * The content of an event, with its joined text where that is not the only block. At most MAX_EVENT_BLOCKS
 * blocks.
 */
function withText(event) {
  if (event.content.length <= 1) return event;
  return { ...event, text: event.content.map((block) => block.text ?? '').join('') };
}

/**
 * A turn with the status that its lease, its time to be claimed and its time to be answered give it;
 * storedStatus and storedPending keep the table's. A handler whose lease is over is dead. Tested with
 * turn::effective_status in Rust against tests/effective-status.json.
 */
function withEffectiveStatus(turn, now) {
  const status = effectiveStatus(turn, now);
  const hasDied = status === 'FAILED' && turn.status !== 'FAILED';
  const failure = hasDied ? failureOfStatus(turn.status) : turn.failure;
  const pending = status === 'WAITING' ? turn.pending : undefined;
  return { ...turn, status, failure, pending, storedStatus: turn.status, storedPending: turn.pending };
}

function failureOfStatus(status) {
  if (status === 'WAITING') return PENDING_EXPIRED;
  return status === 'QUEUED' ? NOT_STARTED : INTERRUPTED;
}

function effectiveStatus(turn, now) {
  if (turn.status === 'COMPLETED' || turn.status === 'CANCELLED' || turn.status === 'FAILED')
    return turn.status;
  if (turn.status === 'WAITING') return (turn.pendingUntil ?? 0) > now ? 'WAITING' : 'FAILED';
  if ((turn.leaseUntil ?? 0) > now) return turn.status;
  if (turn.status === 'CANCELLING') return 'CANCELLED';
  return turn.claimableUntil > now ? 'QUEUED' : 'FAILED';
}

const NOT_STARTED = {
  code: 'NOT_STARTED',
  message: 'The answer could not be started. Try again.',
  retryable: true,
};

const INTERRUPTED = {
  code: 'INTERRUPTED',
  message: 'The work on the answer was interrupted. Try again.',
  retryable: true,
};

const PENDING_EXPIRED = {
  code: 'PENDING_EXPIRED',
  message: 'Nobody answered the tool call in time.',
  retryable: true,
};

/** Whether the turn has no end yet. */
const isOpen = (turn) =>
  turn.status === 'QUEUED' ||
  turn.status === 'RUNNING' ||
  turn.status === 'WAITING' ||
  turn.status === 'CANCELLING';

/**
 * Whether the turn is the conversation's last one. The conversation was read before the turn, so the turn may
 * have stored more events than the conversation counted then.
 */
function isLatestTurn(conversation, turn) {
  const isOtherActive = !isNull(conversation.activeTurnId) && conversation.activeTurnId !== turn.id;
  return turn.lastPosition >= conversation.eventCount && !isOtherActive;
}

/** Whether a tool call waits for the answer of a user or a client. */
const needsAnswer = (call) => call.status === 'APPROVAL_NEEDED' || call.status === 'CLIENT_NEEDED';

/** A tool call as updates and turns have it, without null members, so that stored copies are equal. */
function toToolCall({ id, name, title, status, note }) {
  return { id, name, ...(title ? { title } : {}), status, ...(note ? { note } : {}) };
}

/** All callers with the API key are one user. */
const isApiKey = (ctx) => ctx.stash.userId === 'API_KEY';

/**
 * The items of a transaction that hold a user to its quotas: one counts a message of this minute, the other
 * checks the tokens of this day. An item's name is `minuteQuota` or `dayQuota`; retryAt is when the next
 * period begins. All callers with the API key are one user, so they have no quota.
 */
function quotaItems(ctx, userId) {
  if (userId === 'API_KEY') return [];
  const now = util.time.nowEpochMilliSeconds();
  const date = util.time.epochMilliSecondsToISO8601(now);
  const usageItem = (sk) => {
    const key = util.dynamodb.toMapValues({ pk: `USAGE#${userId}`, sk });
    return { table: ctx.env.TABLE_NAME, key };
  };
  const isBelow = (attribute, limit) => ({
    expression: `attribute_not_exists(${attribute}) OR ${attribute} < :limit`,
    expressionValues: util.dynamodb.toMapValues({ ':limit': JSON.parse(limit) }),
  });
  const countMessage = {
    expression: 'SET expiresAt = :expiresAt ADD messages :one',
    expressionValues: util.dynamodb.toMapValues({ ':one': 1, ':expiresAt': Math.floor(now / 1000) + 3600 }),
  };
  const nextPeriod = (length) => util.time.epochMilliSecondsToISO8601(now - (now % length) + length);
  const minuteQuota = {
    name: 'minuteQuota',
    limit: ctx.env.MESSAGES_PER_MINUTE,
    retryAt: nextPeriod(60000),
    item: {
      ...usageItem(`MINUTE#${date.slice(0, 16)}`),
      operation: 'UpdateItem',
      update: countMessage,
      condition: isBelow('messages', ctx.env.MESSAGES_PER_MINUTE),
    },
  };
  const dayQuota = {
    name: 'dayQuota',
    limit: ctx.env.TOKENS_PER_DAY,
    retryAt: nextPeriod(86400000),
    item: {
      ...usageItem(`DAY#${date.slice(0, 10)}`),
      operation: 'ConditionCheck',
      condition: isBelow('tokens', ctx.env.TOKENS_PER_DAY),
    },
  };
  return [minuteQuota, dayQuota].filter((quota) => quota.limit !== '0');
}

/**
 * Raises QuotaExceeded where a quota refused the transaction; of two, the one that lasts longer says when to
 * try again.
 */
function raiseExceededQuota(ctx) {
  const exceeded = ctx.stash.quotas.findLast((quota) => isConditionFailed(reasonFor(ctx, quota.name)));
  if (exceeded)
    util.error('Your quota is used up for now.', 'QuotaExceeded', null, { retryAt: exceeded.retryAt });
}

/**
 * The order to start a queued turn again, which was lost or is still under way. It starts the turn only where
 * the last start is a while ago and no other request does so at the same time.
 */
function startAgain(ctx) {
  const { conversation, queuedTurn } = ctx.stash;
  const now = util.time.nowEpochMilliSeconds();
  ctx.stash.isReplay = true;
  const startedAt = queuedTurn.startedAt ?? 0;
  ctx.stash.isStarted = queuedTurn.status !== 'QUEUED' || now < startedAt + START_INTERVAL_MILLISECONDS;
  if (ctx.stash.isStarted) runtime.earlyReturn(queuedTurn);
  ctx.stash.queuedTurn = { ...queuedTurn, startedAt: now };
  return update({
    key: { pk: `CONVERSATION#${conversation.id}`, sk: `TURN#${queuedTurn.id}` },
    update: { startedAt: now },
    condition: /** @type {any} */ ({
      run: { eq: queuedTurn.run },
      startedAt: unchanged(queuedTurn.startedAt),
    }),
  });
}

/** The result of startAgain: where another request has started the turn, this one does not. */
function startedAgain(ctx) {
  if (ctx.error && ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') raiseTableError(ctx);
  ctx.stash.isStarted = !!ctx.error;
  return ctx.stash.queuedTurn;
}

/** Somebody else wrote what the transaction was about, between its read and its write. */
function raiseLostRace(ctx) {
  console.error(ctx.error.type);
  util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

/**
 * A participant's right to write is checked by the transaction that writes, because it may end between the
 * read and the write. The same item moves the conversation to the top of the participant's list. The owner
 * needs no such item.
 */
function writePermissionCheck(ctx, conversationId) {
  return {
    updateItem: {
      ...conversationItem(ctx, conversationId, `PARTICIPANT#${ctx.stash.userId}`),
      update: { listSort: `${util.time.nowISO8601()}#${conversationId}` },
      condition: { access: { eq: 'WRITE' } },
    },
  };
}
