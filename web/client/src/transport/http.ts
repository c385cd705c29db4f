/** GraphQL over HTTP. */
import { ParlanceError, errorOfResponse, isRecord } from '../errors.js';
import { delayOf, type Backoff } from './backoff.js';
import { httpHeaders, type Credentials } from './credentials.js';
import type { Endpoint } from './endpoint.js';
import type { Variables } from './transport.js';

/** How long one try may take with its credentials, in ms: longer than AppSync's own limit of 30 seconds. */
const REQUEST_TIMEOUT = 35_000;
/** How often a query is sent before its failure is reported. Mutations are sent once. */
const QUERY_TRIES = 3;
const RETRY_BACKOFF: Backoff = { first: 500, longest: 2_000 };

export interface HttpOptions {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly fetch: typeof globalThis.fetch;
  readonly random: () => number;
  /** Ends all requests with its reason. */
  readonly closed: AbortSignal;
}

/**
 * Executes a query or a mutation. A query that fails in a way that passes is sent up to three times; a mutation is
 * not, because it may have been carried out. AppSync limits a response to 5 MB.
 */
export async function request<Data>(
  options: HttpOptions,
  document: string,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Data> {
  const body = JSON.stringify({ query: document, variables });
  const ended = AbortSignal.any(signal ? [options.closed, signal] : [options.closed]);
  if (ended.aborted) throw endedError(ended);
  const tries = document.startsWith('query') ? QUERY_TRIES : 1;
  for (let failures = 1; ; failures++) {
    try {
      return await post<Data>(options, body, ended);
    } catch (error) {
      if (failures >= tries || !isRepeatable(error)) throw error;
      await sleep(delayOf(RETRY_BACKOFF, failures, options.random()), ended);
    }
  }
}

/** After a timeout the caller has waited long enough. */
function isRepeatable(error: unknown): boolean {
  return error instanceof ParlanceError && error.retryable && error.code !== 'TIMEOUT';
}

async function post<Data>(options: HttpOptions, body: string, ended: AbortSignal): Promise<Data> {
  const timeout = new AbortController();
  const timer = setTimeout(() => {
    timeout.abort();
  }, REQUEST_TIMEOUT);
  const signal = AbortSignal.any([ended, timeout.signal]);
  try {
    const { response, text } = await unlessAborted(exchange(options, body, signal), signal);
    return dataOf(parse(text), response) as Data;
  } catch (error) {
    throw errorOf(error, ended, timeout.signal);
  } finally {
    clearTimeout(timer);
  }
}

interface Exchange {
  readonly response: Response;
  readonly text: string;
}

async function exchange(
  { endpoint, credentials, fetch }: HttpOptions,
  body: string,
  signal: AbortSignal,
): Promise<Exchange> {
  const headers = await httpHeaders(credentials, endpoint, body);
  const request = { method: 'POST', headers, body, signal, credentials: 'omit' } as const;
  const response = await fetch(endpoint.graphqlUrl, request);
  return { response, text: await response.text() };
}

/** A token provider knows nothing of the signal: its answer is not waited for. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(new ParlanceError('ABORTED', 'The request was ended.'));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort);
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Any entry in `errors` fails the request, also where there is data. */
function dataOf(body: unknown, { ok, status }: Response): Record<string, unknown> {
  const { data, errors } = isRecord(body) ? body : {};
  if (!ok || (Array.isArray(errors) && errors.length > 0)) {
    throw errorOfResponse(errors, ok ? undefined : status);
  }
  if (!isRecord(data)) throw new ParlanceError('BAD_RESPONSE', 'What answered is no GraphQL API.');
  return data;
}

function errorOf(error: unknown, ended: AbortSignal, timeout: AbortSignal): ParlanceError {
  if (ended.aborted) return endedError(ended);
  if (timeout.aborted) return new ParlanceError('TIMEOUT', 'The API has not answered in time.');
  if (error instanceof ParlanceError) return error;
  return new ParlanceError('NETWORK', 'The API could not be reached.', { cause: error });
}

function endedError({ reason }: AbortSignal): ParlanceError {
  return reason instanceof ParlanceError
    ? reason
    : new ParlanceError('ABORTED', 'The request was ended.', { cause: reason });
}

function sleep(delay: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(endedError(ended));
    };
    const timer = setTimeout(() => {
      ended.removeEventListener('abort', onAbort);
      resolve();
    }, delay);
    ended.addEventListener('abort', onAbort);
  });
}
