import { useCallback } from 'react';
import { App } from '../../chat/src/app/App.js';
import { parseConfig } from '../../chat/src/signIn/config.js';
import type { Settings } from './settings.js';

/** The chat page, with what was typed in place of config.json. */
export function GraphqlPage({ settings: { url, credential } }: { settings: Settings }) {
  const load = useCallback(
    () =>
      Promise.resolve(parseConfig({ graphqlUrl: url, signIn: [{ mode: 'API_KEY', apiKey: credential }] })),
    [url, credential],
  );
  return <App load={load} />;
}
