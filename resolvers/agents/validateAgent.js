import { runtime, util } from '@aws-appsync/utils';

/**
 * Refuses an agent that could not answer, before anything is written. Administrators only. The schemas and
 * documents of tools, the filter of its knowledge, whether their functions and URLs are allowed, and whether
 * the handler has the tools that it is to run, are for checkTools.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (!ctx.stash.isAdministrator) util.unauthorized();
  const { id, name, modelId, systemPrompt, inference, contextBytes, tools, maxSteps, toolTimeoutSeconds } =
    ctx.args.input;
  requireInput('id', isId(id), ID_RULE);
  requireInput('name', isUnicode(name ?? ''), 'Unicode text without lone surrogates');
  requireInput('name', !name || name.length <= 200, 'at most 200 characters');
  requireInput('modelId', util.matches(MODEL_ID, modelId), MODEL_ID_RULE);
  requireInput('systemPrompt', isUnicode(systemPrompt ?? ''), 'Unicode text without lone surrogates');
  requireInput('systemPrompt', jsonSize(systemPrompt ?? '') <= 65536, 'at most 64 KB of JSON-escaped UTF-8');
  requireInput('contextBytes', isWithin(contextBytes, 10000, 4000000), '10,000 to 4,000,000');
  requireInput('maxSteps', isWithin(maxSteps, 1, 50), '1 to 50');
  requireInput('toolTimeoutSeconds', isWithin(toolTimeoutSeconds, 1, 300), '1 to 300');
  validateInference(inference ?? {});
  validateForModel(modelId, inference ?? {});
  validateReasoning(ctx.args.input.reasoning);
  validateFallbackModels(modelId, ctx.args.input.fallbackModelIds ?? []);
  validateGuardrail(ctx.env, ctx.args.input.guardrail);
  validateTools(tools ?? []);
  ctx.stash.tools = (tools ?? []).map((tool) => toStoredTool(tool));
  requireInput('tools', jsonSize(ctx.stash.tools) <= 65536, 'at most 64 KB of JSON');
  const { knowledge } = ctx.args.input;
  if (knowledge) {
    validateKnowledge(ctx.env, knowledge);
    ctx.stash.knowledge = toStoredKnowledge(ctx.env, knowledge);
  }
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}

const MODEL_ID = '\\A[A-Za-z0-9.:/_-]{1,2048}\\z';
const MODEL_ID_RULE = 'a Bedrock model id, inference profile id or ARN';

function validateInference({ maxTokens, temperature, topP, stopSequences }) {
  requireInput('maxTokens', isWithin(maxTokens, 1, 1000000), '1 to 1,000,000');
  requireInput('temperature', isWithin(temperature, 0, 1), '0 to 1');
  requireInput('topP', isWithin(topP, 0, 1), '0 to 1');
  const sequences = stopSequences ?? [];
  requireInput('stopSequences', sequences.length <= 20, 'at most 20');
  const areUnicode = sequences.every((sequence) => isUnicode(sequence));
  requireInput('stopSequences', areUnicode, 'Unicode text without lone surrogates');
  requireInput(
    'stopSequences',
    sequences.every((sequence) => sequence.length > 0),
    'without empty texts',
  );
}

/**
 * Refuses settings that the model is known to refuse. refused_by_model of the crate turn has the same rules,
 * for model ids that do not name the model. tests/model-settings.json holds the cases of both.
 */
function validateForModel(modelId, { temperature, topP, stopSequences }) {
  if (modelId.indexOf('anthropic.claude-') < 0) return;
  const hasTemperature = !isNull(temperature);
  const hasTopP = !isNull(topP);
  const takesNeither = util.matches(TAKES_NEITHER, modelId);
  requireInput('temperature', !(hasTemperature && takesNeither), 'left out: this model does not take it');
  requireInput('topP', !(hasTopP && takesNeither), 'left out: this model does not take it');
  const takesOne = util.matches(TAKES_ONE, modelId);
  requireInput(
    'topP',
    !(hasTemperature && hasTopP && takesOne),
    'left out where temperature is given: this model takes one of them',
  );
  const hasBlank = (stopSequences ?? []).some((sequence) => isBlank(sequence));
  requireInput('stopSequences', !hasBlank, 'texts that are not blank: this model does not take blank ones');
}

