// Restricts the global objects to those of APPSYNC_JS. Runs after all other modules have read the globals
// that they need.
import { countIteration, native, state, wellFormed } from 'appsync/handler_state';
import { extensions, runtime, util } from '@aws-appsync/utils';

const KEPT_GLOBALS = ['Infinity', 'JSON', 'Math', 'NaN', 'Number', 'Object', 'String', 'undefined'];

const define = (target, name, value) =>
  Object.defineProperty(target, name, { value, writable: false, enumerable: false, configurable: false });

const { isArray } = Array;
const { parse } = JSON;
const global = globalThis;

/** As in AppSync, invalid JSON yields the empty string instead of an error. */
const lenientParse = (text) => {
  try {
    return parse(text);
  } catch {
    return '';
  }
};

/** APPSYNC_JS has no regular expressions: string patterns have the syntax of Java. */
const useJavaPatterns = (name, replaceAll) => {
  const original = String.prototype[name];
  define(String.prototype, name, function replace(pattern, replacement) {
    if (typeof pattern !== 'string') return original.call(this, pattern, replacement);
    return native.replace(wellFormed(this), wellFormed(pattern), wellFormed(replacement), replaceAll);
  });
};

const log = (...values) => {
  state.logs.push(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '));
};

const deepFreeze = (object) => {
  for (const value of Object.values(object)) if (typeof value === 'object') deepFreeze(value);
  return Object.freeze(object);
};

/**
 * Called instead of `??`, whose right side AppSync evaluates always; instrumentation.rs inserts the calls.
 */
const evaluateNullish = (left, right) => left ?? right;

export const restrictGlobals = () => {
  delete Function.prototype.constructor;
  useJavaPatterns('replace', false);
  useJavaPatterns('replaceAll', true);
  define(JSON, 'parse', lenientParse);
  define(Math, 'random', () => native.random());
  for (const name of Object.getOwnPropertyNames(global)) {
    if (!KEPT_GLOBALS.includes(name)) delete global[name];
  }
  const console = { debug: log, error: log, log };
  const added = { util, extensions, runtime, console, Array: { isArray }, countIteration, evaluateNullish };
  for (const [name, value] of Object.entries(added)) define(global, name, deepFreeze(value));
};
