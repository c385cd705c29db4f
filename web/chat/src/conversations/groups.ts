import type { ConversationDetails } from 'parlance-client';

export interface Group {
  readonly label: string;
  readonly conversations: readonly ConversationDetails[];
}

const DAY = 24 * 60 * 60 * 1000;

/** Conversations, the latest first, by the days of their last activity. `midnight` is the beginning of today. */
export function groupByDay(conversations: readonly ConversationDetails[], midnight: number): Group[] {
  const groups = new Map<string, ConversationDetails[]>();
  for (const conversation of conversations) {
    const label = labelOf(Date.parse(conversation.lastActivityAt), midnight);
    const group = groups.get(label);
    if (group) group.push(conversation);
    else groups.set(label, [conversation]);
  }
  return [...groups].map(([label, items]) => ({ label, conversations: items }));
}

function labelOf(time: number, midnight: number): string {
  if (time >= midnight) return 'Today';
  if (time >= midnight - DAY) return 'Yesterday';
  if (time >= midnight - 7 * DAY) return 'Last 7 days';
  if (time >= midnight - 30 * DAY) return 'Last 30 days';
  return 'Older';
}
