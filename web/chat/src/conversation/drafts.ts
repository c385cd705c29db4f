/** Messages that are not sent yet, by their conversations. */

export interface Draft {
  readonly text: string;
  /** When it was last changed, in milliseconds since 1970. */
  readonly changedAt: number;
}

export type Drafts = Readonly<Record<string, Draft>>;

/** The drafts that are kept: those that were changed last. */
export const MOST_DRAFTS = 50;

/** The drafts with this one, or without it where the text is blank. */
export function withDraft(drafts: Drafts, id: string, text: string, now: number): Drafts {
  const others = Object.entries(drafts).filter(([other]) => other !== id);
  const all: [string, Draft][] = text.trim() === '' ? others : [...others, [id, { text, changedAt: now }]];
  all.sort(([, a], [, b]) => b.changedAt - a.changedAt);
  return Object.fromEntries(all.slice(0, MOST_DRAFTS));
}

/** The drafts in what a browser has stored, which may be anything. */
export function parseDrafts(stored: unknown): Drafts {
  if (typeof stored !== 'object' || stored === null) return {};
  return Object.fromEntries(
    Object.entries(stored).filter((entry): entry is [string, Draft] => isDraft(entry[1])),
  );
}

function isDraft(value: unknown): value is Draft {
  if (typeof value !== 'object' || value === null) return false;
  const { text, changedAt } = value as Partial<Draft>;
  return typeof text === 'string' && typeof changedAt === 'number';
}
