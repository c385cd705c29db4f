import { runtime, util } from '@aws-appsync/utils';

/**
 * Asks the handler whether it accepts the agent's tools: their schemas and documents, and whether the
 * deployment allows their functions, URLs and secrets. It lists the tools of MCP servers. It checks
 * the filter of the agent's knowledge. An agent without tools and filter needs no check.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { knowledge, tools } = ctx.stash;
  const filter = knowledge?.filter;
  if (tools.length === 0 && isNull(filter)) runtime.earlyReturn({});
  return {
    operation: 'Invoke',
    invocationType: 'RequestResponse',
    payload: { type: 'checkTools', tools, filter },
  };
}

/**
 * The handler returns what it refuses, in the order of the tools, and the tools to store: with the schemas
 * and effects that it has derived, and with the tools of each MCP server in the server's place. A message is
 * a sentence.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const { refusals, tools } = ctx.result ?? {};
  if (ctx.error || !refusals || !tools) {
    if (ctx.error) console.error(ctx.error.type);
    util.error('The tools could not be checked. Try again.', 'TryAgain');
  }
  if (refusals.length > 0) {
    const { path, message } = refusals[0];
    util.error(`${path}: ${message}`, 'InvalidInput', null, { field: path });
  }
  const completed = tools.map((tool) => withApproval(tool));
  requireInput('tools', jsonSize(completed) <= 65536, 'at most 64 KB of JSON');
  ctx.stash.tools = completed;
  return {};
}

const withApproval = (tool) => ({ ...tool, approval: tool.approval ?? defaultApproval(tool) });

/**
 * What changes something needs an approval, unless the agent says otherwise. A client asks its user itself.
 */
const defaultApproval = ({ effect, client }) => (client || effect === 'READ' ? 'NEVER' : 'ALWAYS');

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** The size of a text or list in a JSON document: bytes of JSON-escaped UTF-8, without the quotes or brackets. */
function jsonSize(value) {
  const encoded = util.base64Encode(JSON.stringify(value));
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding - '""'.length;
}
