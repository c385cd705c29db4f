import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { useStickToEnd } from '../../../chat/src/conversation/useStickToEnd.js';
import type { Settings } from '../settings.js';
import { channelsOf } from './channel.js';
import { EntryComposer } from './EntryComposer.js';
import { ExchangeView } from './ExchangeView.js';
import { eventsEntry } from './eventsEntry.js';
import { EntrySession, type SessionSnapshot } from './session.js';
import { webSocketEntry } from './webSocketEntry.js';

/** A conversation over AppSync Events or over the WebSocket API. */
export function EntryPage({ settings }: { settings: Settings }) {
  const [session] = useState(() => sessionOf(settings));
  const snapshot = useSyncExternalStore(session.subscribe, session.getSnapshot);
  useEffect(() => {
    session.start();
    return () => {
      session.stop();
    };
  }, [session]);
  const scroller = useRef<HTMLDivElement>(null);
  useStickToEnd(scroller, snapshot);
  const { exchanges } = snapshot;
  return (
    <main className="entry">
      <ConnectionNote snapshot={snapshot} />
      <div className="messages">
        {/* A person scrolls it with the keyboard. */}
        <div
          className="messages-scroller"
          ref={scroller}
          tabIndex={0}
          role="log"
          aria-label="Messages"
          aria-live="off"
        >
          <div>
            {exchanges.length === 0 && <p className="empty">Write a message to begin a conversation.</p>}
            {exchanges.map((exchange, index) => (
              <ExchangeView
                key={exchange.turnId}
                exchange={exchange}
                isLast={index === exchanges.length - 1}
                session={session}
              />
            ))}
          </div>
        </div>
      </div>
      <div className="bottom">
        <EntryComposer session={session} snapshot={snapshot} />
      </div>
      <LiveRegion snapshot={snapshot} />
    </main>
  );
}

function sessionOf({ entryPoint, url, credential, secret }: Settings): EntrySession {
  if (entryPoint === 'WEBSOCKET') return new EntrySession(webSocketEntry(url, credential));
  return new EntrySession(eventsEntry({ url, credential, channels: channelsOf(credential, secret) }));
}

function ConnectionNote({ snapshot }: { snapshot: SessionSnapshot }) {
  const sentence = connectionSentence(snapshot);
  return (
    <div role="status" className={sentence === undefined ? undefined : 'entry-connection'}>
      {sentence}
    </div>
  );
}

function connectionSentence({ connection, hasConnected, reason }: SessionSnapshot): string | undefined {
  if (connection === 'CONNECTED') return undefined;
  if (reason !== undefined) return `The connection is refused: ${reason}`;
  if (connection === 'CONNECTING') return 'Connecting…';
  return hasConnected
    ? 'The connection is lost. Connecting again…'
    : 'No connection. Is the URL right, and the key or token valid? Trying again…';
}

/** Tells users of screen readers that an answer is there, and not each word of it. */
function LiveRegion({ snapshot: { exchanges } }: { snapshot: SessionSnapshot }) {
  const { turn, delivery } = exchanges.at(-1) ?? {};
  const text =
    delivery?.phase === 'FAILED' ? 'The message was not sent.' : turn?.end ? 'The answer has ended.' : '';
  return (
    <div className="visually-hidden" role="status">
      {text}
    </div>
  );
}
