import type { ConversationStore } from 'parlance-client';
import { useEffect, useState, type ReactNode } from 'react';
import { replaceRoute, type Route } from '../app/router.js';
import { useWorkspace } from '../app/workspace.js';
import { useStore } from '../lib/useStore.js';
import { sentenceOf, titleOf } from '../lib/words.js';
import { Composer } from './Composer.js';
import { ConnectionBanner } from './ConnectionBanner.js';
import { Header } from './Header.js';
import { LiveRegion } from './LiveRegion.js';
import { MessageList } from './MessageList.js';
import { useKeysOfConversation } from './useKeysOfConversation.js';

interface ConversationPageProps {
  readonly route: Exclude<Route, { page: 'agents' }>;
  readonly drawerButton: ReactNode;
}

const DEFAULT_AGENT = 'default';

/** A conversation, or a new one. */
export function ConversationPage({ route, drawerButton }: ConversationPageProps) {
  const { stores } = useWorkspace();
  const [agentId, setAgentId] = useState(DEFAULT_AGENT);
  const store = route.page === 'new' ? stores.fresh(agentId) : stores.get(route.id);
  return (
    <ConversationView
      key={keyOf(store)}
      store={store}
      isNew={route.page === 'new'}
      newAgentId={agentId}
      setNewAgentId={setAgentId}
      drawerButton={drawerButton}
    />
  );
}

const keys = new WeakMap<ConversationStore, number>();
let lastKey = 0;

/** A new conversation keeps its elements, and the focus in them, when its address changes. */
function keyOf(store: ConversationStore): number {
  const key = keys.get(store) ?? (lastKey += 1);
  keys.set(store, key);
  return key;
}

interface ConversationViewProps {
  readonly store: ConversationStore;
  readonly isNew: boolean;
  readonly newAgentId: string;
  readonly setNewAgentId: (agentId: string) => void;
  readonly drawerButton: ReactNode;
}

function ConversationView({ store, isNew, newAgentId, setNewAgentId, drawerButton }: ConversationViewProps) {
  const { list, stores, remember } = useWorkspace();
  const snapshot = useStore(store);
  const { id, conversation, phase, error, messages } = snapshot;
  const { given, shown: title } = useTitle(store, id, conversation?.title);
  useKeysOfConversation(store, snapshot.status);

  useEffect(() => {
    if (id === undefined || !isNew) return;
    stores.adopt(id, store);
    replaceRoute({ page: 'conversation', id });
  }, [id, isNew, store, stores]);

  useEffect(() => {
    if (!conversation) return;
    list.put({ ...conversation, ...(title !== undefined && { title }) });
    remember({ ...conversation, ...(given !== undefined && { title: given }) });
  }, [conversation, title, given, list, remember]);

  useEffect(() => {
    document.title = title === undefined ? 'Parlance' : `${title} · Parlance`;
  }, [title]);

  if (phase === 'FAILED') {
    return (
      <>
        <header className="header">{drawerButton}</header>
        <div className="empty" role="alert">
          <h1>{error?.code === 'NotFound' ? 'Not found' : 'The conversation cannot be read'}</h1>
          <p>{sentenceOf(error)}</p>
          {error?.code !== 'NotFound' && (
            <button
              type="button"
              className="button"
              onClick={() => void store.reload().catch(() => undefined)}
            >
              Try again
            </button>
          )}
        </div>
      </>
    );
  }
  return (
    <>
      <Header
        store={store}
        snapshot={snapshot}
        title={title}
        newAgentId={newAgentId}
        setNewAgentId={setNewAgentId}
        drawerButton={drawerButton}
      />
      {messages.length === 0 && phase !== 'LOADING' ? (
        <Welcome />
      ) : (
        <MessageList store={store} snapshot={snapshot} />
      )}
      <LiveRegion snapshot={snapshot} />
      <div className="bottom">
        <ConnectionBanner connection={snapshot.connection} isShown={id !== undefined} />
        <Composer store={store} snapshot={snapshot} />
      </div>
    </>
  );
}

function Welcome() {
  return (
    <div className="welcome">
      <h2>What would you like to know?</h2>
      <p>Ask a question, or write a message.</p>
    </div>
  );
}

interface Title {
  /** What the conversation is called, if it is. */
  readonly given: string | undefined;
  /** Until it has a title, the beginning of its first message is shown as one. */
  readonly shown: string | undefined;
}

/** What the list knows of a title is newer than what was read, unless it is what was shown as one. */
function useTitle(store: ConversationStore, id: string | undefined, title: string | undefined): Title {
  const { list, remembered } = useWorkspace();
  const { items } = useStore(list);
  const { messages, hasEarlier } = useStore(store);
  const first = messages[0];
  const isFirst = first?.role === 'user' && first.delivery === 'SENT' && !hasEarlier;
  const beginning = (isFirst && titleOf(first.text)) || undefined;
  const isListed = (item: { id: string; title?: string }) =>
    item.id === id && item.title !== undefined && item.title !== beginning;
  const given = [...items, ...remembered].find(isListed)?.title ?? title;
  return { given, shown: given ?? beginning };
}
