// util.http: copies request headers without reserved ones, and adds response headers.
import { fail, state } from 'appsync/handler_state';

const MAX_RESPONSE_HEADER_BYTES = 4096;
const RESERVED = new Set([
  'connection', 'content-length', 'expect', 'host', 'keep-alive', 'te', 'transfer-encoding', 'upgrade',
]);
const RESERVED_PREFIXES = ['x-amzn-', 'x-amz-', 'proxy-'];

const isReserved = (name) => RESERVED.has(name) || RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix));

const failWithHeaderError = (message) => fail(message, 'ResponseHeaderError');

export const copyHeaders = (headers) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !isReserved(name.toLowerCase())));

export const addResponseHeader = (name, value) => {
  const key = String(name).toLowerCase();
  if (isReserved(key)) failWithHeaderError(`The response header ${name} is reserved.`);
  state.responseHeaders[key] = typeof value === 'object' ? JSON.stringify(value) : String(value);
  const bytes = Object.entries(state.responseHeaders).flat().join('').length;
  if (bytes > MAX_RESPONSE_HEADER_BYTES) failWithHeaderError(`Response headers may hold ${MAX_RESPONSE_HEADER_BYTES} bytes in all.`);
};

export const addResponseHeaders = (headers) => {
  for (const [name, value] of Object.entries(headers)) addResponseHeader(name, value);
};
