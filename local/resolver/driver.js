// Calls one handler: the context comes in as JSON text, what happened goes out as JSON text.
import { begin, Ending, raised, run } from 'appsync/run';
import { narrow } from 'appsync/language';
import '@aws-appsync/utils/dynamodb';

const { parse, stringify } = JSON;
const { defineProperty, entries, freeze } = Object;

narrow();

const hide = (object, name) => {
  if (object && name in object) defineProperty(object, name, { enumerable: false });
};

/** `args` and `arguments` are one object, `env` is read-only, and the selection sets do not print. */
const contextOf = (text) => {
  const given = parse(text);
  const context = { source: null, identity: null, stash: {}, result: null, error: null, ...given };
  context.arguments = given.arguments ?? {};
  context.args = context.arguments;
  context.env = freeze(given.env ?? {});
  hide(context.info, 'selectionSetList');
  hide(context.info, 'selectionSetGraphQL');
  return freeze(context);
};

/** Where in the resolver's file an error came from, as AppSync writes it: `code.js:5:29`. */
const placeOf = (error, path) => {
  for (const line of (error.stack ?? '').split('\n')) {
    const start = line.indexOf(`${path}:`);
    if (start >= 0) return `code.js:${line.slice(start + path.length + 1).split(')')[0]}`;
  }
  return 'code.js';
};

const describe = (error, path) =>
  error?.name ? `${placeOf(error, path)}: ${error.name}: ${error.message}` : `${placeOf({}, path)}: ${String(error)}`;

const attempt = (handler, context, path) => {
  try {
    return { returned: handler(context) ?? null };
  } catch (reason) {
    return reason instanceof Ending ? reason.outcome : { raised: raised(describe(reason, path), 'Code') };
  }
};

const report = (outcome, { arguments: args, stash }) =>
  stringify({
    outcome,
    arguments: args,
    stash,
    appended: run.appended,
    logs: run.logs,
    subscriptionFilter: run.subscriptionFilter ?? null,
    invalidationFilter: run.invalidationFilter ?? null,
    invalidations: run.invalidations,
    responseHeaders: entries(run.responseHeaders),
  });

export const call = (handler, phase, path, text) => {
  const context = contextOf(text);
  begin(context, phase);
  return report(attempt(handler, context, path), context);
};
