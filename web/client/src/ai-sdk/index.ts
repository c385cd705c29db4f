/** Parlance as the transport of the AI SDK's chats: `useChat({ id, transport })`. */
import { isToolUIPart, type ChatTransport, type UIMessageChunk } from 'ai';
import {
  answerOf,
  Conversations,
  followAnswer,
  newestAnswer,
  sendAnswers,
  type AdapterOptions,
} from '../adapters/conversations.js';
import {
  ParlanceError,
  type AssistantMessage,
  type Client,
  type ConversationStore,
  type ToolCallAnswer,
} from '../index.js';
import { ChunkWriter, toUIMessage, type ParlanceUIMessage } from './parts.js';

export type { ParlanceMetadata, ParlanceUIMessage } from './parts.js';
export type { AdapterOptions } from '../adapters/conversations.js';
export { toUIMessage };

/**
 * A transport for chats whose id is the id of a conversation: 1 to 64 of A-Z, a-z, 0-9, _ and -. A
 * conversation that does not exist is created by its first message.
 *
 * `stop` cancels the turn, `regenerate` retries it, `addToolOutput` and `addToolApprovalResponse` answer its
 * calls once the chat sends by itself (`sendAutomaticallyWhen`), and `resume` takes up the answer that is
 * being made. `close` ends the subscriptions.
 */
export function createChatTransport(client: Client, options: AdapterOptions = {}): ParlanceChatTransport {
  return new Transport(client, options);
}

export interface ParlanceChatTransport extends ChatTransport<ParlanceUIMessage> {
  /** The newest messages of a conversation, for the option `messages` of a chat; none where it does not exist. */
  loadMessages(chatId: string): Promise<ParlanceUIMessage[]>;
  close: () => void;
}

type SendOptions = Parameters<ParlanceChatTransport['sendMessages']>[0];
type Chunks = ReadableStream<UIMessageChunk>;

class Transport implements ParlanceChatTransport {
  /** A resumed stream begins with the whole answer so far. */
  readonly resumeStreamIsReplay = true;
  readonly #conversations: Conversations;
  /** The newest stream of each chat that is open. */
  readonly #streams = new Map<string, Chunks>();
  /** The turns of edited messages, which keep their ids in the chat. */
  readonly #editedTurns = new Map<string, string>();

  constructor(client: Client, options: AdapterOptions) {
    this.#conversations = new Conversations(client, options);
  }

  async loadMessages(chatId: string): Promise<ParlanceUIMessage[]> {
    const store = await this.#conversations.open(chatId);
    return store.getSnapshot().messages.map(toUIMessage);
  }

  sendMessages = async (options: SendOptions): Promise<Chunks> => {
    const { chatId, trigger, messages, abortSignal } = options;
    const store = await this.#conversations.open(chatId);
    if (abortSignal?.aborted) throw new DOMException('The request was aborted.', 'AbortError');
    const last = messages.at(-1);
    if (trigger === 'regenerate-message') {
      await store.retry();
      return this.#stream(chatId, store, abortSignal);
    }
    if (last?.role === 'user') {
      await this.#send(store, last, options.messageId);
      return this.#stream(chatId, store, abortSignal);
    }
    const before = newestAnswer(store);
    await sendAnswers(store, answersOf(last, before));
    return this.#stream(chatId, store, abortSignal, before);
  };

  reconnectToStream: ParlanceChatTransport['reconnectToStream'] = async ({ chatId, abortSignal }) => {
    const store = await this.#conversations.open(chatId);
    const status = newestAnswer(store)?.status;
    return status === 'STREAMING' || status === 'WAITING' ? this.#stream(chatId, store, abortSignal) : null;
  };

  close = (): void => {
    this.#conversations.close();
  };

  async #send(store: ConversationStore, { id, parts }: ParlanceUIMessage, editedId?: string): Promise<void> {
    const text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
    if (editedId === undefined) {
      await store.send(text, { id });
      return;
    }
    await store.edit(this.#editedTurns.get(editedId) ?? editedId, text);
    const turnId = newestAnswer(store)?.turnId;
    if (turnId !== undefined) this.#editedTurns.set(editedId, turnId);
  }

  /** The newest answer as a stream, after what the message `before` has already. */
  #stream(
    chatId: string,
    store: ConversationStore,
    signal: AbortSignal | undefined,
    before?: AssistantMessage,
  ): Chunks {
    const turnId = newestAnswer(store)?.turnId;
    if (turnId === undefined) throw new ParlanceError('NotFound', 'The conversation has no answer.');
    const stream = streamAnswer(store, turnId, new ChunkWriter(before));
    this.#streams.set(chatId, stream);
    signal?.addEventListener('abort', () => {
      // A chat that takes up an answer twice aborts its first stream for the second one.
      setTimeout(() => {
        const isStopped =
          this.#streams.get(chatId) === stream && answerOf(store, turnId)?.status === 'STREAMING';
        // The chat has let go of the stream. A cancellation that fails leaves the answer to be resumed.
        if (isStopped) store.cancel().catch(() => undefined);
      });
    });
    return stream;
  }
}

function streamAnswer(store: ConversationStore, turnId: string, writer: ChunkWriter): Chunks {
  let end: (() => void) | undefined;
  return new ReadableStream<UIMessageChunk>({
    start(controller) {
      for (const chunk of writer.start(turnId)) controller.enqueue(chunk);
      end = followAnswer(store, turnId, {
        onChange: (answer) => {
          for (const chunk of writer.update(answer)) controller.enqueue(chunk);
        },
        onEnd: (answer) => {
          for (const chunk of writer.end(answer)) controller.enqueue(chunk);
          controller.close();
        },
        onFailed: (error) => {
          controller.error(error);
        },
      });
    },
    cancel() {
      end?.();
    },
  });
}

/** What the chat says to the calls for which the turn waits. */
function answersOf(
  message: ParlanceUIMessage | undefined,
  waiting: AssistantMessage | undefined,
): ToolCallAnswer[] {
  const open = new Set(
    (waiting?.parts ?? []).flatMap((part) => (part.type === 'tool' && part.needs ? [part.toolUseId] : [])),
  );
  return (message?.parts ?? []).flatMap((part): ToolCallAnswer[] => {
    if (!isToolUIPart(part) || !open.has(part.toolCallId)) return [];
    const { toolCallId: toolUseId } = part;
    switch (part.state) {
      case 'approval-responded': {
        const { approved, reason } = part.approval;
        if (approved) return [{ toolUseId, approved }];
        return [{ toolUseId, approved: false, ...(reason !== undefined && { reason }) }];
      }
      case 'output-available':
        return [{ toolUseId, result: part.output ?? {} }];
      case 'output-error':
        return [{ toolUseId, result: { error: part.errorText }, isError: true }];
      default:
        return [];
    }
  });
}
