import { expect, test } from 'vitest';
import { delayOf } from '../../src/transport/backoff.js';

const backoff = { first: 100, longest: 5_000 };

test.each([
  [1, 100],
  [2, 200],
  [3, 400],
  [6, 3_200],
  [7, 5_000],
  [5_000, 5_000],
])('after %d failures the longest delay is %d ms', (failures, longest) => {
  expect(delayOf(backoff, failures, 1)).toBe(longest);
  expect(delayOf(backoff, failures, 0.25)).toBe(longest / 4);
  expect(delayOf(backoff, failures, 0)).toBe(0);
});
