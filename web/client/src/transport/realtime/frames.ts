/** The JSON frames of AppSync's realtime protocol. */
import { errorOfResponse, isRecord, toList, type ParlanceError } from '../../errors.js';
import type { HttpHeaders } from '../credentials.js';

export type ClientFrame =
  | { readonly type: 'connection_init' }
  | {
      readonly type: 'start';
      readonly id: string;
      /** The GraphQL operation as a JSON text. */
      readonly operation: string;
      readonly authorization: HttpHeaders;
    }
  | { readonly type: 'stop'; readonly id: string };

export type ServerFrame =
  | {
      readonly type: 'connection_ack';
      /** How long the server may send nothing before the connection counts as lost, in ms. */
      readonly timeout: number;
    }
  | {
      readonly type: 'connection_error';
      readonly error: ParlanceError;
      /** Whether the same credentials will be refused again. */
      readonly isFinal: boolean;
    }
  | { readonly type: 'start_ack'; readonly id: string }
  | { readonly type: 'data'; readonly id: string; readonly data: unknown }
  /** The id is empty in errors that concern no subscription. */
  | { readonly type: 'error'; readonly id: string; readonly error: ParlanceError }
  | { readonly type: 'complete'; readonly id: string }
  /** A keep-alive, a frame of another type, or no valid frame. */
  | { readonly type: 'other' };

/** The keep-alive timeout where `connection_ack` names none: AppSync's documented default, in ms. */
const DEFAULT_TIMEOUT = 300_000;

export function textOf(frame: ClientFrame): string {
  if (frame.type !== 'start') return JSON.stringify(frame);
  const { type, id, operation, authorization } = frame;
  return JSON.stringify({ type, id, payload: { data: operation, extensions: { authorization } } });
}

export function parseFrame(text: unknown): ServerFrame {
  const frame = parseObject(text);
  const payload = isRecord(frame['payload']) ? frame['payload'] : {};
  const id = typeof frame['id'] === 'string' ? frame['id'] : '';
  switch (frame['type']) {
    case 'connection_ack':
      return { type: 'connection_ack', timeout: timeoutOf(payload['connectionTimeoutMs']) };
    case 'connection_error': {
      const errors = toList(payload['errors']);
      return { type: 'connection_error', error: errorOfResponse(errors), isFinal: errors.some(isFinal) };
    }
    case 'start_ack':
      return { type: 'start_ack', id };
    case 'data':
      return { type: 'data', id, data: payload['data'] };
    case 'error':
      return { type: 'error', id, error: errorOfResponse(payload['errors']) };
    case 'complete':
      return { type: 'complete', id };
    default:
      return { type: 'other' };
  }
}

function parseObject(text: unknown): Record<string, unknown> {
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : undefined;
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function timeoutOf(value: unknown): number {
  return typeof value === 'number' && value > 0 ? value : DEFAULT_TIMEOUT;
}

function isFinal(entry: unknown): boolean {
  const { errorCode, errorType } = isRecord(entry) ? entry : {};
  return (
    [400, 401, 403].some((code) => code === errorCode) ||
    ['UnauthorizedException', 'Unauthorized', 'BadRequestException'].some((type) => type === errorType)
  );
}
