import type { ConversationDetails } from 'parlance-client';
import { expect, test } from 'vitest';
import {
  forget,
  joinLists,
  MOST_REMEMBERED,
  parseRemembered,
  remember,
  type Remembered,
} from './remembered.js';

function conversation(id: string, lastActivityAt: string, title?: string): ConversationDetails {
  const details = { id, agentId: 'default', createdAt: lastActivityAt, lastActivityAt, participants: [] };
  return { ...details, access: 'OWNER', ...(title !== undefined && { title }) };
}

test('conversations are remembered, the latest first', () => {
  const list = remember(remember([], conversation('a', '2026-01-01')), conversation('b', '2026-01-02', 'B'));
  expect(list.map(({ id }) => id)).toEqual(['b', 'a']);
  expect(remember(list, conversation('a', '2026-01-03')).map(({ id }) => id)).toEqual(['a', 'b']);
  expect(remember(list, conversation('b', '2026-01-02', 'B'))).toBe(list);
  expect(forget(list, 'b').map(({ id }) => id)).toEqual(['a']);
});

test('the list has a bound', () => {
  let list: readonly Remembered[] = [];
  for (let index = 0; index <= MOST_REMEMBERED; index += 1) {
    list = remember(
      list,
      conversation(`c${index}`, `2026-01-01T00:00:00.${String(index).padStart(3, '0')}Z`),
    );
  }
  expect(list).toHaveLength(MOST_REMEMBERED);
  expect(list.some(({ id }) => id === 'c0')).toBe(false);
});

test('what the API lists is listed once', () => {
  const listed = [conversation('a', '2026-01-03', 'Apples'), conversation('b', '2026-01-01')];
  const remembered = remember(
    remember([], conversation('a', '2026-01-01')),
    conversation('c', '2026-01-02', 'Pears'),
  );
  expect(joinLists(listed, remembered, '').map(({ id }) => id)).toEqual(['a', 'c', 'b']);
  expect(joinLists([], remembered, 'pEA').map(({ id }) => id)).toEqual(['c']);
  expect(joinLists(listed, [], '')).toBe(listed);
});

test('what a browser has stored may be anything', () => {
  expect(parseRemembered('x')).toEqual([]);
  expect(parseRemembered([{ id: 1 }, null, { id: 'a', agentId: 'b', lastActivityAt: 'c' }])).toHaveLength(1);
});
