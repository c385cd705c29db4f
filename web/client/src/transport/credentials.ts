/** Credentials of the caller, and the headers that carry them over HTTP and in the realtime protocol. */
import { ParlanceError } from '../errors.js';
import type { Endpoint } from './endpoint.js';

/**
 * `token` and `sign` are called for each request, each connection and each subscription, and may take 15
 * seconds. `token` keeps a token until it is about to expire, and then gets another one. An error that they
 * throw becomes the cause of a `ParlanceError`: with the code `NETWORK`, which is retryable, where it is a
 * `TypeError`, as fetch throws where it reaches nothing, and otherwise with the code `CREDENTIALS`, which is
 * not. A `ParlanceError` is passed on as it is.
 */
export type Credentials =
  | { readonly mode: 'API_KEY'; readonly apiKey: string }
  | { readonly mode: 'USER_POOL' | 'OIDC'; readonly token: () => string | Promise<string> }
  | { readonly mode: 'IAM'; readonly sign: (request: SignableRequest) => Promise<HttpHeaders> };

/**
 * A request to sign by Signature Version 4 for the service appsync. `sign` returns the headers to send: those
 * of the request, the date, the authorization and, with temporary credentials, the security token.
 */
export interface SignableRequest {
  readonly method: 'POST';
  readonly url: string;
  readonly headers: HttpHeaders;
  readonly body: string;
}

export type HttpHeaders = Readonly<Record<string, string>>;

const HTTP_HEADERS: HttpHeaders = { 'content-type': 'application/json' };

/** The headers besides the host that IAM callers sign in the realtime protocol, as AppSync documents it. */
const REALTIME_HEADERS: HttpHeaders = {
  accept: 'application/json, text/javascript',
  'content-encoding': 'amz-1.0',
  'content-type': 'application/json; charset=UTF-8',
};

/** The headers of a POST of this body. */
export async function httpHeaders(credentials: Credentials, { graphqlUrl }: Endpoint, body: string) {
  const headers = await authorize(credentials, graphqlUrl, HTTP_HEADERS, body);
  // fetch sets the host itself, and browsers refuse it.
  const isHost = (name: string): boolean => name.toLowerCase() === 'host';
  return Object.fromEntries(
    Object.entries({ ...HTTP_HEADERS, ...headers }).filter(([name]) => !isHost(name)),
  );
}

/** The header object of the WebSocket handshake. */
export function connectionHeader(credentials: Credentials, endpoint: Endpoint): Promise<HttpHeaders> {
  return realtimeHeader(credentials, endpoint, endpoint.connectUrl, '{}');
}

/** The header object that starts one subscription. `operation` is the text exactly as it is sent. */
export function subscriptionHeader(
  credentials: Credentials,
  endpoint: Endpoint,
  operation: string,
): Promise<HttpHeaders> {
  return realtimeHeader(credentials, endpoint, endpoint.graphqlUrl, operation);
}

async function realtimeHeader(
  credentials: Credentials,
  { host }: Endpoint,
  url: string,
  body: string,
): Promise<HttpHeaders> {
  const signed = credentials.mode === 'IAM' ? REALTIME_HEADERS : {};
  return { host, ...signed, ...(await authorize(credentials, url, signed, body)) };
}

async function authorize(
  credentials: Credentials,
  url: string,
  headers: HttpHeaders,
  body: string,
): Promise<HttpHeaders> {
  try {
    switch (credentials.mode) {
      case 'API_KEY':
        return { 'x-api-key': credentials.apiKey };
      case 'USER_POOL':
      case 'OIDC':
        return { Authorization: await credentials.token() };
      case 'IAM':
        return await credentials.sign({ method: 'POST', url, headers, body });
    }
  } catch (error) {
    throw credentialsError(error);
  }
}

function credentialsError(error: unknown): ParlanceError {
  if (error instanceof ParlanceError) return error;
  if (error instanceof TypeError) {
    return new ParlanceError('NETWORK', `The credentials could not be reached: ${error.message}`, {
      cause: error,
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new ParlanceError('CREDENTIALS', `There are no credentials for the request: ${reason}`, {
    cause: error,
  });
}
