import { createClientOf, type Client } from './client.js';
import { httpTransport, type ClientOptions } from './transport/httpTransport.js';

/** A client of the API at a URL. Throws a `TypeError` where `url` is no absolute http or https URL. */
export function createClient(options: ClientOptions): Client {
  return createClientOf(httpTransport(options));
}
