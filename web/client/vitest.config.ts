import { defineConfig } from 'vitest/config';

const shared = { environment: 'node', restoreMocks: true, expect: { poll: { timeout: 10_000 } } } as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          testTimeout: 20_000,
          include: ['{src,test}/**/*.test.{ts,tsx}'],
          exclude: ['**/*.server.test.ts'],
        },
      },
      {
        test: { ...shared, name: 'server', include: ['test/**/*.server.test.ts'], testTimeout: 30_000 },
      },
    ],
  },
});
