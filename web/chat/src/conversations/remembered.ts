/**
 * The conversations that were begun or opened in this browser. Callers with the API key are one user, whose
 * conversations the API does not list by default.
 */
import type { ConversationDetails } from 'parlance-client';

export type Remembered = Pick<
  ConversationDetails,
  'id' | 'title' | 'agentId' | 'createdAt' | 'lastActivityAt'
>;

/** Those with the latest activity are kept. */
export const MOST_REMEMBERED = 200;

/** The list with this conversation, the latest first. The same list where it changes nothing. */
export function remember(
  list: readonly Remembered[],
  conversation: ConversationDetails,
): readonly Remembered[] {
  const { id, title, agentId, createdAt, lastActivityAt } = conversation;
  const known = list.find((item) => item.id === id);
  if (known?.title === title && known?.lastActivityAt === lastActivityAt && known.agentId === agentId) {
    return list;
  }
  const item: Remembered = { id, ...(title !== undefined && { title }), agentId, createdAt, lastActivityAt };
  const others = list.filter((other) => other.id !== id);
  return [...others, item].sort(byActivity).slice(0, MOST_REMEMBERED);
}

export function forget(list: readonly Remembered[], id: string): readonly Remembered[] {
  return list.filter((item) => item.id !== id);
}

/** What the API lists, and what the browser remembers besides. */
export function joinLists(
  listed: readonly ConversationDetails[],
  remembered: readonly Remembered[],
  search: string,
): readonly ConversationDetails[] {
  const known = new Set(listed.map(({ id }) => id));
  const searched = search.trim().toLocaleLowerCase();
  const others = remembered
    .filter(({ id, title = '' }) => !known.has(id) && title.toLocaleLowerCase().includes(searched))
    .map((item): ConversationDetails => ({ ...item, access: 'OWNER', participants: [] }));
  return others.length === 0 ? listed : [...listed, ...others].sort(byActivity);
}

/** The list in what a browser has stored, which may be anything. */
export function parseRemembered(stored: unknown): readonly Remembered[] {
  return Array.isArray(stored) ? stored.filter(isRemembered) : [];
}

function isRemembered(value: unknown): value is Remembered {
  if (typeof value !== 'object' || value === null) return false;
  const { id, title, agentId, lastActivityAt } = value as Partial<Record<keyof Remembered, unknown>>;
  const hasTitle = title === undefined || typeof title === 'string';
  return (
    typeof id === 'string' && typeof agentId === 'string' && typeof lastActivityAt === 'string' && hasTitle
  );
}

function byActivity(a: Remembered, b: Remembered): number {
  return b.lastActivityAt.localeCompare(a.lastActivityAt);
}
