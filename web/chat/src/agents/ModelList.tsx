import { listModels, type Client, type Model, type PromptCaching } from 'parlance-client';
import { useEffect, useState } from 'react';

interface Props {
  readonly client: Client;
  readonly chosen: string;
  readonly onChoose: (modelId: string) => void;
}

/** The models that the deployment's parameters name, with what they can do, once somebody wants to see them. */
export function ModelList(props: Props) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details
      className="model-list"
      onToggle={(event) => {
        setOpen(event.currentTarget.open);
      }}
    >
      <summary>Choose from the models of this deployment</summary>
      {isOpen && <Models {...props} />}
    </details>
  );
}

function Models({ client, chosen, onChoose }: Props) {
  const models = useModels(client);
  if (models === undefined) return <p role="status">Loading the models…</p>;
  if (typeof models === 'string') {
    return (
      <p role="alert" className="agents-error">
        {models}
      </p>
    );
  }
  if (models.length === 0) return <p className="agents-detail">The deployment names no model.</p>;
  return (
    <ul aria-label="Models">
      {models.map((model) => (
        <li key={model.id}>
          <button
            type="button"
            className="agents-item"
            aria-pressed={model.id === chosen}
            onClick={() => {
              onChoose(model.id);
            }}
          >
            <span className="agents-name">{model.family ?? model.id}</span>
            {model.family !== null && <span className="agents-detail">{model.id}</span>}
            <span className="agents-detail">{abilitiesOf(model)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The models; a sentence where they cannot be read; undefined until they are. */
function useModels(client: Client): readonly Model[] | string | undefined {
  const [models, setModels] = useState<readonly Model[] | string>();
  useEffect(() => {
    const cancelled = new AbortController();
    listModels(client, { signal: cancelled.signal }).then(setModels, (error: unknown) => {
      if (!cancelled.signal.aborted) setModels(error instanceof Error ? error.message : String(error));
    });
    return () => {
      cancelled.abort();
    };
  }, [client]);
  return models;
}

const CACHING: Readonly<Record<PromptCaching, string>> = {
  OFF: '',
  FIVE_MINUTES: 'caching for five minutes',
  ONE_HOUR: 'caching for an hour',
};

/** What a model can do, in words. */
export function abilitiesOf(model: Omit<Model, 'id' | 'family'>): string {
  const { tools, reasoning, promptCaching, images, documents, contextTokens } = model;
  const abilities = [
    tools && 'tools',
    reasoning && 'reasoning',
    ...promptCaching.map((caching) => CACHING[caching]),
    images && 'images',
    documents && 'documents',
    contextTokens !== null && `${contextTokens.toLocaleString()} tokens of context`,
  ];
  return abilities.filter(Boolean).join(', ') || 'text alone';
}
