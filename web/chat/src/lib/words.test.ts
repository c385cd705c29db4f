import type { Usage } from 'parlance-client';
import { describe, expect, test } from 'vitest';
import { guardrailOf, thoughtOf, usageOf } from './words.js';

describe('reasoning', () => {
  test('has a running clock while it streams', () => {
    expect(thoughtOf({ isStreaming: true }, 0)).toBe('Thinking…');
    expect(thoughtOf({ isStreaming: true }, 72)).toBe('Thinking… 1 min 12 s');
  });

  test('has the stored time, or what this page has seen', () => {
    expect(thoughtOf({ isStreaming: false, milliseconds: 12_400 }, 9)).toBe('Thought for 12 s');
    expect(thoughtOf({ isStreaming: false, milliseconds: 90 }, 0)).toBe('Thought for 1 s');
    expect(thoughtOf({ isStreaming: false }, 9)).toBe('Thought for 9 s');
    expect(thoughtOf({ isStreaming: false }, 0)).toBe('Thought');
  });
});

describe('the tokens of an answer', () => {
  const usage: Usage = {
    inputTokens: 10,
    outputTokens: 300,
    totalTokens: 1350,
    cacheReadTokens: null,
    cacheWriteTokens: null,
  };

  test('name the cache and the reasoning where there is some', () => {
    expect(usageOf(usage, false).long).toBe('10 tokens read; 300 tokens of output.');
    expect(usageOf({ ...usage, cacheReadTokens: 1000, cacheWriteTokens: 40 }, true)).toEqual({
      short: '1,350 tokens',
      long: '10 tokens read, 1,000 read from the cache, 40 written to the cache; 300 tokens of output, reasoning included.',
    });
  });

  test('are one token where there is one', () => {
    const one = { ...usage, inputTokens: 1, outputTokens: 1, totalTokens: 1 };
    expect(usageOf(one, false)).toEqual({ short: '1 token', long: '1 token read; 1 token of output.' });
  });
});

describe('an intervention of a guardrail', () => {
  test('names the side and the policies, as far as they are known', () => {
    expect(guardrailOf({ source: 'INPUT', policies: ['TOPIC', 'WORD'] })).toBe(
      'A guardrail has intervened in the message because of its policy: denied topics, blocked words.',
    );
    expect(guardrailOf({ source: 'OUTPUT', policies: ['LATER' as 'OTHER'] })).toMatch(/does not know/);
    expect(guardrailOf({ source: null, policies: [] })).toBe('A guardrail has intervened.');
  });
});
