import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClientOf } from '../../src/client.js';
import { createConversation } from '../../src/store/conversation.js';
import type { ConversationStore } from '../../src/store/snapshot.js';
import { clientTools, type ClientToolFunctions } from '../../src/store/tools.js';
import { untilSnapshot } from '../../src/store/untilSnapshot.js';
import { FakeServer } from '../support/fakeServer.js';

let server: FakeServer;
let stores: ConversationStore[];

beforeEach(() => {
  server = new FakeServer();
  stores = [];
});

afterEach(() => {
  for (const store of stores) store.dispose();
  vi.unstubAllGlobals();
});

async function open(functions: ClientToolFunctions): Promise<ConversationStore> {
  const store = createConversation(createClientOf(server), { id: 'c1', tools: clientTools(functions) });
  stores.push(store);
  store.subscribe(() => undefined);
  await untilSnapshot(store, ({ connection }) => connection === 'CONNECTED');
  return store;
}

/** A turn of the user that waits for the client tool `color`. */
async function waitForColor(): Promise<void> {
  await createClientOf(server).sendMessage({ conversationId: 'c1', id: 'm1', text: 'Which color?' });
  const call = { id: 't1', name: 'color' };
  server
    .answer('c1')
    .calls('', { ...call, input: { of: 'page' } })
    .wait({ ...call, status: 'CLIENT_NEEDED' });
}

const answers = () => server.requests.filter(({ operation }) => operation === 'answerToolCall');

describe('client tools', () => {
  beforeEach(() => {
    server.seed('c1', 0);
  });

  it('are run with the arguments, and their result is sent', async () => {
    const color = vi.fn(() => Promise.resolve({ color: 'red' }));
    await open({ color });
    await waitForColor();
    await expect.poll(answers).toHaveLength(1);
    expect(color).toHaveBeenCalledWith(
      { of: 'page' },
      expect.objectContaining({ turnId: 'm1', toolUseId: 't1' }),
    );
    expect(answers()[0]?.variables).toMatchObject({ input: { turnId: 'm1', result: '{"color":"red"}' } });
    server.answer('c1').results({ id: 't1', json: { color: 'red' } });
    expect(answers()).toHaveLength(1);
  });

  it('that wait when the page is opened are run', async () => {
    await waitForColor();
    const color = vi.fn(() => 'red');
    await open({ color });
    await expect.poll(answers).toHaveLength(1);
    expect(color).toHaveBeenCalledOnce();
  });

  it('that throw tell the model why', async () => {
    await open({
      color: () => {
        throw new Error('There is no color.');
      },
    });
    await waitForColor();
    await expect.poll(answers).toHaveLength(1);
    expect(answers()[0]?.variables).toMatchObject({
      input: { result: '{"error":"There is no color."}', isError: true },
    });
  });

  it('whose result the API refuses have failed', async () => {
    await open({ color: () => 'x'.repeat(50 * 1024) });
    await waitForColor();
    await expect.poll(answers).toHaveLength(2);
    expect(answers()[1]?.variables).toMatchObject({ input: { isError: true } });
  });

  it('of other names, and of other users, are left to others', async () => {
    const color = vi.fn();
    server.callerId = 'bob';
    const other = await open({ color });
    const store = await open({ size: color });
    server.callerId = 'ada';
    await createClientOf(server).sendMessage({ conversationId: 'c1', id: 'm1', text: 'Which color?' });
    server.callerId = 'bob';
    const call = { id: 't1', name: 'color' };
    server
      .answer('c1')
      .calls('', { ...call, input: {} })
      .wait({ ...call, status: 'CLIENT_NEEDED' });
    for (const each of [store, other]) await untilSnapshot(each, ({ status }) => status === 'WAITING');
    await expect.poll(() => server.count('getCaller')).toBe(1);
    expect(color).not.toHaveBeenCalled();
  });

  it('are stopped when the turn does not wait any more', async () => {
    const signals: AbortSignal[] = [];
    const store = await open({
      color: (_input, { signal }) =>
        new Promise((resolve) => {
          signals.push(signal);
          signal.addEventListener('abort', resolve);
        }),
    });
    await waitForColor();
    await expect.poll(() => signals).toHaveLength(1);
    await store.cancel();
    await expect.poll(() => signals[0]?.aborted).toBe(true);
    expect(answers()).toEqual([]);
  });

  it('are run by one tab', async () => {
    vi.stubGlobal('navigator', { locks: new Locks() });
    const color = vi.fn(() => Promise.resolve('red'));
    await open({ color });
    await open({ color });
    await waitForColor();
    await expect.poll(answers).toHaveLength(1);
    await expect.poll(() => server.count('getTurn')).toBeGreaterThanOrEqual(2);
    expect(color).toHaveBeenCalledOnce();
  });
});

/** Web Locks of one browser: each name is held by one at a time, in the order of the requests. */
class Locks {
  readonly #tails = new Map<string, Promise<unknown>>();

  request(name: string, _options: object, run: () => Promise<void>): Promise<void> {
    const held = (this.#tails.get(name) ?? Promise.resolve()).then(run);
    this.#tails.set(
      name,
      held.catch(() => undefined),
    );
    return held;
  }
}
