import { putAgent, type Agent, type AgentSettings, type Client, type PutAgentInput } from 'parlance-client';
import { useCallback, useEffect, useState } from 'react';

/** More agents are not listed. */
const MAX_PAGES = 20;

export interface AgentsState {
  /** Undefined until they are loaded. */
  readonly agents: readonly Agent[] | undefined;
  /** Why they could not be loaded: a sentence. */
  readonly error: string | undefined;
  readonly reload: () => void;
  /** Puts the next version of an agent. Rejects with the API's `ParlanceError`. */
  readonly put: (input: PutAgentInput) => Promise<AgentSettings>;
}

/** All agents of the API: the default one first, then by id. */
export function useAgents(client: Client): AgentsState {
  const [agents, setAgents] = useState<readonly Agent[]>();
  const [error, setError] = useState<string>();
  const [round, setRound] = useState(0);

  useEffect(() => {
    const cancelled = new AbortController();
    listAll(client, cancelled.signal).then(
      (all) => {
        setAgents(all);
        setError(undefined);
      },
      (reason: unknown) => {
        if (!cancelled.signal.aborted) setError(reason instanceof Error ? reason.message : String(reason));
      },
    );
    return () => {
      cancelled.abort();
    };
  }, [client, round]);

  const reload = useCallback(() => {
    setRound((before) => before + 1);
  }, []);
  const put = useCallback(
    async (input: PutAgentInput) => {
      const agent = await putAgent(client, input);
      reload();
      return agent;
    },
    [client, reload],
  );
  return { agents, error, reload, put };
}

async function listAll(client: Client, signal: AbortSignal): Promise<readonly Agent[]> {
  const all: Agent[] = [];
  let nextToken: string | null | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { items, nextToken: next } = await client.listAgents({ limit: 100, nextToken }, { signal });
    all.push(...items);
    if (!next) break;
    nextToken = next;
  }
  return all;
}
