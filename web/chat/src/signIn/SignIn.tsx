import { KeyRound, LogIn } from 'lucide-react';
import { useId, useState, type SyntheticEvent } from 'react';

import './signIn.css';
import type { SignInMethod } from './config.js';
import type { SessionState } from './useSession.js';

type SignedOut = Extract<SessionState, { phase: 'SIGNED_OUT' }>;

/** The ways to sign in that the stack has. */
export function SignIn({ state }: { state: SignedOut }) {
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <h1>Sign in</h1>
        {state.reason !== undefined && (
          <p className="sign-in-error" role="alert">
            {state.reason}
          </p>
        )}
        {state.config.signIn.map((method, index) => (
          <Method key={`${method.mode} ${index}`} method={method} state={state} />
        ))}
      </div>
    </main>
  );
}

function Method({ method, state }: { method: SignInMethod; state: SignedOut }) {
  const [isLeaving, setLeaving] = useState(false);
  if (method.mode === 'API_KEY') return <ApiKeyForm apiKey={method.apiKey} onApiKey={state.useApiKey} />;
  const signIn = async (): Promise<void> => {
    setLeaving(true);
    await state.signInAt(method);
    setLeaving(false);
  };
  return (
    <button
      type="button"
      className="button button-primary"
      disabled={isLeaving}
      onClick={() => {
        void signIn();
      }}
    >
      <LogIn aria-hidden size={16} />
      {method.mode === 'USER_POOL' ? 'Sign in as a user' : `Sign in with ${new URL(method.issuer).host}`}
    </button>
  );
}

function ApiKeyForm({ apiKey, onApiKey }: { apiKey: string | undefined; onApiKey: (key: string) => void }) {
  const id = useId();
  const [value, setValue] = useState('');
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    if (value.trim() !== '') onApiKey(value.trim());
  };
  if (apiKey !== undefined) {
    return (
      <button
        type="button"
        className="button"
        onClick={() => {
          onApiKey(apiKey);
        }}
      >
        <KeyRound aria-hidden size={16} />
        Use the API key of this server
      </button>
    );
  }
  return (
    <form className="sign-in-key" onSubmit={submit}>
      <label htmlFor={id}>API key</label>
      <input
        id={id}
        className="field"
        type="password"
        autoComplete="off"
        spellCheck={false}
        placeholder="da2-…"
        value={value}
        onChange={(event) => {
          setValue(event.target.value);
        }}
      />
      <button type="submit" className="button" disabled={value.trim() === ''}>
        <KeyRound aria-hidden size={16} />
        Use the API key
      </button>
    </form>
  );
}
