// Calls a handler. The context and the report are JSON text.
import { handlerError, HandlerExit, startHandler, state } from 'appsync/handler_state';
import { restrictGlobals } from 'appsync/restrict_globals';
import '@aws-appsync/utils/dynamodb';

const { parse, stringify } = JSON;
const { defineProperty, entries, freeze } = Object;

restrictGlobals();

const hide = (object, name) => {
  if (object && name in object) defineProperty(object, name, { enumerable: false });
};

/**
 * `args` and `arguments` are the same object, `env` is read-only, and the selection sets are not enumerable.
 * `error` is there only where the data source failed, and `result` only in a response handler. Whether
 * AppSync gives request handlers a `result` of null instead is not documented.
 */
const parseContext = (text, handlerName) => {
  const { error, result = null, ...given } = parse(text);
  const context = { source: null, identity: null, stash: {}, prev: null, ...given };
  if (handlerName === 'response') context.result = result;
  if (error) context.error = error;
  context.arguments = given.arguments ?? {};
  context.args = context.arguments;
  context.env = freeze(given.env ?? {});
  hide(context.info, 'selectionSetList');
  hide(context.info, 'selectionSetGraphQL');
  return freeze(context);
};

/** The position of an error in the resolver's file, in AppSync's form: `code.js:5:29`. */
const positionOf = (error, path) => {
  for (const line of (error.stack ?? '').split('\n')) {
    const start = line.indexOf(`${path}:`);
    if (start >= 0) return `code.js:${line.slice(start + path.length + 1).split(')')[0]}`;
  }
  return 'code.js';
};

const describe = (error, path) =>
  error?.name ? `${positionOf(error, path)}: ${error.name}: ${error.message}` : `${positionOf({}, path)}: ${String(error)}`;

const outcomeOf = (handler, context, path) => {
  try {
    return { returned: handler(context) ?? null };
  } catch (error) {
    return error instanceof HandlerExit ? error.outcome : { raised: handlerError(describe(error, path), 'Code') };
  }
};

const toReport = (outcome, { arguments: args, stash }) =>
  stringify({
    outcome,
    arguments: args,
    stash,
    appended: state.appended,
    logs: state.logs,
    subscriptionFilter: state.subscriptionFilter ?? null,
    invalidationFilter: state.invalidationFilter ?? null,
    invalidations: state.invalidations,
    responseHeaders: entries(state.responseHeaders),
  });

export const callHandler = (handler, handlerName, path, text) => {
  const context = parseContext(text, handlerName);
  startHandler(context, handlerName);
  return toReport(outcomeOf(handler, context, path), context);
};
