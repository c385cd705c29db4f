import { defineConfig } from 'vitest/config';

export default defineConfig({
  ssr: { resolve: { conditions: ['parlance-source'] } },
  test: { environment: 'node', include: ['test/**/*.test.ts'] },
});
