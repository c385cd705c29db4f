import { rmSync } from 'node:fs';
import { failuresFolder, requireTools } from './environment.js';

export default function setUp(): void {
  requireTools();
  rmSync(failuresFolder, { recursive: true, force: true });
}
