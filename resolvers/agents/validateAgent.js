import { runtime, util } from '@aws-appsync/utils';

/**
 * Refuses an agent that could not answer, before anything is written. Administrators only.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (!ctx.stash.isAdministrator) util.unauthorized();
  const { id, name, modelId, systemPrompt, inference, contextBytes } = ctx.args.input;
  requireInput('id', isId(id), ID_RULE);
  requireInput('name', isUnicode(name ?? ''), 'Unicode text without lone surrogates');
  requireInput('name', !name || name.length <= 200, 'at most 200 characters');
  const isModelId = util.matches('\\A[A-Za-z0-9.:/_-]{1,2048}\\z', modelId);
  requireInput('modelId', isModelId, 'a Bedrock model id, inference profile id or ARN');
  requireInput('systemPrompt', isUnicode(systemPrompt ?? ''), 'Unicode text without lone surrogates');
  requireInput('systemPrompt', jsonSize(systemPrompt ?? '') <= 65536, 'at most 64 KB of JSON-escaped UTF-8');
  requireInput('contextBytes', isWithin(contextBytes, 10000, 4000000), '10,000 to 4,000,000');
  validateInference(inference ?? {});
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}

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

/** The size of a text in a JSON document: bytes of JSON-escaped UTF-8, without the quotes. */
function jsonSize(text) {
  const encoded = util.base64Encode(JSON.stringify(text));
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding - '""'.length;
}
