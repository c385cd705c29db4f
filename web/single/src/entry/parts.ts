/** Joins messages that came in parts. */
import type { IncomingMessage } from './messages.js';

type Part = Extract<IncomingMessage, { type: 'part' }>;

/** How many messages may be incomplete at once; a further one takes the place of the oldest. */
const MAX_INCOMPLETE = 8;
/** More than a turn of the greatest size has. */
const MAX_PARTS = 1000;

export class PartJoiner {
  /** By id, with the oldest first. Each list has a place for each part. */
  readonly #incomplete = new Map<string, (string | undefined)[]>();

  /** The whole message, once its last part has arrived. Undefined before, and if it is not JSON. */
  add({ id, part, parts, data }: Part): unknown {
    if (!Number.isInteger(part) || part < 1 || part > parts || parts > MAX_PARTS) return undefined;
    const pieces = this.#piecesOf(id, parts);
    pieces[part - 1] = data;
    if (pieces.includes(undefined)) return undefined;
    this.#incomplete.delete(id);
    try {
      return JSON.parse(pieces.join('')) as unknown;
    } catch {
      return undefined;
    }
  }

  /** The rest of incomplete messages is lost with their connection. */
  clear(): void {
    this.#incomplete.clear();
  }

  /** Parts with another count are of another message with the same id. */
  #piecesOf(id: string, parts: number): (string | undefined)[] {
    const known = this.#incomplete.get(id);
    if (known?.length === parts) return known;
    const pieces = Array.from<undefined>({ length: parts }) as (string | undefined)[];
    this.#incomplete.set(id, pieces);
    const [oldest] = this.#incomplete.keys();
    if (this.#incomplete.size > MAX_INCOMPLETE && oldest !== undefined) this.#incomplete.delete(oldest);
    return pieces;
  }
}
