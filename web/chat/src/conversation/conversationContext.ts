import type { ConversationStore } from 'parlance-client';
import { createContext, use } from 'react';

/** What the messages of a conversation need of it. */
export interface ConversationOfMessages {
  readonly store: ConversationStore;
  readonly conversationId: string | undefined;
}

export const ConversationContext = createContext<ConversationOfMessages | undefined>(undefined);

export function useConversation(): ConversationOfMessages {
  const conversation = use(ConversationContext);
  if (!conversation) throw new Error('There is no conversation here.');
  return conversation;
}
