import { expect, test } from 'vitest';
import { hrefOf, parseRoute } from './router.js';

test.each([
  ['', { page: 'new' }],
  ['#/', { page: 'new' }],
  ['#/c/a-B_1', { page: 'conversation', id: 'a-B_1' }],
  ['#/agents', { page: 'agents' }],
  ['#/c/', { page: 'new' }],
  ['#/c/../x', { page: 'new' }],
  ['#javascript:alert(1)', { page: 'new' }],
  [`#/c/${'x'.repeat(65)}`, { page: 'new' }],
])('%s', (hash, route) => {
  expect(parseRoute(hash)).toEqual(route);
});

test('an address leads to its route', () => {
  const route = { page: 'conversation', id: 'c1' } as const;
  expect(parseRoute(hrefOf(route))).toEqual(route);
});
