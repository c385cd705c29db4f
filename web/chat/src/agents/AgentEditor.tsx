import { Plus } from 'lucide-react';
import type { AgentSettings, Client, PutAgentInput } from 'parlance-client';
import { useRef, useState, type SyntheticEvent } from 'react';

import {
  EMPTY_KNOWLEDGE,
  EMPTY_TOOL,
  parseForm,
  type AgentForm,
  type GuardrailForm,
  type KnowledgeForm,
} from './agentForm.js';
import { AreaField, SelectField, TextField } from './fields.js';
import { ModelList } from './ModelList.js';
import { ToolFields } from './ToolFields.js';

interface Props {
  readonly client: Client;
  readonly initial: AgentForm;
  /** Undefined for an agent that does not exist yet. */
  readonly version: number | undefined;
  readonly put: (input: PutAgentInput) => Promise<AgentSettings>;
  readonly onPut: (agent: AgentSettings) => void;
}

type Outcome = { readonly kind: 'PUTTING' } | { readonly kind: 'REFUSED'; readonly reason: string };

/** All settings of an agent. They become its next version: a version never changes. */
export function AgentEditor({ client, initial, version, put, onPut }: Props) {
  const [form, setForm] = useState(initial);
  const [outcome, setOutcome] = useState<Outcome>();
  const change = (fields: Partial<AgentForm>): void => {
    setForm((before) => ({ ...before, ...fields }));
    setOutcome(undefined);
  };
  const submit = async (event: SyntheticEvent): Promise<void> => {
    event.preventDefault();
    const parsed = parseForm(form);
    if (!parsed.ok) {
      setOutcome({ kind: 'REFUSED', reason: parsed.reason });
      return;
    }
    setOutcome({ kind: 'PUTTING' });
    try {
      const agent = await put(parsed.input);
      setOutcome(undefined);
      onPut(agent);
    } catch (error) {
      setOutcome({ kind: 'REFUSED', reason: error instanceof Error ? error.message : String(error) });
    }
  };
  const isNew = version === undefined;
  return (
    <form
      className="agent-editor"
      aria-label={isNew ? 'New agent' : `Agent ${form.id}`}
      onSubmit={(event) => {
        void submit(event);
      }}
    >
      <h2 dir="auto">{isNew ? 'New agent' : form.name || form.id}</h2>
      {!isNew && <p className="agents-detail">Version {version}</p>}
      <BasicFields client={client} form={form} isNew={isNew} change={change} />
      <ModelFields form={form} change={change} />
      <ReasoningFields form={form} change={change} />
      <GuardrailFields form={form} change={change} />
      <Tools form={form} change={change} />
      <Knowledge knowledge={form.knowledge} change={change} />
      <div className="agent-editor-end">
        <button type="submit" className="button button-primary" disabled={outcome?.kind === 'PUTTING'}>
          {isNew ? 'Put agent' : 'Put next version'}
        </button>
        <OutcomeText outcome={outcome} />
      </div>
    </form>
  );
}

function OutcomeText({ outcome }: { outcome: Outcome | undefined }) {
  switch (outcome?.kind) {
    case undefined:
      return null;
    case 'PUTTING':
      return <p role="status">Putting…</p>;
    case 'REFUSED':
      return (
        <p role="alert" className="agents-error">
          {outcome.reason}
        </p>
      );
  }
}

interface PartProps {
  readonly form: AgentForm;
  readonly change: (fields: Partial<AgentForm>) => void;
}

