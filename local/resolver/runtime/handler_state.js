// The state of the running handler: the utilities change it, call_handler.js reports it.
export const { native } = globalThis;

const MAX_ITERATIONS = 1000;

export let state;

export const startHandler = (context, handlerName) => {
  state = {
    context,
    handlerName,
    iterations: 0,
    appended: [],
    logs: [],
    invalidations: [],
    responseHeaders: {},
  };
};

/** Thrown to exit a handler. Resolvers cannot catch it, because APPSYNC_JS has no `try`. */
export class HandlerExit {
  constructor(outcome) {
    this.outcome = outcome;
  }
}

const textOrNull = (value) => (value === undefined || value === null ? null : String(value));

/** Samples of AWS pass a status code as error type. AppSync's schema of errors has text there. */
export const handlerError = (message, errorType, data, info) => ({
  message: String(message ?? 'Custom error'),
  errorType: textOrNull(errorType),
  data: data ?? null,
  info: info ?? null,
});

export const exit = (outcome) => {
  throw new HandlerExit(outcome);
};

export const fail = (message, errorType) => exit({ raised: handlerError(message, errorType) });

/**
 * Called in each iteration of a loop and in each callback of an array method; instrumentation.rs inserts the
 * calls. It also checks the time limit, which the engine checks too rarely for a few slow iterations.
 */
export const countIteration = () => {
  const timeLimitMessage = native.timeLimitExceeded();
  if (timeLimitMessage) fail(timeLimitMessage, 'Code');
  state.iterations += 1;
  if (state.iterations > MAX_ITERATIONS) {
    fail(`A handler may make ${MAX_ITERATIONS} loop iterations; this one makes more.`, 'Code');
  }
};

export const unsupported = (name) => () => fail(`${name} is not supported by the local server.`, 'Code');

/** Replaces lone surrogates by question marks, as Java does when it writes UTF-8. */
export const wellFormed = (text) => {
  const string = String(text);
  return string.isWellFormed() ? string : string.replace(/[\ud800-\udfff]/gu, '?');
};
