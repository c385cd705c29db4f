import type { Browser, Page } from 'playwright-core';

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  dur?: number;
  /** The processor's time. */
  tdur?: number;
  args?: { name?: string };
}

/** What the page's main thread did, in milliseconds. */
export interface MainThread {
  /**
   * The tasks over 10 ms by the time of the processor, longest first. It does not grow when other programs
   * take the processor away, as the time of the clock does.
   */
  tasks: number[];
  /** The same tasks by the clock. */
  tasksByClock: number[];
}

const NOTEWORTHY_MILLISECONDS = 10;

/** Runs an action and measures each task of the page's main thread meanwhile. */
export async function traceMainThread(browser: Browser, page: Page, action: () => Promise<void>) {
  await browser.startTracing(page, { categories: ['toplevel'] });
  let trace: Buffer;
  try {
    await action();
  } finally {
    trace = await browser.stopTracing();
  }
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  return mainThread(traceEvents);
}

function mainThread(events: TraceEvent[]): MainThread {
  const isMain = ({ ph, name, args }: TraceEvent) =>
    ph === 'M' && name === 'thread_name' && args?.name === 'CrRendererMain';
  const threads = events.filter(isMain).map(({ pid, tid }) => `${pid}/${tid}`);
  const tasks = events.filter(
    ({ ph, name, pid, tid }) =>
      ph === 'X' && name === 'ThreadControllerImpl::RunTask' && threads.includes(`${pid}/${tid}`),
  );
  if (tasks.length === 0) throw new Error('The trace has no task of a main thread.');
  return {
    tasks: longest(tasks.map(({ tdur }) => tdur ?? 0)),
    tasksByClock: longest(tasks.map(({ dur }) => dur ?? 0)),
  };
}

function longest(microseconds: number[]): number[] {
  return microseconds
    .map((duration) => duration / 1000)
    .filter((duration) => duration > NOTEWORTHY_MILLISECONDS)
    .sort((one, other) => other - one);
}
