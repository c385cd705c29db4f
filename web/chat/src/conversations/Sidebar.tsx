import { Bot, Keyboard, LogOut, Monitor, Moon, Search, SquarePen, Sun, User } from 'lucide-react';
import type { ConversationDetails } from 'parlance-client';
import { useId, useState } from 'react';
import { hrefOf, type Route } from '../app/router.js';
import { chooseTheme, storedTheme, type Theme } from '../app/theme.js';
import { useWorkspace } from '../app/workspace.js';
import icon from '../icon.svg';
import { useStore } from '../lib/useStore.js';
import { sentenceOf } from '../lib/words.js';
import { Menu } from '../ui/Menu.js';
import { groupByDay } from './groups.js';
import { joinLists } from './remembered.js';

interface SidebarProps {
  readonly route: Route;
  readonly onNavigate: () => void;
  readonly openHelp: () => void;
}

export function Sidebar({ route, onNavigate, openHelp }: SidebarProps) {
  const { caller } = useWorkspace();
  return (
    <>
      <div className="sidebar-top">
        <span className="brand">
          <img src={icon} alt="" width={24} height={24} />
          Parlance
        </span>
        <a
          className="button new-conversation"
          href={hrefOf({ page: 'new' })}
          aria-current={route.page === 'new' ? 'page' : undefined}
          onClick={onNavigate}
        >
          <SquarePen aria-hidden size={16} />
          New conversation
        </a>
        <SearchField />
      </div>
      <Conversations route={route} onNavigate={onNavigate} />
      <div className="sidebar-bottom">
        {caller?.isAdministrator === true && (
          <a
            className="sidebar-link"
            href={hrefOf({ page: 'agents' })}
            aria-current={route.page === 'agents' ? 'page' : undefined}
            onClick={onNavigate}
          >
            <Bot aria-hidden size={16} />
            Agents
          </a>
        )}
        <AccountMenu openHelp={openHelp} />
      </div>
    </>
  );
}

function SearchField() {
  const { list } = useWorkspace();
  const { search } = useStore(list);
  return (
    <label className="search">
      <Search aria-hidden size={16} />
      <input
        type="search"
        aria-label="Search conversations"
        placeholder="Search"
        dir="auto"
        value={search}
        onChange={(event) => {
          list.search(event.target.value);
        }}
      />
    </label>
  );
}

function Conversations({ route, onNavigate }: Pick<SidebarProps, 'route' | 'onNavigate'>) {
  const { list, remembered } = useWorkspace();
  const { phase, error, items, hasMore, isLoadingMore, search } = useStore(list);
  const conversations = joinLists(items, remembered, search);
  const groups = groupByDay(conversations, new Date().setHours(0, 0, 0, 0));
  return (
    <nav className="conversations" aria-label="Conversations">
      {groups.map(({ label, conversations: group }) => (
        <Group key={label} label={label} conversations={group} route={route} onNavigate={onNavigate} />
      ))}
      {groups.length === 0 && <EmptyList phase={phase} error={error} isSearch={search !== ''} />}
      {hasMore && search === '' && (
        <button
          type="button"
          className="button button-quiet"
          disabled={isLoadingMore}
          onClick={() => {
            list.loadMore().catch(() => undefined);
          }}
        >
          {isLoadingMore ? 'Loading…' : 'Show more'}
        </button>
      )}
    </nav>
  );
}

function EmptyList({ phase, error, isSearch }: { phase: string; error: unknown; isSearch: boolean }) {
  if (phase === 'LOADING') return <p className="sidebar-note">Loading…</p>;
  if (phase === 'FAILED') return <p className="sidebar-note">{sentenceOf(error)}</p>;
  return <p className="sidebar-note">{isSearch ? 'Nothing found.' : 'Your conversations will be here.'}</p>;
}

interface GroupProps extends Pick<SidebarProps, 'route' | 'onNavigate'> {
  readonly label: string;
  readonly conversations: readonly ConversationDetails[];
}

function Group({ label, conversations, route, onNavigate }: GroupProps) {
  const labelId = useId();
  return (
    <div className="conversation-group">
      <span id={labelId} className="group-label">
        {label}
      </span>
      <ul aria-labelledby={labelId}>
        {conversations.map(({ id, title }) => (
          <li key={id}>
            <a
              className="conversation-link"
              href={hrefOf({ page: 'conversation', id })}
              aria-current={route.page === 'conversation' && route.id === id ? 'page' : undefined}
              dir="auto"
              onClick={onNavigate}
            >
              {title ?? 'Untitled'}
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

const THEMES = [
  { theme: 'system', label: 'As the system', icon: Monitor },
  { theme: 'light', label: 'Light', icon: Sun },
  { theme: 'dark', label: 'Dark', icon: Moon },
] as const;

function AccountMenu({ openHelp }: { openHelp: () => void }) {
  const { session, caller } = useWorkspace();
  const [theme, setTheme] = useState<Theme>(storedTheme);
  const name = session.mode === 'API_KEY' ? 'API key' : caller?.name;
  const themes = THEMES.map(({ theme: choice, label, icon }) => ({
    ...{ label, icon, isChecked: theme === choice },
    onSelect: () => {
      chooseTheme(choice);
      setTheme(choice);
    },
  }));
  return (
    <Menu
      label={name ? `Account: ${name}` : 'Account'}
      className="account"
      heading={<AccountHeading />}
      items={[
        ...themes,
        { label: 'Keyboard shortcuts', icon: Keyboard, onSelect: openHelp },
        {
          label: 'Sign out',
          icon: LogOut,
          onSelect: () => {
            void session.signOut();
          },
        },
      ]}
    >
      <span className="avatar" aria-hidden>
        <User size={16} />
      </span>
      <bdi>{name ?? 'Account'}</bdi>
    </Menu>
  );
}

/** Who is signed in, with the id by which others share conversations, and what is used of the quotas. */
function AccountHeading() {
  const { caller, session } = useWorkspace();
  if (!caller || session.mode === 'API_KEY') return null;
  const { id, name, tokensToday, tokensPerDay } = caller;
  return (
    <div className="account-heading">
      {name && <strong>{name}</strong>}
      <span>
        Your user id: <code>{id}</code>
      </span>
      {typeof tokensToday === 'number' && (
        <span>
          {tokensToday.toLocaleString()}
          {typeof tokensPerDay === 'number' && ` of ${tokensPerDay.toLocaleString()}`} tokens used today
        </span>
      )}
    </div>
  );
}
