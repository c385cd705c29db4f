/** Addresses that an answer may lead to. */

const PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);

/** The address of a link, or undefined where it is not one of the web or of a mailbox. */
export function safeHref(address: string): string | undefined {
  const url = parse(address);
  return url && PROTOCOLS.has(url.protocol) ? url.href : undefined;
}

/** The address of an image on the web. */
export function safeImage(address: string): URL | undefined {
  const url = parse(address);
  return url && url.protocol !== 'mailto:' && PROTOCOLS.has(url.protocol) ? url : undefined;
}

function parse(address: string): URL | undefined {
  return URL.canParse(address) ? new URL(address) : undefined;
}
