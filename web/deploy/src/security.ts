/** The Content-Security-Policy of index.html: the URLs that the page may connect to. */
import type { IssuerMethod, PageConfig } from './config.js';
import { DeployError } from './sentences.js';

/** What an issuer's discovery document says. */
export interface Discovery {
  token_endpoint?: unknown;
}

export function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
}

export function issuersOf(config: PageConfig): IssuerMethod[] {
  return config.signIn.filter((method) => method.mode !== 'API_KEY');
}

/**
 * The sources of `connect-src`: the page's own host, the API, and each issuer's discovery document and
 * tokens. `discoveries` are in the order of `issuersOf`.
 */
export function connectSources(config: PageConfig, discoveries: readonly Discovery[]): string[] {
  const issuers = issuersOf(config).flatMap(({ issuer }, index) => [
    originOf(issuer),
    originOf(tokenEndpoint(issuer, discoveries[index])),
  ]);
  return [...new Set(["'self'", sourceOf(config.graphqlUrl), sourceOf(config.realtimeUrl), ...issuers])];
}

/** index.html with the policy before anything that it applies to. */
export function withConnectSources(html: string, sources: readonly string[]): string {
  const policy = `connect-src ${sources.join(' ')}`;
  const element = `<meta http-equiv="Content-Security-Policy" content="${escapeAttribute(policy)}">`;
  const head = /<head(\s[^>]*)?>/i.exec(html);
  if (!head) throw new DeployError('The index.html of the built page has no <head>.');
  const end = head.index + head[0].length;
  return html.slice(0, end) + element + html.slice(end);
}

function tokenEndpoint(issuer: string, discovery: Discovery | undefined): string {
  const endpoint = discovery?.token_endpoint;
  if (typeof endpoint === 'string' && URL.canParse(endpoint)) return endpoint;
  throw new DeployError(
    `The discovery document of ${issuer} names no token_endpoint. A user pool needs a domain for managed login.`,
  );
}

function originOf(url: string): string {
  return sourceOf(new URL(url).origin);
}

/** A URL as a source: without a query, and without the characters that end a source or a directive. */
function sourceOf(url: string): string {
  const parsed = new URL(url);
  const path = parsed.pathname === '/' ? '' : parsed.pathname;
  const source = `${parsed.protocol}//${parsed.host}${path}`;
  if (/[\s;,'"]/.test(source)) throw new DeployError(`${url} cannot be in a Content-Security-Policy.`);
  return source;
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}
