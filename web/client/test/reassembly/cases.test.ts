import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runCase, type Case } from './caseRunner.js';

const FOLDER = new URL('../../../../tests/client-rule/', import.meta.url);

const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));

describe('shared cases', () => {
  it('has those of every behavior', () => {
    expect(files.length).toBeGreaterThanOrEqual(60);
  });

  it.each(files)('%s', (file) => {
    runCase(JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Case);
  });
});
