// util.http: headers that may be forwarded to a data source, and those a resolver adds to the response.
import { fail, run } from 'appsync/run';

const BYTES_OF_RESPONSE_HEADERS = 4096;
const RESERVED = new Set([
  'connection', 'content-length', 'expect', 'host', 'keep-alive', 'te', 'transfer-encoding', 'upgrade',
]);
const RESERVED_PREFIXES = ['x-amzn-', 'x-amz-', 'proxy-'];

const reserved = (name) => RESERVED.has(name) || RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix));

const refuse = (message) => fail(message, 'ResponseHeaderError');

export const copyHeaders = (headers) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !reserved(name.toLowerCase())));

export const addResponseHeader = (name, value) => {
  const key = String(name).toLowerCase();
  if (reserved(key)) refuse(`The response header ${name} is reserved.`);
  run.responseHeaders[key] = typeof value === 'object' ? JSON.stringify(value) : String(value);
  const bytes = Object.entries(run.responseHeaders).flat().join('').length;
  if (bytes > BYTES_OF_RESPONSE_HEADERS) refuse(`Response headers may hold ${BYTES_OF_RESPONSE_HEADERS} bytes in all.`);
};

export const addResponseHeaders = (headers) => {
  for (const [name, value] of Object.entries(headers)) addResponseHeader(name, value);
};
