// Writes the inline code of channel namespaces to target/lint/, where the linters of resolvers read it.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const TEMPLATE = new URL('../../entry/events.yaml', import.meta.url);
const FOLDER = new URL('../../target/lint/', import.meta.url);

const template = readFileSync(TEMPLATE, 'utf8');
const blocks = [
  ...template.matchAll(
    /^      Name: (\w+)\n(?:(?:      .*)?\n)*?      CodeHandlers: !Sub \|\n((?:        .*\n|\n)+)/gm,
  ),
];
if (blocks.length === 0) throw new Error(`${TEMPLATE.pathname} has no CodeHandlers`);
rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });
for (const [, name, code] of blocks) {
  writeFileSync(new URL(`${name}.js`, FOLDER), `${code.replace(/^ {8}/gm, '').trimEnd()}\n`);
}
