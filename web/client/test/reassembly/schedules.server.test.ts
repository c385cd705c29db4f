import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { runCase, type Case } from './caseRunner.js';

const RUNS = Number(process.env['RULE_RUNS'] ?? 1_000);
/** In ms: more than 10,000 schedules take on a busy machine. */
const TIME_LIMIT = 1_800_000;

it(
  'does what the rule in Rust does, step by step',
  async () => {
    const program = spawn(schedulesProgram(), ['1', String(RUNS)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(program, 'exit');
    let schedules = 0;
    for await (const line of createInterface(program.stdout)) {
      const schedule = JSON.parse(line) as Case;
      try {
        runCase(schedule);
      } catch (error) {
        program.kill();
        throw new Error(`${schedule.behavior} ${String(error)}`, { cause: error });
      }
      schedules += 1;
    }
    expect(await exited).toEqual([0, null]);
    expect(schedules).toBe(RUNS);
  },
  TIME_LIMIT,
);

/** The program that records what the rule in Rust does. */
function schedulesProgram(): string {
  const program = process.env['PARLANCE_RULE_SCHEDULES'];
  if (program === undefined || !existsSync(program)) {
    throw new Error(
      'PARLANCE_RULE_SCHEDULES must be the path of target/debug/examples/rule_schedules, ' +
        'which cargo build -p client --examples makes.',
    );
  }
  return program;
}
