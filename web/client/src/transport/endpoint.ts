/** The URLs of an API. */
export interface Endpoint {
  readonly graphqlUrl: string;
  readonly realtimeUrl: string;
  /** The `host` in the credentials of the realtime protocol: the GraphQL host, with a port that is not the default. */
  readonly host: string;
  /** The URL that the credentials of a WebSocket are signed for. Nothing is served there. */
  readonly connectUrl: string;
}

const APPSYNC_URL = /^(https?:\/\/[^./]+)\.appsync-api(\.[^./]+\.amazonaws\.com(\.cn)?\/)/;

/**
 * An AppSync host has a second host for realtime; a custom domain and the local server serve realtime below
 * the GraphQL path. Throws a `TypeError` where `url` is no absolute http or https URL.
 */
export function endpointOf(url: string, realtimeUrl?: string): Endpoint {
  if (!URL.canParse(url) || !/^https?:/i.test(url)) {
    throw new TypeError(`${url} is not a GraphQL endpoint: it must be an absolute http or https URL`);
  }
  const { host, href } = new URL(url);
  const base = href.replace(/\/+$/, '');
  const realtime = APPSYNC_URL.test(href)
    ? href.replace(APPSYNC_URL, '$1.appsync-realtime-api$2')
    : `${base}/realtime`;
  return {
    graphqlUrl: href,
    realtimeUrl: realtimeUrl ?? realtime.replace('http', 'ws'),
    host,
    connectUrl: `${base}/connect`,
  };
}
