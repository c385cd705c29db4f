/** Errors of the API and of the connection to it. */

/** The API's error types. docs/clients.md says what each means and what a client does. */
const API_CODES = [
  'AnswerFailed',
  'ConversationBusy',
  'Disabled',
  'ExecutionTimeout',
  'IdConflict',
  'InvalidInput',
  'NotFound',
  'NotLatestTurn',
  'NotPending',
  'QuotaExceeded',
  'StaleAttempt',
  'ToolCallAnswered',
  'TooManyRuns',
  'TryAgain',
  'Unauthorized',
] as const;

export type ApiErrorCode = (typeof API_CODES)[number];

export type ErrorCode =
  | ApiErrorCode
  /** No response arrived. The request may have been carried out. */
  | 'NETWORK'
  /** No response arrived in time. The request may have been carried out. */
  | 'TIMEOUT'
  /** AppSync is throttled or failing. */
  | 'UNAVAILABLE'
  /** AppSync does not accept the key, the token or the signature: sign in again. */
  | 'UNAUTHORIZED'
  /** `token` or `sign` of the credentials has thrown. */
  | 'CREDENTIALS'
  /** What arrived is no response of GraphQL. */
  | 'BAD_RESPONSE'
  /** The caller's signal has ended the request, which may have been carried out. */
  | 'ABORTED'
  /** The client is closed. */
  | 'CLOSED'
  /** Another error of AppSync: `errorType` has its name. */
  | 'OTHER';

export interface ErrorDetails {
  /** Whether the same request can succeed later. By default what the code says. */
  retryable?: boolean;
  /** `errorInfo`: `field` of InvalidInput, `turnId` of ConversationBusy, `retryAt` of QuotaExceeded. */
  info?: unknown;
  /** AppSync's name of the error, where it has one. */
  errorType?: string;
  cause?: unknown;
}

/** Why a request failed. `code` is for programs, `message` is a sentence for people. */
export class ParlanceError extends Error {
  readonly code: ErrorCode;
  /** Whether the same request can succeed later. */
  readonly retryable: boolean;
  readonly info: Readonly<Record<string, unknown>> | undefined;
  readonly errorType: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.name = 'ParlanceError';
    this.code = code;
    this.retryable = details.retryable ?? RETRYABLE_CODES.includes(code);
    this.info = isRecord(details.info) ? details.info : undefined;
    this.errorType = details.errorType;
  }
}

const RETRYABLE_CODES: readonly ErrorCode[] = [
  'ExecutionTimeout',
  'NETWORK',
  'TIMEOUT',
  'TryAgain',
  'UNAVAILABLE',
];

/** How AppSync's own error types begin after which the same request may succeed: those of api/src/errors.rs. */
const UNAVAILABLE = /^(Internal|LimitExceeded|RequestTimeout|ServiceUnavailable|Throttling|TooManyRequests)/;

/** AppSync's own error types that reject the credentials. */
const UNAUTHORIZED = /^(AccessDenied|NotAuthorized|Unauthorized)Exception$/;

/**
 * The error of a response whose `errors` are these and whose HTTP status is this. Of several errors the first
 * one counts that a repetition does not cure. In the realtime protocol errors have an `errorCode`, which is
 * like an HTTP status.
 */
export function errorOfResponse(errors: unknown, status?: number): ParlanceError {
  const parsed = toList(errors).map((entry) => errorOfEntry(entry, status));
  const final = parsed.find((error) => !error.retryable) ?? parsed[0];
  return final ?? errorOfEntry({ message: status && `The API answered ${status}.` }, status);
}

/** AppSync sends a list of errors, and for some limits a single object. */
export function toList(errors: unknown): unknown[] {
  if (Array.isArray(errors)) return errors;
  return errors ? [errors] : [];
}

function errorOfEntry(entry: unknown, status: number | undefined): ParlanceError {
  const { errorType, message, errorInfo, errorCode } = isRecord(entry) ? entry : {};
  const name = typeof errorType === 'string' ? errorType : undefined;
  const code =
    codeOfType(name) ?? codeOfStatus(typeof errorCode === 'number' ? errorCode : status) ?? 'OTHER';
  const text = typeof message === 'string' && message !== '' ? message : 'The API has given no reason.';
  return new ParlanceError(code, text, {
    info: errorInfo,
    ...(name !== undefined && { errorType: name }),
  });
}

function codeOfType(name: string | undefined): ErrorCode | undefined {
  if (name === undefined) return undefined;
  if (UNAVAILABLE.test(name)) return 'UNAVAILABLE';
  if (UNAUTHORIZED.test(name)) return 'UNAUTHORIZED';
  return API_CODES.find((code) => code === name);
}

function codeOfStatus(status: number | undefined): ErrorCode | undefined {
  if (status === 401 || status === 403) return 'UNAUTHORIZED';
  return status === 408 || status === 429 || (status !== undefined && status >= 500)
    ? 'UNAVAILABLE'
    : undefined;
}

export function closedError(): ParlanceError {
  return new ParlanceError('CLOSED', 'The client is closed.');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
