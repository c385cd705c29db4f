import { useState } from 'react';
import { applyTheme, storedTheme } from '../../chat/src/app/theme.js';
import { removeSession } from '../../chat/src/signIn/storage.js';
import { ConnectForm } from './ConnectForm.js';
import { EntryPage } from './entry/EntryPage.js';
import { GraphqlPage } from './GraphqlPage.js';
import { ENTRY_POINTS, rememberedSettings, rememberSettings } from './settings.js';

/** Asks what to connect to, and then is the page of that entry point. */
export function SinglePage() {
  const [settings, setSettings] = useState(rememberedSettings);
  const [isConnected, setConnected] = useState(settings !== undefined);
  useState(() => {
    applyTheme(storedTheme());
  });
  if (!isConnected || !settings) {
    return (
      <ConnectForm
        settings={settings}
        onConnect={(next, isRemembered) => {
          rememberSettings(isRemembered ? next : undefined);
          // Another key for the same API is another session.
          removeSession();
          setSettings(next);
          setConnected(true);
        }}
      />
    );
  }
  const { entryPoint, url } = settings;
  return (
    <div className="single">
      <header className="single-header">
        <span>
          {ENTRY_POINTS[entryPoint].name} at <bdi>{new URL(url).host}</bdi>
        </span>
        <button
          type="button"
          className="action"
          onClick={() => {
            setConnected(false);
          }}
        >
          Change connection
        </button>
      </header>
      <div className="single-content">
        {entryPoint === 'GRAPHQL' ? <GraphqlPage settings={settings} /> : <EntryPage settings={settings} />}
      </div>
    </div>
  );
}
