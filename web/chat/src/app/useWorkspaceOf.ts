import {
  createConversationList,
  type Agent,
  type Caller,
  type Client,
  type ConversationDetails,
} from 'parlance-client';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { forget, parseRemembered, remember } from '../conversations/remembered.js';
import { readStored, writeStored } from '../lib/stored.js';
import type { Session } from '../signIn/index.js';
import { ConversationStores } from './conversationStores.js';
import { hrefOf } from './router.js';
import type { Workspace } from './workspace.js';

/** The most pages of agents that are read, of 100 each. */
const MOST_PAGES = 10;

export type Reporter = (error: unknown) => void;

/** The workspace of a session. The caller and the agents are read once. */
export function useWorkspaceOf(session: Session, report: Reporter): Workspace {
  const { client, mode } = session;
  const [list] = useState(() => createConversationList(client));
  const [stores] = useState(() => new ConversationStores(client));
  const caller = useCaller(client, report);
  const agents = useAgents(client);
  const memory = useRemembered(mode === 'API_KEY');
  const { forget: forgetRemembered } = memory;
  const remove = useCallback(
    async (id: string) => {
      await list.remove(id);
      stores.forget(id);
      forgetRemembered(id);
    },
    [list, stores, forgetRemembered],
  );
  return useMemo(
    () => ({
      ...{ session, client, list, stores, caller, agents, remove, report },
      remembered: memory.remembered,
      remember: memory.remember,
    }),
    [session, client, list, stores, caller, agents, remove, report, memory.remembered, memory.remember],
  );
}

function useCaller(client: Client, report: Reporter): Caller | undefined {
  const [caller, setCaller] = useState<Caller>();
  useEffect(() => {
    const ended = new AbortController();
    client.getCaller({ signal: ended.signal }).then(setCaller, (error: unknown) => {
      if (!ended.signal.aborted) report(error);
    });
    return () => {
      ended.abort();
    };
  }, [client, report]);
  return caller;
}

function useAgents(client: Client): readonly Agent[] {
  const [agents, setAgents] = useState<readonly Agent[]>([]);
  useEffect(() => {
    const ended = new AbortController();
    const load = () => {
      // Without the list, the default agent answers.
      listAgents(client, ended.signal).then(setAgents, () => undefined);
    };
    load();
    const onHashChange = ({ oldURL }: HashChangeEvent) => {
      // An administrator may have put another one there.
      if (oldURL.endsWith(hrefOf({ page: 'agents' }))) load();
    };
    addEventListener('hashchange', onHashChange, { signal: ended.signal });
    return () => {
      ended.abort();
    };
  }, [client]);
  return agents;
}

async function listAgents(client: Client, signal: AbortSignal): Promise<Agent[]> {
  const agents: Agent[] = [];
  let nextToken: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await client.listAgents({ limit: 100, nextToken }, { signal });
    agents.push(...answer.items);
    nextToken = answer.nextToken;
    if (nextToken === null) break;
  }
  return agents;
}

const REMEMBERED = 'parlance.conversations';

function useRemembered(isNeeded: boolean) {
  const [remembered, setRemembered] = useState(() =>
    isNeeded ? parseRemembered(readStored(REMEMBERED)) : [],
  );
  useEffect(() => {
    if (!isNeeded) return undefined;
    const onStorage = ({ key }: StorageEvent) => {
      if (key === REMEMBERED) setRemembered(parseRemembered(readStored(REMEMBERED)));
    };
    addEventListener('storage', onStorage);
    return () => {
      removeEventListener('storage', onStorage);
    };
  }, [isNeeded]);
  const change = useCallback(
    (next: (before: typeof remembered) => typeof remembered) => {
      if (!isNeeded) return;
      // Another tab may have written since.
      const before = parseRemembered(readStored(REMEMBERED));
      const after = next(before);
      if (after === before) return;
      writeStored(REMEMBERED, after);
      setRemembered(after);
    },
    [isNeeded],
  );
  return {
    remembered,
    remember: useCallback(
      (conversation: ConversationDetails) => {
        change((before) => remember(before, conversation));
      },
      [change],
    ),
    forget: useCallback(
      (id: string) => {
        change((before) => forget(before, id));
      },
      [change],
    ),
  };
}