/** Claude Opus from 4.7 on, Claude Sonnet from 5 on, Fable and Mythos take neither temperature nor topP. */
const TAKES_NEITHER =
  '\\A.*anthropic\\.claude-(opus-4-([7-9]|[1-9][0-9])|(opus|sonnet|fable|mythos)-([5-9]|[1-9][0-9]))([-:].*)?\\z';

/** Claude Opus 4.1 and every Claude from 4.5 on take temperature or topP, not both. */
const TAKES_ONE =
  '\\A.*anthropic\\.claude-(opus-4-1|[a-z]+-4-([5-9]|[1-9][0-9])|[a-z]+-([5-9]|[1-9][0-9]))([-:].*)?\\z';

function validateReasoning(reasoning) {
  if (!reasoning) return;
  const { effort, budgetTokens } = reasoning;
  const hasOne = !isNull(effort) || !isNull(budgetTokens);
  requireInput('reasoning', hasOne, 'left out, or have effort, budgetTokens or both');
  requireInput('reasoning.budgetTokens', isWithin(budgetTokens, 1024, 128000), '1,024 to 128,000');
}

function validateFallbackModels(modelId, fallbackModelIds) {
  requireInput('fallbackModelIds', fallbackModelIds.length <= 3, 'at most 3');
  const areModelIds = fallbackModelIds.every((id) => util.matches(MODEL_ID, id));
  requireInput('fallbackModelIds', areModelIds, `each ${MODEL_ID_RULE}`);
  const areDistinct = fallbackModelIds.every((id, index) => fallbackModelIds.indexOf(id) === index);
  requireInput('fallbackModelIds', areDistinct, 'without duplicates');
  requireInput('fallbackModelIds', fallbackModelIds.indexOf(modelId) < 0, 'other models than modelId');
}

function validateGuardrail(env, guardrail) {
  if (!guardrail) return;
  const { id, version } = guardrail;
  const hasGuardrail = env.GUARDRAIL_ID !== 'none';
  requireInput('guardrail', hasGuardrail, 'left out: this deployment has no guardrail');
  const isOwn = isNull(id) || id === env.GUARDRAIL_ID;
  requireInput('guardrail.id', isOwn, "the deployment's parameter GuardrailId");
  const isVersion = isNull(version) || util.matches('\\A(DRAFT|[1-9][0-9]{0,7})\\z', version);
  requireInput('guardrail.version', isVersion, '1 to 99999999, or DRAFT');
}

/** A filter that refers to the caller must hold in every store. The handler checks the rest of a filter. */
function validateKnowledge(env, knowledge) {
  const { knowledgeBaseId, results, minScore, filter, rerankModelArn, queryModelId } = knowledge;
  const hasKnowledgeBase = env.KNOWLEDGE_BASE_ID !== 'none';
  requireInput('knowledge', hasKnowledgeBase, 'left out: this deployment has no knowledge base');
  const isOwn = isNull(knowledgeBaseId) || knowledgeBaseId === env.KNOWLEDGE_BASE_ID;
  requireInput('knowledge.knowledgeBaseId', isOwn, "this deployment's knowledge base");
  requireInput('knowledge.results', isWithin(results, 1, 20), '1 to 20');
  requireInput('knowledge.minScore', isWithin(minScore, 0, 1), '0 to 1');
  const isOwnModel = isNull(rerankModelArn) || rerankModelArn === env.RERANK_MODEL_ARN;
  requireInput('knowledge.rerankModelArn', isOwnModel, "the deployment's parameter RerankModelArn");
  const isModelId = isNull(queryModelId) || util.matches(MODEL_ID, queryModelId);
  requireInput('knowledge.queryModelId', isModelId, MODEL_ID_RULE);
  if (isNull(filter)) return;
  const text = toJsonText(filter);
  requireInput('knowledge.filter', text.trim().startsWith('{'), 'the JSON text of an object');
  requireInput('knowledge.filter', isUnicode(text), 'Unicode text without lone surrogates');
  requireInput('knowledge.filter', jsonSize(text) <= 4096, 'at most 4 KB of JSON-escaped UTF-8');
}

