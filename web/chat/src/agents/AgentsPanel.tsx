import { Plus } from 'lucide-react';
import { getAgentSettings, type Agent, type AgentSettings, type Client } from 'parlance-client';
import { useEffect, useState } from 'react';

import { AgentEditor } from './AgentEditor.js';
import './agents.css';
import { formOf, newForm } from './agentForm.js';
import { useAgents, type AgentsState } from './useAgents.js';

type Selection = { readonly kind: 'NEW' } | { readonly kind: 'AGENT'; readonly id: string };

/** The agents of the API, for administrators: each can get a next version. */
export function AgentsPanel({ client }: { client: Client }) {
  const state = useAgents(client);
  const [selected, setSelected] = useState<Selection>();
  const [announcement, setAnnouncement] = useState('');
  const { agents, error } = state;
  return (
    <div className="agents">
      <nav className="agents-list" aria-label="Agents">
        <h1>Agents</h1>
        <button
          type="button"
          className="button"
          onClick={() => {
            setSelected({ kind: 'NEW' });
          }}
        >
          <Plus aria-hidden size={16} /> New agent
        </button>
        <p role="status" className="agents-detail">
          {announcement}
        </p>
        {error !== undefined && (
          <div role="alert" className="agents-error">
            <p>{error}</p>
            <button type="button" className="button" onClick={state.reload}>
              Try again
            </button>
          </div>
        )}
        {agents === undefined && error === undefined && <p role="status">Loading agents…</p>}
        <ul>
          {agents?.map((agent) => (
            <li key={agent.id}>
              <AgentButton
                agent={agent}
                isSelected={selected?.kind === 'AGENT' && selected.id === agent.id}
                onSelect={() => {
                  setSelected({ kind: 'AGENT', id: agent.id });
                }}
              />
            </li>
          ))}
        </ul>
      </nav>
      <Selected
        client={client}
        selected={selected}
        state={state}
        onPut={(agent) => {
          setAnnouncement(`Version ${agent.version} of ${agent.name ?? agent.id} is put.`);
          setSelected({ kind: 'AGENT', id: agent.id });
        }}
      />
    </div>
  );
}

function AgentButton(props: { agent: Agent; isSelected: boolean; onSelect: () => void }) {
  const { agent, isSelected, onSelect } = props;
  return (
    <button type="button" className="agents-item" aria-current={isSelected} onClick={onSelect}>
      <span className="agents-name" dir="auto">
        {agent.name ?? agent.id}
      </span>
      <span className="agents-detail">
        {agent.version === 0 ? 'of the template’s parameters' : `version ${agent.version}`} · {agent.modelId}
      </span>
    </button>
  );
}

interface SelectedProps {
  readonly client: Client;
  readonly selected: Selection | undefined;
  readonly state: AgentsState;
  readonly onPut: (agent: AgentSettings) => void;
}

function Selected({ client, selected, state, onPut }: SelectedProps) {
  if (selected === undefined) {
    return <p className="agents-hint">Choose an agent to see its settings and to put its next version.</p>;
  }
  const modelId = state.agents?.[0]?.modelId ?? '';
  if (selected.kind === 'NEW') {
    return (
      <AgentEditor
        key="NEW"
        client={client}
        initial={newForm(modelId)}
        version={undefined}
        put={state.put}
        onPut={onPut}
      />
    );
  }
  return <LoadedEditor key={selected.id} client={client} id={selected.id} state={state} onPut={onPut} />;
}

function LoadedEditor(props: Omit<SelectedProps, 'selected'> & { readonly id: string }) {
  const { client, id, state, onPut } = props;
  const [loaded, setLoaded] = useState<AgentSettings | string>();
  // A new version, of this page or another one, is loaded when the list shows it.
  const version = state.agents?.find((agent) => agent.id === id)?.version;
  useEffect(() => {
    const cancelled = new AbortController();
    getAgentSettings(client, id, { signal: cancelled.signal }).then(setLoaded, (error: unknown) => {
      if (!cancelled.signal.aborted) setLoaded(error instanceof Error ? error.message : String(error));
    });
    return () => {
      cancelled.abort();
    };
  }, [client, id, version]);
  if (loaded === undefined) return <p role="status">Loading the agent…</p>;
  if (typeof loaded === 'string') return <p role="alert">{loaded}</p>;
  return (
    <AgentEditor
      key={loaded.version}
      client={client}
      initial={formOf(loaded)}
      version={loaded.version}
      put={state.put}
      onPut={onPut}
    />
  );
}
