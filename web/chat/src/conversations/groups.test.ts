import type { ConversationDetails } from 'parlance-client';
import { expect, test } from 'vitest';
import { groupByDay } from './groups.js';

test('conversations are grouped by the day of their last activity', () => {
  const midnight = Date.parse('2026-05-20T00:00:00Z');
  const times = ['20T10:00', '20T00:00', '19T23:59', '14T00:00', '01T00:00'];
  const conversations = [...times.map((time) => `2026-05-${time}:00Z`), '2025-01-01T00:00:00Z'].map(
    (lastActivityAt, index): ConversationDetails => ({
      ...{ id: `c${index}`, agentId: 'default', createdAt: lastActivityAt, lastActivityAt, participants: [] },
    }),
  );
  const groups = groupByDay(conversations, midnight).map(({ label, conversations: { length } }) => [
    label,
    length,
  ]);
  expect(groups).toEqual([
    ['Today', 2],
    ['Yesterday', 1],
    ['Last 7 days', 1],
    ['Last 30 days', 1],
    ['Older', 1],
  ]);
});
