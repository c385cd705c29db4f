/**
 * A random id that the API accepts, of 32 hexadecimal digits. Unlike `crypto.randomUUID` it also works on
 * pages that are not served over HTTPS.
 */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
