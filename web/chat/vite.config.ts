import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig(({ command }) => {
  // The variable may be inherited from tests that start a server, which builds the page.
  if (command === 'build') process.env['NODE_ENV'] = 'production';
  return {
    // Relative addresses, so that the page works in any folder of any host.
    base: './',
    plugins: [react()],
    resolve: { conditions: ['parlance-source', 'module', 'browser', 'development|production'] },
    build: {
      // The local server builds into another folder, which becomes `dist` when it is complete.
      outDir: process.env['PARLANCE_CHAT_DIST'] ?? 'dist',
      emptyOutDir: true,
      target: ['chrome123', 'firefox128', 'safari17.5'],
      // The page's content security policy allows neither data: URLs nor inline scripts.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
    },
  };
});