function toStoredKnowledge(env, knowledge) {
  const { mode, results, search, minScore, filter, rerankModelArn, queryModelId, onFailure } = knowledge;
  return {
    knowledgeBaseId: env.KNOWLEDGE_BASE_ID,
    mode: mode ?? 'ALWAYS',
    results: results ?? 6,
    ...(isNull(search) ? {} : { search }),
    ...(isNull(minScore) ? {} : { minScore }),
    ...(isNull(filter) ? {} : { filter: toJsonText(filter) }),
    ...(isNull(rerankModelArn) ? {} : { rerankModelArn }),
    ...(isNull(queryModelId) ? {} : { queryModelId }),
    onFailure: onFailure ?? 'ANSWER',
  };
}

function validateTools(tools) {
  requireInput('tools', tools.length <= 32, 'at most 32');
  const names = [];
  let count = 0;
  for (const tool of tools) {
    const path = `tools[${names.length}]`;
    validateTool(path, tool);
    requireInput(`${path}.name`, names.indexOf(tool.name) < 0, "unique among the agent's tools");
    names.push(tool.name);
    // The handler counts the tools of a server that are not named here.
    count += tool.mcp?.tools ? tool.mcp.tools.length : 1;
    requireInput('tools', count <= 32, 'at most 32 with those that mcp.tools names');
  }
}

function validateTool(
  path,
  { name, title, description, inputSchema, effect, approval, lambda, graphql, handler, client, mcp },
) {
  const targets = [lambda, graphql, handler, client, mcp].filter((target) => target);
  requireInput(path, targets.length === 1, 'exactly one of lambda, graphql, handler, client and mcp');
  requireInput(`${path}.approval`, !client || isNull(approval), 'left out: the client asks its user itself');
  const isName = util.matches('\\A[A-Za-z0-9_]{1,64}\\z', name);
  requireInput(`${path}.name`, isName, '1 to 64 of A-Z, a-z, 0-9 and _');
  // The results of this tool are not sent to the model again in later turns.
  requireInput(
    `${path}.name`,
    name !== 'search_documents',
    'another name: agents get this tool by knowledge',
  );
  requireInput(`${path}.title`, isUnicode(title ?? ''), 'Unicode text without lone surrogates');
  requireInput(`${path}.title`, !title || title.length <= 200, 'at most 200 characters');
  const isDescribed = mcp || !isNull(description);
  requireInput(`${path}.description`, isDescribed, 'given: only an MCP server describes its tools itself');
  const text = description ?? 'None.';
  requireInput(`${path}.description`, isUnicode(text), 'Unicode text without lone surrogates');
  requireInput(`${path}.description`, text.length <= 4000, 'at most 4,000 characters');
  requireInput(`${path}.description`, !isBlank(text), 'more than blanks');
  if (mcp) validateServer(path, { title, inputSchema, effect, mcp });
  else if (!graphql || !isNull(inputSchema)) validateSchema(path, inputSchema);
  if (lambda) {
    const isFunctionArn = util.matches(FUNCTION_ARN, lambda.functionArn);
    requireInput(`${path}.lambda.functionArn`, isFunctionArn, 'the ARN of a Lambda function');
  }
  if (graphql) validateOperation(path, effect, graphql);
}

function validateSchema(path, inputSchema) {
  const schema = isNull(inputSchema) ? '' : toJsonText(inputSchema);
  requireInput(`${path}.inputSchema`, schema.trim().startsWith('{'), 'the JSON text of an object');
  requireInput(`${path}.inputSchema`, isUnicode(schema), 'Unicode text without lone surrogates');
}

