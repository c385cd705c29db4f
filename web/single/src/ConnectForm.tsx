import { useId, useState, type SyntheticEvent } from 'react';
import { ENTRY_POINTS, problemOf, rememberedSettings, type EntryPoint, type Settings } from './settings.js';

interface ConnectFormProps {
  /** Those of the last connection. */
  readonly settings: Settings | undefined;
  readonly onConnect: (settings: Settings, isRemembered: boolean) => void;
}

/** The URL and the credential of an entry point. */
export function ConnectForm({ settings, onConnect }: ConnectFormProps) {
  const [entryPoint, setEntryPoint] = useState<EntryPoint>(settings?.entryPoint ?? 'GRAPHQL');
  const [url, setUrl] = useState(settings?.url ?? '');
  const [credential, setCredential] = useState(settings?.credential ?? '');
  const [isRemembered, setRemembered] = useState(() => rememberedSettings() !== undefined);
  const [problem, setProblem] = useState<string>();
  const { output, placeholder } = ENTRY_POINTS[entryPoint];
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const secret = settings?.secret ?? crypto.randomUUID();
    const next = { entryPoint, url: url.trim(), credential: credential.trim(), secret };
    const found = problemOf(next);
    setProblem(found);
    if (found === undefined) onConnect(next, isRemembered);
  };
  return (
    <main className="connect">
      <form className="connect-card" onSubmit={submit}>
        <h1>Connect to Parlance</h1>
        <EntryPointChoice value={entryPoint} onChange={setEntryPoint} />
        <Field label={`URL (the output ${output})`} value={url} placeholder={placeholder} onChange={setUrl} />
        <Field
          label={entryPoint === 'GRAPHQL' ? 'API key' : 'API key or token'}
          value={credential}
          placeholder="da2-…"
          isSecret
          onChange={setCredential}
        />
        <label className="connect-remember">
          <input
            type="checkbox"
            checked={isRemembered}
            onChange={(event) => {
              setRemembered(event.target.checked);
            }}
          />
          Keep these in this browser
        </label>
        {problem !== undefined && <p role="alert">{problem}</p>}
        <button type="submit" className="button button-primary">
          Connect
        </button>
      </form>
    </main>
  );
}

interface EntryPointChoiceProps {
  readonly value: EntryPoint;
  readonly onChange: (value: EntryPoint) => void;
}

function EntryPointChoice({ value, onChange }: EntryPointChoiceProps) {
  return (
    <fieldset className="connect-choice">
      <legend>Entry point</legend>
      {(Object.keys(ENTRY_POINTS) as EntryPoint[]).map((entryPoint) => (
        <label key={entryPoint}>
          <input
            type="radio"
            name="entry-point"
            checked={entryPoint === value}
            onChange={() => {
              onChange(entryPoint);
            }}
          />
          {ENTRY_POINTS[entryPoint].name}
        </label>
      ))}
    </fieldset>
  );
}

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly isSecret?: boolean;
  readonly onChange: (value: string) => void;
}

function Field({ label, value, placeholder, isSecret = false, onChange }: FieldProps) {
  const id = useId();
  return (
    <div className="connect-field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="field"
        type={isSecret ? 'password' : 'text'}
        autoComplete="off"
        spellCheck={false}
        placeholder={placeholder}
        value={value}
        onChange={(event) => {
          onChange(event.target.value);
        }}
      />
    </div>
  );
}
