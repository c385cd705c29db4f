import { runtime, util } from '@aws-appsync/utils';

/**
 * Seals the caller's own credential for the tools that run as the caller, before startTurn invokes the
 * handler with it. KMS encrypts it with the key that only the handler may decrypt with, bound to the turn by
 * the encryption context, which is not secret. An agent without such tools needs no credential, and neither
 * does a turn that is not started. An answer to a tool call has its credential sealed before it is stored, if
 * it is from the user for whom the turn runs. That of a one-shot question is sealed for a turn that is never
 * stored. The API's logs leave out requests and contexts (ExcludeVerboseContent).
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { agent, oneShot, toolAnswer } = ctx.stash;
  const isNeeded = toolAnswer ? isNewAnswerOfAsker(ctx) : !!oneShot || isStarting(ctx);
  const needsCredential = isNeeded && agent.tools.some((tool) => tool.graphql);
  if (!needsCredential) runtime.earlyReturn(ctx.prev.result);
  const { kind, text } = callerCredential(ctx);
  const plaintext = util.base64Encode(text);
  const reason = refusal(ctx, kind, plaintext);
  if (reason) {
    ctx.stash.callerCredential = { kind: 'NONE', reason };
    runtime.earlyReturn(ctx.prev.result);
  }
  return {
    method: 'POST',
    resourcePath: '/',
    params: {
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'TrentService.Encrypt' },
      body: {
        KeyId: ctx.env.CALLER_KEY_ARN,
        Plaintext: plaintext,
        EncryptionContext: turnIds(ctx),
      },
    },
  };
}

/**
 * Without a sealed credential the turn is started all the same: the tools say what is missing. An HTTP data
 * source has responses of every status as its result. It is not documented how it names a failed connection.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const isSealed = !ctx.error && ctx.result.statusCode === 200;
  if (!isSealed) console.error(ctx.error ? ctx.error.type : errorType(ctx.result));
  const { kind } = callerCredential(ctx);
  ctx.stash.callerCredential = isSealed
    ? { kind, sealed: JSON.parse(ctx.result.body).CiphertextBlob }
    : { kind: 'NONE', reason: 'NOT_SEALED' };
  return ctx.prev.result;
}

/** The turn for which the credential is sealed. */
function turnIds(ctx) {
  const { conversation, oneShot, queuedTurn, toolAnswer, turn } = ctx.stash;
  return oneShot ?? { conversationId: conversation.id, turnId: toolAnswer ? turn.id : queuedTurn.id };
}

/** Whether startTurn is going to invoke the handler for the turn. */
function isStarting(ctx) {
  const { closing, isReplay, isStarted, queuedTurn } = ctx.stash;
  const isClosing = closing && !closing.isWhole && !isReplay;
  return !isClosing && !isStarted && queuedTurn.status === 'QUEUED';
}

function isNewAnswerOfAsker(ctx) {
  const { storedAnswer, turn, userId } = ctx.stash;
  return turn.status === 'WAITING' && !storedAnswer && userId === (turn.askedBy ?? 'API_KEY');
}

/**
 * What the caller has identified itself with. A signature of IAM is valid for one request alone, and the
 * gateway does not pass on what its callers have sent.
 */
function callerCredential(ctx) {
  if (ctx.args.onBehalfOf) return { kind: 'ON_BEHALF', text: '' };
  /** @type {any} */
  const identity = ctx.identity;
  const headers = ctx.request.headers;
  if (!identity) return { kind: 'API_KEY', text: toText(headers['x-api-key']) };
  if (!identity.claims) return { kind: 'IAM', text: '' };
  const token = toText(headers.authorization).trim();
  const hasScheme = token.toLowerCase().startsWith('bearer ');
  return { kind: 'TOKEN', text: hasScheme ? token.slice('bearer '.length).trim() : token };
}

/** A header that was sent more than once is a list; which one AppSync has accepted is not known. */
const toText = (header) => (typeof header === 'string' ? header : '');

/** Why the credential cannot be sealed; null where it can. KMS encrypts 1 to 4,096 bytes. */
function refusal(ctx, kind, plaintext) {
  if (ctx.env.CALLER_KEY_ARN === 'none') return 'DISABLED';
  if (kind === 'IAM' || kind === 'ON_BEHALF') return kind;
  if (plaintext === '') return 'NOT_SEALED';
  const padding = plaintext.endsWith('==') ? 2 : plaintext.endsWith('=') ? 1 : 0;
  return (plaintext.length / 4) * 3 - padding > 4096 ? 'TOO_LONG' : null;
}

/**
 * The status and KMS's name of the error. The body may be something else than JSON, whose parsing would end
 * the request.
 */
function errorType({ statusCode, body }) {
  const type = body.split('"__type":"')[1]?.split('"')[0];
  return `KMS ${statusCode} ${type ?? ''}`.trim();
}