function BasicFields({
  client,
  form,
  isNew,
  change,
}: PartProps & { readonly client: Client; readonly isNew: boolean }) {
  return (
    <fieldset>
      <legend>Agent</legend>
      <TextField
        label="Id"
        value={form.id}
        readOnly={!isNew}
        required
        hint="Letters, digits, _ and -, at most 64."
        onChange={(id) => {
          change({ id });
        }}
      />
      <TextField
        label="Name"
        value={form.name}
        onChange={(name) => {
          change({ name });
        }}
      />
      <TextField
        label="Model"
        value={form.modelId}
        required
        hint="A model id or an inference profile of Bedrock that the deployment allows."
        onChange={(modelId) => {
          change({ modelId });
        }}
      />
      <ModelList
        client={client}
        chosen={form.modelId}
        onChoose={(modelId) => {
          change({ modelId });
        }}
      />
      <AreaField
        label="Fallback models"
        hint="At most 3, one a line: they are asked in turn where the model cannot answer."
        rows={2}
        value={form.fallbackModelIds}
        onChange={(fallbackModelIds) => {
          change({ fallbackModelIds });
        }}
      />
      <AreaField
        label="System prompt"
        value={form.systemPrompt}
        rows={6}
        onChange={(systemPrompt) => {
          change({ systemPrompt });
        }}
      />
    </fieldset>
  );
}

/** The fields of numbers by their names, with their labels and what the API says of them. */
const NUMBERS = [
  ['maxTokens', 'Maximum tokens', 'Of one answer.'],
  ['temperature', 'Temperature', '0 to 1.'],
  ['topP', 'Top P', '0 to 1.'],
  ['contextBytes', 'Context', '10,000 to 4,000,000 bytes of a conversation; 400,000 by default.'],
  ['maxSteps', 'Steps', 'Requests to the model in an answer: 1 to 50, 10 by default.'],
  ['toolTimeoutSeconds', 'Seconds of a tool', '1 to 300, 30 by default.'],
] as const;

function ModelFields({ form, change }: PartProps) {
  return (
    <fieldset className="agent-editor-grid">
      <legend>Settings</legend>
      {NUMBERS.map(([name, label, hint]) => (
        <TextField
          key={name}
          label={label}
          hint={hint}
          inputMode="decimal"
          value={form[name]}
          onChange={(value) => {
            change({ [name]: value });
          }}
        />
      ))}
      <AreaField
        label="Stop sequences"
        hint="One a line."
        rows={2}
        value={form.stopSequences}
        onChange={(stopSequences) => {
          change({ stopSequences });
        }}
      />
    </fieldset>
  );
}

function ReasoningFields({ form, change }: PartProps) {
  return (
    <fieldset className="agent-editor-grid">
      <legend>Reasoning and caching</legend>
      <SelectField
        label="Reasoning"
        value={form.reasoningEffort}
        options={{ '': 'as the model does', LOW: 'little', MEDIUM: 'some', HIGH: 'much' }}
        onChange={(reasoningEffort) => {
          change({ reasoningEffort });
        }}
      />
      <TextField
        label="Tokens to think with"
        hint="1,024 to 128,000, for models that take a number."
        inputMode="decimal"
        value={form.budgetTokens}
        onChange={(budgetTokens) => {
          change({ budgetTokens });
        }}
      />
      <SelectField
        label="Prompt caching"
        value={form.promptCaching}
        options={{ FIVE_MINUTES: 'for five minutes', ONE_HOUR: 'for an hour', OFF: 'off' }}
        onChange={(promptCaching) => {
          change({ promptCaching });
        }}
      />
    </fieldset>
  );
}

function GuardrailFields({ form, change }: PartProps) {
  const { guardrail } = form;
  const changeGuardrail = (fields: Partial<GuardrailForm>): void => {
    change({ guardrail: { ...guardrail, ...fields } });
  };
  return (
    <fieldset className="agent-editor-grid">
      <legend>Guardrail</legend>
      <TextField
        label="Guardrail"
        hint="The id of the deployment’s; by default that one."
        value={guardrail.id}
        onChange={(id) => {
          changeGuardrail({ id });
        }}
      />
      <TextField
        label="Version of the guardrail"
        hint="A number, or DRAFT."
        value={guardrail.version}
        onChange={(version) => {
          changeGuardrail({ version });
        }}
      />
      <SelectField
        label="Text is shown"
        value={guardrail.mode}
        options={{
          '': 'as the deployment says',
          SYNC: 'after it is assessed',
          ASYNC: 'at once, and replaced if it is blocked',
        }}
        onChange={(mode) => {
          changeGuardrail({ mode });
        }}
      />
      <SelectField
        label="What is assessed"
        value={guardrail.newestMessageOnly}
        options={{
          '': 'as the deployment says',
          true: 'the newest message alone',
          false: 'the whole conversation',
        }}
        onChange={(newestMessageOnly) => {
          changeGuardrail({ newestMessageOnly });
        }}
      />
    </fieldset>
  );
}

