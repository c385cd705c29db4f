/** Runs src/main.ts, which needs no build step so. */
import { runnerImport } from 'vite';

const { module } = await runnerImport(new URL('src/main.ts', import.meta.url).pathname);
process.exitCode = await module.main(process.argv.slice(2));
