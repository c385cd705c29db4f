/** Parlance as a runtime of assistant-ui. */
import {
  useExternalStoreRuntime,
  type AppendMessage,
  type AssistantRuntime,
  type ExternalStoreThreadListAdapter,
  type ThreadMessageLike,
} from '@assistant-ui/react';
import { useMemo } from 'react';
import { shownPartsOf } from '../adapters/conversations.js';
import {
  createConversationList,
  type AssistantMessage,
  type Client,
  type ClientTools,
  type ConversationList,
  type ConversationListSnapshot,
  type Message,
  type Part,
  type Store,
  type ToolPart,
} from '../index.js';
import { useConversation, useSnapshot } from '../react/index.js';

export interface ParlanceRuntimeOptions {
  /** The conversation; a new one when left out. */
  readonly conversationId?: string;
  /** The agent of a new conversation; the agent named default when left out. */
  readonly agentId?: string;
  /** The tools of agents that this page runs. Other calls wait for `addResult` of their part. */
  readonly tools?: ClientTools;
  /** Called where the user chooses a conversation, or a new one, in the list of threads. */
  readonly onConversationChange?: (conversationId: string | undefined) => void;
}

/**
 * A runtime with the messages of a conversation. Sending, cancelling, reloading (a retry of the newest turn),
 * editing the newest message, approvals and results of tools go to the API. With `onConversationChange`, it
 * has the caller's conversations as threads.
 */
export function useParlanceRuntime(client: Client, options: ParlanceRuntimeOptions = {}): AssistantRuntime {
  const { conversationId, onConversationChange, agentId, tools } = options;
  const { store, snapshot } = useConversation(client, conversationId, {
    ...(agentId !== undefined && { agentId }),
    ...(tools && { tools }),
  });
  const threadList = useThreadList(client, snapshot.id, onConversationChange);
  const { status } = snapshot;
  return useExternalStoreRuntime<Message>({
    messages: snapshot.messages,
    convertMessage: toThreadMessage,
    isRunning: status !== 'IDLE' && status !== 'WAITING',
    isLoading: snapshot.phase === 'LOADING',
    isDisabled: !snapshot.canWrite,
    hasEarlier: snapshot.hasEarlier,
    onLoadEarlier: () => store.loadEarlier(),
    onNew: (message) => store.send(textOf(message)),
    onEdit: (message) => store.edit(message.sourceId ?? '', textOf(message)),
    onReload: () => store.retry(),
    onCancel: () => store.cancel(),
    onRefetchThread: () => store.reload(),
    onAddToolResult: ({ toolCallId, result, isError }) =>
      store.answerToolCall({ toolUseId: toolCallId, result: result ?? {}, isError }),
    onRespondToToolApproval: ({ approvalId, approved, reason }) =>
      store.answerToolCall(
        approved
          ? { toolUseId: approvalId, approved }
          : { toolUseId: approvalId, approved: false, ...(reason !== undefined && { reason }) },
      ),
    adapters: { threadList },
  });
}

/** A message as assistant-ui has it. */
export function toThreadMessage(message: Message): ThreadMessageLike {
  const createdAt = message.createdAt === undefined ? {} : { createdAt: new Date(message.createdAt) };
  if (message.role === 'user') {
    const isOptimistic = message.delivery !== 'SENT';
    return { id: message.id, role: 'user', content: message.text, ...createdAt, metadata: { isOptimistic } };
  }
  const { key, parts, usage, turnId, failure } = message;
  return {
    id: key,
    role: 'assistant',
    content: shownPartsOf(parts).flatMap(toThreadParts),
    status: toThreadStatus(message),
    ...createdAt,
    metadata: { custom: { turnId, usage, failure } },
  };
}

function useThreadList(
  client: Client,
  threadId: string | undefined,
  onConversationChange: ParlanceRuntimeOptions['onConversationChange'],
): ExternalStoreThreadListAdapter | undefined {
  const store = useMemo(() => createConversationList(client), [client]);
  // Without a listener the list is not read.
  const snapshot = useSnapshot<ConversationListSnapshot | undefined>(onConversationChange ? store : NO_LIST);
  return useMemo(
    () =>
      snapshot &&
      onConversationChange && {
        threadId,
        isLoading: snapshot.phase === 'LOADING',
        threads: snapshot.items.map(({ id, title }) => ({ status: 'regular', id, title })),
        ...threadActions(store, onConversationChange),
      },
    [store, snapshot, threadId, onConversationChange],
  );
}

const NO_LIST: Store<undefined> = { subscribe: () => () => undefined, getSnapshot: () => undefined };

function threadActions(
  store: ConversationList,
  onConversationChange: (conversationId: string | undefined) => void,
): ExternalStoreThreadListAdapter {
  return {
    onSwitchToNewThread: () => {
      onConversationChange(undefined);
    },
    onSwitchToThread: (id) => {
      onConversationChange(id);
    },
    onRename: (id, title) => store.rename(id, title),
    onDelete: (id) => store.remove(id),
  };
}

function textOf({ content }: AppendMessage): string {
  return content.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

type ThreadPart = Exclude<ThreadMessageLike['content'], string>[number];

function toThreadParts(part: Part): ThreadPart[] {
  switch (part.type) {
    case 'text':
      return [{ type: 'text', text: part.text }, ...sourcesOf(part)];
    case 'reasoning':
      return [{ type: 'reasoning', text: part.text }];
    case 'tool':
      return [toToolCall(part)];
  }
}

function sourcesOf({ key, citations }: Part & { type: 'text' }): ThreadPart[] {
  const byNumber = new Map(citations.map((citation) => [citation.number, citation]));
  return [...byNumber.values()].map(({ number, title, url, source }) => ({
    type: 'source',
    sourceType: 'url',
    id: `${key}/${number}`,
    url: url ?? source ?? '',
    title,
  }));
}

function toToolCall(part: ToolPart): ThreadPart {
  const { toolUseId, name, input, inputText, result, status, needs } = part;
  return {
    type: 'tool-call',
    toolCallId: toolUseId,
    toolName: name,
    args: (input ?? {}) as NonNullable<Extract<ThreadPart, { type: 'tool-call' }>['args']>,
    argsText: inputText,
    ...(result && { result: result.json ?? result.text ?? status, isError: status !== 'SUCCEEDED' }),
    ...(needs === 'APPROVAL' && { approval: { id: toolUseId } }),
    ...(status === 'DENIED' && { approval: { id: toolUseId, approved: false } }),
  };
}

function toThreadStatus({ status, stopReason, failure }: AssistantMessage): ThreadMessageLike['status'] {
  switch (status) {
    case 'STREAMING':
      return { type: 'running' };
    case 'WAITING':
      return { type: 'requires-action', reason: 'tool-calls' };
    case 'CANCELLED':
      return { type: 'incomplete', reason: 'cancelled' };
    case 'FAILED':
      return { type: 'incomplete', reason: 'error', error: failure?.message ?? 'The answer failed.' };
    case 'COMPLETED':
      return stopReason === 'MAX_TOKENS' || stopReason === 'MAX_STEPS'
        ? { type: 'incomplete', reason: stopReason === 'MAX_TOKENS' ? 'length' : 'other' }
        : { type: 'complete', reason: 'stop' };
  }
}
