/** Reads the built page, and builds it. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { INDEX_KEY, type PageFile } from './plan.js';
import { DeployError } from './sentences.js';

/** web/ */
const webFolder = resolve(import.meta.dirname, '../..');

/** The folder that `npm run build` fills. */
export const builtPage = resolve(webFolder, 'chat/dist');

/** Runs `npm run build`, which prints its own progress and errors. */
export async function buildPage(): Promise<void> {
  const child = spawn('npm', ['run', 'build'], {
    cwd: webFolder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  const code = await new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('exit', done);
  });
  if (code !== 0) throw new DeployError('The page could not be built, so nothing is uploaded.');
}

/** All files of a built page. */
export function readPage(folder: string): PageFile[] {
  if (!existsSync(join(folder, INDEX_KEY))) {
    throw new DeployError(
      `There is no built page in ${folder}: it has no ${INDEX_KEY}. Run npm run build in web/.`,
    );
  }
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return paths.toSorted().map((path) => ({
    key: path
      .slice(resolve(folder).length + 1)
      .split(sep)
      .join('/'),
    content: readFileSync(path),
  }));
}
