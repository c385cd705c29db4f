// The module @aws-appsync/utils.
import { end, fail, native, raised, run, unsupported, wellFormed } from 'appsync/run';
import { dynamodb } from 'appsync/values';
import { toElasticsearchQueryDSL, toExpression, toSubscriptionFilter } from 'appsync/transform';
import { addResponseHeader, addResponseHeaders, copyHeaders } from 'appsync/headers';

const authType = () => {
  const { identity } = run.context;
  const has = (...names) => names.every((name) => identity[name] !== undefined && identity[name] !== null);
  const only = (...names) => Object.keys(identity).every((name) => names.includes(name));
  if (identity === null || identity === undefined) return 'API Key Authorization';
  if (only('resolverContext')) return 'Lambda Authorization';
  if (has('userArn', 'sourceIp')) return 'IAM Authorization';
  if (has('defaultAuthStrategy', 'sourceIp')) return 'User Pool Authorization';
  if (has('sub', 'issuer', 'claims') && only('sub', 'issuer', 'claims')) return 'Open ID Connect Authorization';
  return 'API Key Authorization';
};

const time = {
  nowISO8601: () => native.formatIso(native.now()),
  nowEpochSeconds: () => Math.floor(native.now() / 1000),
  nowEpochMilliSeconds: () => native.now(),
  nowFormatted: (format, zone) => native.formatTime(native.now(), format, zone ?? 'UTC'),
  parseFormattedToEpochMilliSeconds: (text, format, zone) => native.parseTime(text, format, zone ?? null),
  parseISO8601ToEpochMilliSeconds: (text) => native.parseIso(text),
  epochMilliSecondsToSeconds: (milliseconds) => Math.floor(milliseconds / 1000),
  epochMilliSecondsToISO8601: (milliseconds) => native.formatIso(milliseconds),
  epochMilliSecondsToFormatted: (milliseconds, format, zone) => native.formatTime(milliseconds, format, zone ?? 'UTC'),
};

const math = {
  roundNum: (number) => Math.round(number),
  minVal: (one, other) => Math.min(one, other),
  maxVal: (one, other) => Math.max(one, other),
  randomDouble: () => native.random(),
  randomWithinRange: (start, end) => start + Math.floor(native.random() * (end - start)),
};

/** As JSON text; what cannot be rendered stays null. */
const written = (expression) => expression && JSON.stringify(expression);

const transform = {
  toDynamoDBFilterExpression: (filter) => written(toExpression(filter)),
  toDynamoDBConditionExpression: (condition) => written(toExpression(condition)),
  toElasticsearchQueryDSL,
  toSubscriptionFilter,
};

const escapes = {
  '\b': '\\b', '\n': '\\n', '\t': '\\t', '\f': '\\f', '\r': '\\r', "'": "\\'", '"': '\\"', '\\': '\\\\', '/': '\\/',
};

const escapeJavaScript = (text) =>
  text.replace(/[^ !#-&(-.0-[\]-~]/g, (unit) =>
    escapes[unit] ?? `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`);

const each = (prefix, names) => Object.fromEntries(names.map((name) => [name, unsupported(`${prefix}.${name}`)]));

export const util = {
  error: (message, errorType, data, info) => end({ raised: raised(message, errorType, data, info) }),
  appendError: (message, errorType, data, info) => {
    run.appended.push(raised(message, errorType, data, info));
  },
  unauthorized: () => end('unauthorized'),
  authType,
  autoId: () => native.autoId(),
  autoUlid: () => native.autoUlid(),
  autoKsuid: () => native.autoKsuid(),
  escapeJavaScript,
  urlEncode: (text) => native.urlEncode(wellFormed(text)),
  urlDecode: (text) => native.urlDecode(wellFormed(text)),
  base64Encode: (text) => native.base64Encode(wellFormed(text)),
  base64Decode: (text) => native.base64Decode(wellFormed(text)),
  matches: (pattern, text) => native.matches(wellFormed(pattern), wellFormed(text)),
  str: { normalize: (text, form) => native.normalize(wellFormed(text), form) },
  http: { copyHeaders, addResponseHeader, addResponseHeaders },
  time,
  math,
  dynamodb,
  transform,
  rds: each('util.rds', ['toJsonObject', 'toJsonString']),
  xml: each('util.xml', ['toMap', 'toJsonString']),
};

const inResponseOf = (parent, name) => {
  if (run.phase !== 'response' || run.context.info?.parentTypeName !== parent) {
    fail(`${name} may be called only in the response handler of a ${parent.toLowerCase()}.`, 'Code');
  }
};

export const extensions = {
  setSubscriptionFilter: (filter) => {
    inResponseOf('Subscription', 'extensions.setSubscriptionFilter');
    run.subscriptionFilter = filter;
  },
  setSubscriptionInvalidationFilter: (filter) => {
    inResponseOf('Subscription', 'extensions.setSubscriptionInvalidationFilter');
    run.invalidationFilter = filter;
  },
  invalidateSubscriptions: ({ subscriptionField, payload }) => {
    inResponseOf('Mutation', 'extensions.invalidateSubscriptions');
    run.invalidations.push({ subscriptionField, payload });
  },
  evictFromApiCache: unsupported('extensions.evictFromApiCache'),
};

const earlyReturn = (value, options) => {
  const skipTo = options?.skipTo ?? 'UNSAID';
  if (!['UNSAID', 'END', 'NEXT'].includes(skipTo)) {
    fail(`runtime.earlyReturn skips to END or NEXT, not to ${skipTo}.`, 'Code');
  }
  end({ earlyReturn: { value: value ?? null, skipTo } });
};

export const runtime = { earlyReturn };
