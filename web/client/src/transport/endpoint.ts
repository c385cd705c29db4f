/** The URLs of an API. */
export interface Endpoint {
  readonly graphqlUrl: string;
  readonly realtimeUrl: string;
  /** The `host` in the credentials of the realtime protocol: the GraphQL host, with a port that is not the default. */
  readonly host: string;
  /** The URL that the credentials of a WebSocket are signed for. Nothing is served there. */
  readonly connectUrl: string;
}

/**
 * An AppSync host has a second host for realtime; a custom domain and the local server serve realtime below the
 * GraphQL path. Throws a `TypeError` where `url` is no absolute http or https URL.
 */
export function endpointOf(url: string, realtimeUrl?: string): Endpoint {
  const graphql = parse(url);
  return {
    graphqlUrl: graphql.href,
    realtimeUrl: realtimeUrl ?? realtimeUrlOf(graphql),
    host: graphql.host,
    connectUrl: withPath(graphql, 'connect').href,
  };
}

function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new TypeError(`${text} is not a GraphQL endpoint: it must be an absolute http or https URL`);
}

const APPSYNC_HOST = /^([^.]+)\.appsync-api\.([^.]+\.amazonaws\.com(\.cn)?)$/;

function realtimeUrlOf(graphql: URL): string {
  const isAppSync = APPSYNC_HOST.test(graphql.hostname);
  const url = isAppSync ? new URL(graphql) : withPath(graphql, 'realtime');
  if (isAppSync) url.hostname = url.hostname.replace(APPSYNC_HOST, '$1.appsync-realtime-api.$2');
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  return url.href;
}

function withPath(base: URL, segment: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${segment}`;
  return url;
}
