// The module @aws-appsync/utils.
import { exit, fail, handlerError, native, state, unsupported, wellFormed } from 'appsync/handler_state';
import { dynamodb } from 'appsync/dynamodb_values';
import { toElasticsearchQueryDSL, toExpression, toSubscriptionFilter } from 'appsync/transform';
import { addResponseHeader, addResponseHeaders, copyHeaders } from 'appsync/http_headers';

const authType = () => {
  const { identity } = state.context;
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
  minVal: (left, right) => Math.min(left, right),
  maxVal: (left, right) => Math.max(left, right),
  randomDouble: () => native.random(),
  randomWithinRange: (start, end) => start + Math.floor(native.random() * (end - start)),
};

/** The expression as JSON text, or null. */
const toJson = (expression) => expression && JSON.stringify(expression);

const transform = {
  toDynamoDBFilterExpression: (filter) => toJson(toExpression(filter)),
  toDynamoDBConditionExpression: (condition) => toJson(toExpression(condition)),
  toElasticsearchQueryDSL,
  toSubscriptionFilter,
};

const escapes = {
  '\b': '\\b', '\n': '\\n', '\t': '\\t', '\f': '\\f', '\r': '\\r', "'": "\\'", '"': '\\"', '\\': '\\\\', '/': '\\/',
};

const escapeJavaScript = (text) =>
  text.replace(/[^ !#-&(-.0-[\]-~]/g, (unit) =>
    escapes[unit] ?? `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`);

const unsupportedFunctions = (prefix, names) => Object.fromEntries(names.map((name) => [name, unsupported(`${prefix}.${name}`)]));

export const util = {
  error: (message, errorType, data, info) => exit({ raised: handlerError(message, errorType, data, info) }),
  appendError: (message, errorType, data, info) => {
    state.appended.push(handlerError(message, errorType, data, info));
  },
  unauthorized: () => exit('unauthorized'),
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
  rds: unsupportedFunctions('util.rds', ['toJsonObject', 'toJsonString']),
  xml: unsupportedFunctions('util.xml', ['toMap', 'toJsonString']),
};

const requireResponseHandler = (parent, name) => {
  if (state.handlerName !== 'response' || state.context.info?.parentTypeName !== parent) {
    fail(`${name} may be called only in the response handler of a ${parent.toLowerCase()}.`, 'Code');
  }
};

export const extensions = {
  setSubscriptionFilter: (filter) => {
    requireResponseHandler('Subscription', 'extensions.setSubscriptionFilter');
    state.subscriptionFilter = filter;
  },
  setSubscriptionInvalidationFilter: (filter) => {
    requireResponseHandler('Subscription', 'extensions.setSubscriptionInvalidationFilter');
    state.invalidationFilter = filter;
  },
  invalidateSubscriptions: ({ subscriptionField, payload }) => {
    requireResponseHandler('Mutation', 'extensions.invalidateSubscriptions');
    state.invalidations.push({ subscriptionField, payload });
  },
  evictFromApiCache: unsupported('extensions.evictFromApiCache'),
};

/** AppSync raises where there is no value to return (recorded in aws-appsync-community issue 280). */
const earlyReturn = (value, options) => {
  if (value === undefined || value === null) fail('Runtime Error', 'Code');
  const skipTo = options?.skipTo ?? 'UNSPECIFIED';
  if (!['UNSPECIFIED', 'END', 'NEXT'].includes(skipTo)) {
    fail(`runtime.earlyReturn skips to END or NEXT, not to ${skipTo}.`, 'Code');
  }
  exit({ earlyReturn: { value, skipTo } });
};

export const runtime = { earlyReturn };
