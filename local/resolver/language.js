// Narrows JavaScript to what APPSYNC_JS offers. Runs last, once the other modules hold what they need.
import { countIteration, native, run, wellFormed } from 'appsync/run';
import { extensions, runtime, util } from '@aws-appsync/utils';

const GLOBALS = ['Infinity', 'JSON', 'Math', 'NaN', 'Number', 'Object', 'String', 'undefined'];

const define = (target, name, value) =>
  Object.defineProperty(target, name, { value, writable: false, enumerable: false, configurable: false });

const { parse } = JSON;
const global = globalThis;

/** Text that is not JSON gives the empty string; nothing is thrown. */
const lenientParse = (text) => {
  try {
    return parse(text);
  } catch {
    return '';
  }
};

/** Resolvers have no regular expressions: their patterns are strings, read as Java reads them. */
const javaPatterns = (name, everywhere) => {
  const original = String.prototype[name];
  define(String.prototype, name, function replace(pattern, replacement) {
    if (typeof pattern !== 'string') return original.call(this, pattern, replacement);
    return native.replace(wellFormed(this), wellFormed(pattern), wellFormed(replacement), everywhere);
  });
};

const log = (...values) => {
  run.logs.push(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '));
};

const deepFreeze = (object) => {
  for (const value of Object.values(object)) if (typeof value === 'object') deepFreeze(value);
  return Object.freeze(object);
};

export const narrow = () => {
  delete Function.prototype.constructor;
  javaPatterns('replace', false);
  javaPatterns('replaceAll', true);
  define(JSON, 'parse', lenientParse);
  define(Math, 'random', () => native.random());
  for (const name of Object.getOwnPropertyNames(global)) {
    if (!GLOBALS.includes(name)) delete global[name];
  }
  const given = { util, extensions, runtime, console: { log, error: log }, countIteration };
  for (const [name, value] of Object.entries(given)) define(global, name, deepFreeze(value));
};
