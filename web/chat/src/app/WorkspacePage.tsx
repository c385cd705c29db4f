import { Menu as MenuIcon, X } from 'lucide-react';
import { lazy, Suspense, useCallback, useEffect, useRef, useState, type ReactNode } from 'react';
import { ConversationPage } from '../conversation/ConversationPage.js';
import { Sidebar } from '../conversations/Sidebar.js';
import { useMedia } from '../lib/useMedia.js';
import { sentenceOf } from '../lib/words.js';
import type { Session } from '../signIn/index.js';
import { hrefOf, useRoute, type Route } from './router.js';
import { ShortcutsDialog } from './ShortcutsDialog.js';
import { useShortcuts } from './useShortcuts.js';
import { useWorkspaceOf } from './useWorkspaceOf.js';
import { WorkspaceContext, type Workspace } from './workspace.js';

const AgentsPanel = lazy(async () => ({ default: (await import('../agents/index.js')).AgentsPanel }));

/** The page of a person who is signed in: the list at the side, and a conversation or the agents. */
export function WorkspacePage({ session }: { session: Session }) {
  const [failure, setFailure] = useState<string>();
  const report = useCallback((error: unknown) => {
    setFailure(sentenceOf(error));
  }, []);
  const workspace = useWorkspaceOf(session, report);
  const route = useRoute();
  const isPhone = useMedia('(max-width: 48rem)');
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const [isHelpOpen, setHelpOpen] = useState(false);
  useShortcuts({
    openHelp: () => {
      setHelpOpen(true);
    },
    openSearch: () => {
      if (isPhone) setDrawerOpen(true);
      requestAnimationFrame(() => document.querySelector<HTMLElement>('input[type=search]')?.focus());
    },
    stepTo: (offset) => {
      stepFrom(route, workspace, offset);
    },
  });
  const openHelp = () => {
    setHelpOpen(true);
  };
  const openDrawer = isPhone
    ? () => {
        setDrawerOpen(true);
      }
    : undefined;
  const sidebar = (
    <Sidebar
      route={route}
      onNavigate={() => {
        setDrawerOpen(false);
      }}
      openHelp={openHelp}
    />
  );
  return (
    <WorkspaceContext value={workspace}>
      <div className="workspace">
        {isPhone ? (
          isDrawerOpen && (
            <Drawer
              onClose={() => {
                setDrawerOpen(false);
              }}
            >
              {sidebar}
            </Drawer>
          )
        ) : (
          <aside className="sidebar">{sidebar}</aside>
        )}
        <main className="main">
          {failure !== undefined && (
            <div className="failure" role="alert">
              <span>{failure}</span>
              <button
                type="button"
                className="icon-button"
                aria-label="Dismiss"
                onClick={() => {
                  setFailure(undefined);
                }}
              >
                <X aria-hidden size={16} />
              </button>
            </div>
          )}
          <Content route={route} openDrawer={openDrawer} workspace={workspace} />
        </main>
        {isHelpOpen && (
          <ShortcutsDialog
            onClose={() => {
              setHelpOpen(false);
            }}
          />
        )}
      </div>
    </WorkspaceContext>
  );
}

interface ContentProps {
  readonly route: Route;
  readonly openDrawer: (() => void) | undefined;
  readonly workspace: Workspace;
}

function Content({ route, openDrawer, workspace }: ContentProps) {
  const drawerButton = openDrawer && (
    <button type="button" className="icon-button" aria-label="Open conversations" onClick={openDrawer}>
      <MenuIcon aria-hidden size={20} />
    </button>
  );
  if (route.page !== 'agents') return <ConversationPage route={route} drawerButton={drawerButton} />;
  const { caller, client } = workspace;
  return (
    <div className="agents-page">
      <header className="header">{drawerButton}</header>
      {caller?.isAdministrator === false ? (
        <p className="empty">Only an administrator can see and change the agents.</p>
      ) : (
        caller && (
          <Suspense fallback={<p className="empty">Loading…</p>}>
            <AgentsPanel client={client} />
          </Suspense>
        )
      )}
    </div>
  );
}

/** The list on a phone, over the page. */
function Drawer({ onClose, children }: { onClose: () => void; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => {
      dialog?.close();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      className="drawer"
      aria-label="Conversations and account"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget) onClose();
      }}
    >
      <div className="sidebar">{children}</div>
    </dialog>
  );
}

/** Goes to the conversation before or after this one in the list. */
function stepFrom(route: Route, { list }: Workspace, offset: 1 | -1): void {
  const { items } = list.getSnapshot();
  const index = route.page === 'conversation' ? items.findIndex(({ id }) => id === route.id) : -1;
  const next = items[index + offset] ?? (index < 0 ? items[0] : undefined);
  if (next) location.hash = hrefOf({ page: 'conversation', id: next.id });
}
