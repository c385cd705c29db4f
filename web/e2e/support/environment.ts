import { accessSync, constants, existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** The repository's root, with template.yaml. */
export const root = resolve(import.meta.dirname, '../../..');

/** The build of the page. */
export const pageFolder = resolve(root, 'web/chat/dist');

/** The build of the page as one file. */
export const singleFile = resolve(root, 'web/single/dist/parlance.html');

/** Where screenshots and texts of pages go whose test has failed. */
export const failuresFolder = resolve(import.meta.dirname, '../failures');

export const chromiumPath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

/** The local server's program. Throws a sentence that says what to do. */
export function parlanceProgram(): string {
  const program = process.env['PARLANCE_PROGRAM'];
  if (!program) {
    throw new Error(
      'PARLANCE_PROGRAM must name the local server, such as target/debug/parlance after `cargo build`.',
    );
  }
  return requireExecutable(resolve(program), 'PARLANCE_PROGRAM');
}

/** Throws a sentence that says what is missing for the tests. */
export function requireTools(): void {
  parlanceProgram();
  requireExecutable(chromiumPath, 'CHROMIUM_PATH');
  if (!existsSync(resolve(pageFolder, 'index.html'))) {
    throw new Error('The page is not built. Run `npm run build` in web/.');
  }
  if (!existsSync(singleFile)) {
    throw new Error('The page is not built as one file. Run `npm run build:single` in web/.');
  }
}

function requireExecutable(path: string, variable: string): string {
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    throw new Error(`${path} is no program. Set ${variable}.`);
  }
}
