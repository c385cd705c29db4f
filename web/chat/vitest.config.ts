import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['parlance-source'] },
  test: { include: ['src/**/*.test.{ts,tsx}'] },
});