function validateOperation(path, effect, { document, url }) {
  requireInput(`${path}.effect`, isNull(effect), 'left out: it follows from the operation');
  const field = `${path}.graphql.document`;
  requireInput(field, isUnicode(document), 'Unicode text without lone surrogates');
  requireInput(field, jsonSize(document) <= 16384, 'at most 16 KB of JSON-escaped UTF-8');
  const isUrl = isNull(url) || util.matches('\\Ahttps?://[!-~]{1,2040}\\z', url);
  requireInput(`${path}.graphql.url`, isUrl, 'an http or https URL of at most 2,048 characters');
}

function validateServer(path, { title, inputSchema, effect, mcp }) {
  requireInput(`${path}.title`, isNull(title), 'left out: the server names its tools');
  requireInput(`${path}.inputSchema`, isNull(inputSchema), 'left out: the server describes its tools');
  requireInput(`${path}.effect`, isNull(effect), 'left out: the server declares which tools only read');
  const { url, authorizationSecretArn, tools } = mcp;
  const isUrl = util.matches('\\Ahttps?://[!-~]{1,2040}\\z', url);
  requireInput(`${path}.mcp.url`, isUrl, 'an http or https URL of at most 2,048 characters');
  const isSecret = isNull(authorizationSecretArn) || util.matches(SECRET_ARN, authorizationSecretArn);
  const field = `${path}.mcp.authorizationSecretArn`;
  requireInput(field, isSecret, 'the complete ARN of a secret of Secrets Manager');
  const isCount = isNull(tools) || isWithin(tools.length, 1, 32);
  requireInput(`${path}.mcp.tools`, isCount, '1 to 32 names of tools');
  const areNames = (tools ?? []).every((tool) => isUnicode(tool) && isWithin(tool.length, 1, 256));
  requireInput(`${path}.mcp.tools`, areNames, 'names of 1 to 256 characters');
}

/** The ARN of a secret, with the six characters that Secrets Manager adds to its name. */
const SECRET_ARN =
  '\\Aarn:aws[a-z-]*:secretsmanager:[a-z]{2}(-[a-z]+)+-[0-9]:[0-9]{12}:secret:' +
  '[A-Za-z0-9/_+=.@-]{1,512}-[A-Za-z0-9]{6}\\z';

/** The ARN of a function, or of one of its versions or aliases. */
const FUNCTION_ARN =
  '\\Aarn:aws[a-z-]*:lambda:[a-z]{2}(-[a-z]+)+-[0-9]:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}' +
  '(:([$]LATEST|[A-Za-z0-9_-]{1,128}))?\\z';

/**
 * The tool as the table and the handler have it. checkTools adds the effect and the approval where none is
 * given, and the schema of a GraphQL operation. It replaces an MCP server by the server's tools.
 */
function toStoredTool({
  name,
  title,
  description,
  inputSchema,
  effect,
  approval,
  lambda,
  graphql,
  handler,
  client,
  mcp,
}) {
  const tool = {
    name,
    ...(title ? { title } : {}),
    ...(isNull(description) ? {} : { description }),
    ...(isNull(inputSchema) ? {} : { inputSchema: toJsonText(inputSchema) }),
    ...(isNull(effect) ? {} : { effect }),
    ...(isNull(approval) ? {} : { approval }),
  };
  if (client) return { ...tool, client };
  if (handler) return { ...tool, handler };
  if (lambda) return { ...tool, lambda: { functionArn: lambda.functionArn } };
  if (mcp) return { ...tool, mcp: toStoredServer(mcp) };
  const { document, url } = graphql;
  return { ...tool, graphql: { document, ...(isNull(url) ? {} : { url }) } };
}

const toStoredServer = ({ url, authorizationSecretArn, tools }) => ({
  url,
  ...(isNull(authorizationSecretArn) ? {} : { authorizationSecretArn }),
  ...(isNull(tools) ? {} : { tools }),
});

/** AppSync parses an argument of the type AWSJSON. Its documentation does not say so for members of a list. */
const toJsonText = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

const isWithin = (value, least, most) => isNull(value) || (value >= least && value <= most);

// Copies of helpers in resolvers/shared.js, which says why.

const ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _ and -';

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

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
