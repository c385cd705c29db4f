/** GraphQL over HTTP. */
import { ParlanceError, errorOfResponse, isRecord, type ErrorCode } from '../errors.js';
import { httpHeaders, type Credentials } from './credentials.js';
import type { Endpoint } from './endpoint.js';
import type { Variables } from './transport.js';

/** How long a request may take with its credentials, in ms: longer than AppSync's own limit of 30 seconds. */
const REQUEST_TIMEOUT = 35_000;

export interface HttpOptions {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly fetch: typeof globalThis.fetch;
  /** Ends all requests with its reason. */
  readonly closed: AbortSignal;
}

/**
 * Executes a query or a mutation, once: whoever knows that it may be repeated repeats it. AppSync limits a
 * response to 5 MB.
 */
export async function request<Data>(
  options: HttpOptions,
  document: string,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Data> {
  const body = JSON.stringify({ query: document, variables });
  const timeout = new AbortController();
  const timer = setTimeout(() => {
    timeout.abort(new ParlanceError('TIMEOUT', 'The API has not answered in time.'));
  }, REQUEST_TIMEOUT);
  const ended = AbortSignal.any([options.closed, timeout.signal, ...(signal ? [signal] : [])]);
  try {
    ended.throwIfAborted();
    // A token provider knows nothing of the signal: its answer is not waited for.
    const { response, text } = await Promise.race([exchange(options, body, ended), rejectionBy(ended)]);
    return dataOf(parse(text), response) as Data;
  } catch (error) {
    throw ended.aborted
      ? errorOf(ended.reason, 'ABORTED', 'The request was ended.')
      : errorOf(error, 'NETWORK', 'The API could not be reached.');
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

function rejectionBy(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', reject);
  });
}

function errorOf(cause: unknown, code: ErrorCode, message: string): ParlanceError {
  return cause instanceof ParlanceError ? cause : new ParlanceError(code, message, { cause });
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
