/** The channels of AppSync Events that a caller has, which docs/events.md describes. */

export interface Channels {
  /** To publish to. */
  readonly request: string;
  /** To listen to. */
  readonly responses: string;
}

/** An API key begins so; a token does not. */
export function isApiKey(credential: string): boolean {
  return credential.startsWith('da2-');
}

/**
 * `secret`: 16 to 50 letters, digits and inner hyphens, which nobody can guess. All callers with the API key
 * are one user, and it names the channels of this one. Throws a sentence for what is neither a key nor a
 * token.
 */
export function channelsOf(credential: string, secret: string): Channels {
  const own = isApiKey(credential) ? `api-key/${secret}` : tokenChannel(credential);
  return { request: `/chat/request/${own}`, responses: `/chat/responses/${own}` };
}

function tokenChannel(token: string): string {
  const claims = claimsOf(token);
  const subject = claims['sub'];
  if (typeof subject !== 'string') throw new Error('The token has no subject.');
  // Tokens of a user pool say what they are for.
  return typeof claims['token_use'] === 'string' ? subject : `oidc/${segmentOf(subject)}`;
}

function claimsOf(token: string): Record<string, unknown> {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  } catch {
    throw new Error('This is neither an API key nor a token.');
  }
}

/** A subject as a segment of a channel: percent-encoded with - in place of %, if it is not a segment itself. */
function segmentOf(subject: string): string {
  const isSegment = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?$/.test(subject);
  if (isSegment && !subject.startsWith('x-')) return subject;
  const bytes = new TextEncoder().encode(subject);
  const encoded = Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9]/.test(character) ? character : `-${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return `x-${encoded.join('')}`;
}
