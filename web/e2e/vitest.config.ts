import { defineConfig } from 'vitest/config';

const shared = {
  environment: 'node',
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // On a busy machine a browser may be too slow. A test has failed when it fails twice.
  retry: 1,
  expect: { poll: { timeout: 15_000, interval: 50 } },
} as const;

export default defineConfig({
  test: {
    globalSetup: 'support/global_setup.ts',
    projects: [
      {
        test: {
          ...shared,
          name: 'features',
          include: ['test/*.test.ts'],
          exclude: ['test/*.alone.test.ts'],
          maxWorkers: 3,
          maxConcurrency: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // What measures has the machine to itself.
        test: {
          ...shared,
          name: 'measurements',
          include: ['test/*.alone.test.ts'],
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
