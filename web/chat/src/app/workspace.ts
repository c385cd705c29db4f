/** What the parts of the page share while a person is signed in. */
import type { Agent, Caller, Client, ConversationDetails, ConversationList } from 'parlance-client';
import { createContext, use } from 'react';
import type { Remembered } from '../conversations/remembered.js';
import type { Session } from '../signIn/index.js';
import type { ConversationStores } from './conversationStores.js';

export interface Workspace {
  readonly session: Session;
  readonly client: Client;
  readonly list: ConversationList;
  readonly stores: ConversationStores;
  /** Undefined until the API has said who is signed in. */
  readonly caller: Caller | undefined;
  readonly agents: readonly Agent[];
  /** Conversations of this browser that the API may not list. */
  readonly remembered: readonly Remembered[];
  readonly remember: (conversation: ConversationDetails) => void;
  readonly remove: (id: string) => Promise<void>;
  /** Says what went wrong. */
  readonly report: (error: unknown) => void;
}

export const WorkspaceContext = createContext<Workspace | undefined>(undefined);

export function useWorkspace(): Workspace {
  const workspace = use(WorkspaceContext);
  if (!workspace) throw new Error('Nobody is signed in.');
  return workspace;
}
