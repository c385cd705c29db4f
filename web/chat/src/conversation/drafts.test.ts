import { expect, test } from 'vitest';
import { MOST_DRAFTS, parseDrafts, withDraft, type Drafts } from './drafts.js';

test('a draft is kept for its conversation, and removed when it is blank', () => {
  const drafts = withDraft(withDraft({}, 'a', 'one', 1), 'b', 'two', 2);
  expect(drafts).toEqual({ a: { text: 'one', changedAt: 1 }, b: { text: 'two', changedAt: 2 } });
  expect(withDraft(drafts, 'a', ' \n', 3)).toEqual({ b: { text: 'two', changedAt: 2 } });
});

test('the drafts that were changed last are kept', () => {
  let drafts: Drafts = {};
  for (let index = 0; index <= MOST_DRAFTS; index += 1) drafts = withDraft(drafts, `c${index}`, 'x', index);
  expect(Object.keys(drafts)).toHaveLength(MOST_DRAFTS);
  expect(drafts).not.toHaveProperty('c0');
});

test('what is no draft is left out', () => {
  expect(parseDrafts({ a: { text: 'one', changedAt: 1 }, b: 'two', c: null })).toEqual({
    a: { text: 'one', changedAt: 1 },
  });
  expect(parseDrafts('x')).toEqual({});
  expect(parseDrafts(undefined)).toEqual({});
});
