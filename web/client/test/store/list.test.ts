import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClientOf } from '../../src/client.js';
import { createConversationList, type ConversationList } from '../../src/store/list.js';
import { FakeServer } from '../support/fakeServer.js';

let server: FakeServer;
let list: ConversationList;

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  list = createConversationList(createClientOf(server));
});

afterEach(() => {
  list.dispose();
  vi.useRealTimers();
});

const ids = () => list.getSnapshot().items.map(({ id }) => id);
const settle = () => vi.advanceTimersByTimeAsync(200);

function seed(count: number): void {
  for (let number = 1; number <= count; number++) server.seed(`c${number}`, 0);
}

describe('the list', () => {
  it('is read when somebody listens, latest first', async () => {
    seed(3);
    expect(list.getSnapshot()).toMatchObject({ phase: 'LOADING', items: [] });
    list.subscribe(() => undefined);
    await settle();
    expect(list.getSnapshot()).toMatchObject({ phase: 'READY', hasMore: false });
    expect(ids()).toEqual(['c3', 'c2', 'c1']);
  });

  it('is read again every 30 seconds while somebody listens', async () => {
    seed(1);
    const unsubscribe = list.subscribe(() => undefined);
    await settle();
    server.seed('c2', 1);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(ids()).toEqual(['c2', 'c1']);
    unsubscribe();
    const before = server.count('listConversations');
    await vi.advanceTimersByTimeAsync(300_000);
    expect(server.count('listConversations')).toBe(before);
  });

  it('keeps its items and snapshot while nothing changes', async () => {
    seed(2);
    list.subscribe(() => undefined);
    await settle();
    const before = list.getSnapshot();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(list.getSnapshot()).toBe(before);
  });

  it('is loaded by pages', async () => {
    seed(150);
    list.subscribe(() => undefined);
    await settle();
    expect(list.getSnapshot()).toMatchObject({ hasMore: true });
    expect(ids()).toHaveLength(100);
    await list.loadMore();
    await list.loadMore();
    expect(new Set(ids()).size).toBe(150);
    expect(list.getSnapshot()).toMatchObject({ hasMore: false });
    await list.refresh();
    expect(ids()).toHaveLength(150);
  });

  it('that cannot be read is FAILED, and is READY once it can', async () => {
    seed(1);
    server.fail('listConversations', 'Disabled');
    list.subscribe(() => undefined);
    await settle();
    expect(list.getSnapshot()).toMatchObject({ phase: 'FAILED', error: { code: 'Disabled' } });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(list.getSnapshot()).toMatchObject({ phase: 'READY' });
    server.fail('listConversations', 'NETWORK');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(list.getSnapshot()).toMatchObject({ phase: 'READY' });
    expect(ids()).toEqual(['c1']);
  });

  it('is searched by title, over all pages', async () => {
    seed(150);
    const first = server.stored('c1');
    first.conversation = { ...first.conversation, title: 'Plans for May' };
    list.subscribe(() => undefined);
    await settle();
    list.search(' plans ');
    await settle();
    expect(ids()).toEqual(['c1']);
    list.search('');
    expect(ids()).toHaveLength(150);
  });
});

describe('changes made here', () => {
  beforeEach(async () => {
    seed(3);
    list.subscribe(() => undefined);
    await settle();
  });

  it('are shown at once, and taken back where the API refuses', async () => {
    server.fail('updateConversation', 'Unauthorized');
    const refused = expect(list.rename('c1', 'Plans')).rejects.toMatchObject({ code: 'Unauthorized' });
    expect(list.getSnapshot().items[2]?.title).toBe('Plans');
    await refused;
    expect(list.getSnapshot().items[2]?.title).toBeUndefined();
    await list.rename('c1', 'Plans');
    await list.remove('c2');
    expect(ids()).toEqual(['c3', 'c1']);
    expect(server.conversations.has('c2')).toBe(false);
    server.fail('deleteConversation', 'TryAgain');
    const refusal = expect(list.remove('c3')).rejects.toMatchObject({ code: 'TryAgain' });
    expect(ids()).toEqual(['c1']);
    await refusal;
    expect(ids()).toEqual(['c3', 'c1']);
  });

  it('outlast a list that is older', async () => {
    const before = server.stored('c2').conversation;
    await list.rename('c2', 'Plans');
    const renamed = server.stored('c2').conversation;
    server.stored('c2').conversation = before;
    await list.refresh();
    expect(list.getSnapshot().items[1]?.title).toBe('Plans');
    server.stored('c2').conversation = renamed;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(list.getSnapshot().items[1]?.title).toBe('Plans');
  });

  it('move a conversation up, and add a new one', () => {
    const [, second] = list.getSnapshot().items;
    if (!second) throw new Error('The list is too short.');
    list.put({ ...second, lastActivityAt: '2027-01-01T00:00:00.000Z' });
    expect(ids()).toEqual(['c2', 'c3', 'c1']);
    list.put({ ...second, id: 'new', lastActivityAt: '2027-01-02T00:00:00.000Z' });
    expect(ids()).toEqual(['new', 'c2', 'c3', 'c1']);
    list.put(second);
    expect(ids()).toEqual(['new', 'c3', 'c2', 'c1']);
  });
});