function Tools({ form, change }: PartProps) {
  const nextKey = useRef(form.tools.length);
  const { tools } = form;
  return (
    <fieldset>
      <legend>Tools</legend>
      {tools.map((tool) => (
        <ToolFields
          key={tool.key}
          tool={tool}
          onChange={(fields) => {
            change({ tools: tools.map((item) => (item.key === tool.key ? { ...item, ...fields } : item)) });
          }}
          onRemove={() => {
            change({ tools: tools.filter((item) => item.key !== tool.key) });
          }}
        />
      ))}
      <button
        type="button"
        className="button"
        onClick={() => {
          change({ tools: [...tools, { ...EMPTY_TOOL, key: nextKey.current++ }] });
        }}
      >
        <Plus aria-hidden size={16} /> Add a tool
      </button>
    </fieldset>
  );
}

interface KnowledgeProps {
  readonly knowledge: KnowledgeForm | undefined;
  readonly change: PartProps['change'];
}

function Knowledge({ knowledge, change }: KnowledgeProps) {
  return (
    <fieldset>
      <legend>Documents</legend>
      <label className="agent-editor-check">
        <input
          type="checkbox"
          checked={knowledge !== undefined}
          onChange={(event) => {
            change({ knowledge: event.target.checked ? EMPTY_KNOWLEDGE : undefined });
          }}
        />
        Answers from the documents of the deployment’s knowledge base
      </label>
      {knowledge && (
        <KnowledgeFields
          form={knowledge}
          change={(fields) => {
            change({ knowledge: { ...knowledge, ...fields } });
          }}
        />
      )}
    </fieldset>
  );
}

/** The texts among the fields of documents, with their labels and what the API says of them. */
const KNOWLEDGE_TEXTS = [
  ['knowledgeBaseId', 'Knowledge base', 'The id of the deployment’s; by default that one.'],
  ['results', 'Passages', '1 to 20, 6 by default.'],
  ['minScore', 'Lowest score', '0 to 1.'],
  ['rerankModelArn', 'Rerank model', 'The ARN of the deployment’s.'],
  ['queryModelId', 'Query model', 'A model that writes the query.'],
] as const;

function KnowledgeFields(props: {
  readonly form: KnowledgeForm;
  readonly change: (fields: Partial<KnowledgeForm>) => void;
}) {
  const { form, change } = props;
  return (
    <div className="agent-editor-grid">
      <SelectField
        label="Search"
        value={form.mode}
        options={{ ALWAYS: 'before each answer', TOOL: 'when the model asks for it' }}
        onChange={(mode) => {
          change({ mode });
        }}
      />
      <SelectField
        label="Kind of search"
        value={form.search}
        options={{ '': 'what the store can do', HYBRID: 'words and meaning', SEMANTIC: 'meaning' }}
        onChange={(search) => {
          change({ search });
        }}
      />
      <SelectField
        label="If documents cannot be searched"
        value={form.onFailure}
        options={{ ANSWER: 'answer without them', FAIL: 'fail' }}
        onChange={(onFailure) => {
          change({ onFailure });
        }}
      />
      {KNOWLEDGE_TEXTS.map(([name, label, hint]) => (
        <TextField
          key={name}
          label={label}
          hint={hint}
          value={form[name]}
          onChange={(value) => {
            change({ [name]: value });
          }}
        />
      ))}
      <AreaField
        label="Filter"
        hint="A filter of Bedrock’s Retrieve, as JSON. $caller.id and $caller.groups stand for the user who asked."
        isCode
        rows={3}
        value={form.filter}
        onChange={(filter) => {
          change({ filter });
        }}
      />
    </div>
  );
}
