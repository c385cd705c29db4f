// What the handler that is running has done so far; the utilities write here, the driver reports it.
export const { native } = globalThis;

const ITERATIONS_PER_HANDLER = 1000;

export let run;

export const begin = (context, phase) => {
  run = { context, phase, iterations: 0, appended: [], logs: [], invalidations: [], responseHeaders: {} };
};

/** Thrown to end a handler; resolvers cannot catch it, for the language they may use has no `try`. */
export class Ending {
  constructor(outcome) {
    this.outcome = outcome;
  }
}

export const raised = (message, errorType, data, info) => ({
  message: String(message ?? 'Custom error'),
  errorType: errorType ?? null,
  data: data ?? null,
  info: info ?? null,
});

export const end = (outcome) => {
  throw new Ending(outcome);
};

export const fail = (message, errorType) => end({ raised: raised(message, errorType) });

/**
 * Called once per loop pass and per callback of an array method: the engine writes the calls into the code. The engine
 * itself looks at the clock too seldom for a few passes that take long.
 */
export const countIteration = () => {
  const overrun = native.overrun();
  if (overrun) fail(overrun, 'Code');
  run.iterations += 1;
  if (run.iterations > ITERATIONS_PER_HANDLER) {
    fail(`A handler may make ${ITERATIONS_PER_HANDLER} loop iterations; this one makes more.`, 'Code');
  }
};

export const unsupported = (name) => () => fail(`${name} is not supported by the laptop edition.`, 'Code');

/** As Java writes UTF-8: half of a surrogate pair becomes a question mark. */
export const wellFormed = (text) => {
  const string = String(text);
  return string.isWellFormed() ? string : string.replace(/[\ud800-\udfff]/gu, '?');
};
