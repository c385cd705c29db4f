import { runtime, util } from '@aws-appsync/utils';

/**
 * Refuses an agent that could not answer, before anything is written.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (!ctx.stash.isAdministrator) util.unauthorized();
  const { id, name, modelId, systemPrompt, inference, contextBytes } = ctx.args.input;
  check('id', util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id), '1 to 64 of A-Z, a-z, 0-9, _ and -');
  check('name', isUnicode(name ?? ''), 'Unicode text without lone surrogates');
  check('name', !name || name.length <= 200, 'at most 200 characters');
  check('modelId', util.matches('\\A[A-Za-z0-9.:/_-]{1,2048}\\z', modelId), 'a Bedrock model id, inference profile id or ARN');
  check('systemPrompt', isUnicode(systemPrompt ?? ''), 'Unicode text without lone surrogates');
  check('systemPrompt', bytes(systemPrompt ?? '') <= 65536, 'at most 64 KB of JSON-escaped UTF-8');
  check('contextBytes', within(contextBytes, 10000, 4000000), '10,000 to 4,000,000');
  check('maxTokens', within(inference?.maxTokens, 1, 1000000), '1 to 1,000,000');
  check('temperature', within(inference?.temperature, 0, 1), '0 to 1');
  check('topP', within(inference?.topP, 0, 1), '0 to 1');
  check('stopSequences', (inference?.stopSequences ?? []).length <= 20, 'at most 20');
  check('stopSequences', (inference?.stopSequences ?? []).every((text) => isUnicode(text)), 'Unicode text without lone surrogates');
  check('stopSequences', (inference?.stopSequences ?? []).every((text) => text.length > 0), 'without empty texts');
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}

const isUnicode = (text) => util.base64Decode(util.base64Encode(text)) === text;
const within = (value, least, most) => value === undefined || value === null || (value >= least && value <= most);
const bytes = (text) => (util.base64Encode(JSON.stringify(text)).length * 3) / 4 - '""'.length;
const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
