import { useEffect } from 'react';
import { SignIn, useSession, type LoadConfig } from '../signIn/index.js';
import { applyTheme, storedTheme } from './theme.js';
import { WorkspacePage } from './WorkspacePage.js';

/** `load`: another place of the configuration than config.json beside the page. */
export function App({ load }: { readonly load?: LoadConfig }) {
  const state = useSession(load);
  useEffect(() => {
    applyTheme(storedTheme());
  }, []);
  switch (state.phase) {
    case 'LOADING':
      return <main className="splash" aria-busy />;
    case 'FAILED':
      return (
        <main className="splash">
          <h1>This page cannot start</h1>
          <p role="alert">{state.reason}</p>
          <button
            type="button"
            className="button button-primary"
            onClick={() => {
              location.reload();
            }}
          >
            Try again
          </button>
        </main>
      );
    case 'SIGNED_OUT':
      return <SignIn state={state} />;
    case 'SIGNED_IN':
      return <WorkspacePage key={state.config.graphqlUrl} session={state.session} />;
  }
}
