import { createHash } from 'node:crypto';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { viteSingleFile } from 'vite-plugin-singlefile';

/** Servers that a page on disk may connect to: any with TLS, and those of this machine. */
const LOCAL_SERVERS = ['localhost', '127.0.0.1'].flatMap((host) => [`http://${host}:*`, `ws://${host}:*`]);

/**
 * A Content-Security-Policy for the inline script and style, by their hashes. Nothing else runs, and nothing
 * of an answer is loaded but an image that a person clicks on.
 */
function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    enforce: 'post',
    generateBundle: {
      // After the files are in the page.
      order: 'post',
      handler(_, bundle) {
        for (const file of Object.values(bundle)) {
          if (file.type !== 'asset' || !file.fileName.endsWith('.html')) continue;
          file.source = withPolicy(String(file.source));
          file.fileName = 'parlance.html';
        }
      },
    },
  };
}

function withPolicy(html: string): string {
  // A script may have the names of elements in its texts.
  const withoutScripts = html.replace(SCRIPT, '');
  const policy = [
    "default-src 'none'",
    `script-src ${hashesOf(html, SCRIPT)}`,
    `style-src ${hashesOf(withoutScripts, STYLE)}`,
    'font-src data:',
    'img-src data: https:',
    `connect-src https: wss: ${LOCAL_SERVERS.join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
  ];
  const element = `<meta http-equiv="Content-Security-Policy" content="${policy.join('; ')}">`;
  return html.replace('<head>', () => `<head>\n    ${element}`);
}

const SCRIPT = /<script[^>]*>([^]*?)<\/script>/g;
const STYLE = /<style[^>]*>([^]*?)<\/style>/g;

function hashesOf(html: string, element: RegExp): string {
  const hashes = Array.from(html.matchAll(element), ([, content = '']) => {
    return `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  });
  if (hashes.length === 0) throw new Error(`The page has no ${element.source}.`);
  return hashes.join(' ');
}

export default defineConfig({
  base: './',
  plugins: [react(), viteSingleFile(), contentSecurityPolicy()],
  resolve: { conditions: ['parlance-source', 'module', 'browser', 'development|production'] },
  build: { target: ['chrome123', 'firefox128', 'safari17.5'], modulePreload: { polyfill: false } },
});
