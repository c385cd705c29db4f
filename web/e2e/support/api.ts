import { until } from './until.js';

interface Response<Data> {
  data?: Data;
  errors?: { errorType?: string; message: string }[];
}

interface StoredEvent {
  id: string;
  sender: { kind: 'USER' | 'AGENT' | 'TOOL' };
  text: string | null;
}

export interface StoredTurn {
  id: string;
  status: 'QUEUED' | 'RUNNING' | 'WAITING' | 'CANCELLING' | 'COMPLETED' | 'CANCELLED' | 'FAILED';
  question: StoredEvent;
  answer: StoredEvent[];
}

const EVENT = '{ id sender { kind } text }';

/** GraphQL without the client under test, to prepare what a test needs and to compare with what is stored. */
export class Api {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, credential: { apiKey: string } | { token: string }) {
    this.#url = url;
    const authorization: Record<string, string> =
      'token' in credential ? { authorization: credential.token } : { 'x-api-key': credential.apiKey };
    this.#headers = { 'content-type': 'application/json', ...authorization };
  }

  async request<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    const body = JSON.stringify({ query, variables });
    const response = await fetch(this.#url, { method: 'POST', headers: this.#headers, body });
    const { data, errors } = (await response.json()) as Response<Data>;
    if (errors) {
      throw new Error(errors.map((error) => `${error.errorType ?? ''} ${error.message}`).join('\n'));
    }
    return data as Data;
  }

  /** The caller as others name it when they share a conversation. */
  async callerId(): Promise<string> {
    return (await this.request<{ getCaller: { id: string } }>('{ getCaller { id } }')).getCaller.id;
  }

  async putAgent(input: { id: string; modelId: string } & Record<string, unknown>): Promise<void> {
    await this.request('mutation ($input: PutAgentInput!) { putAgent(input: $input) { id } }', { input });
  }

  async createConversation(input: { id?: string; title?: string; agentId?: string } = {}): Promise<string> {
    const document =
      'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }';
    const { createConversation } = await this.request<{ createConversation: { id: string } }>(document, {
      input,
    });
    return createConversation.id;
  }

  /** The id of the turn. */
  async sendMessage(conversationId: string, text: string): Promise<string> {
    const document = 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { id } }';
    const input = { conversationId, text };
    return (await this.request<{ sendMessage: { id: string } }>(document, { input })).sendMessage.id;
  }

  /** Sends a message and waits for the end of its answer. Returns the answer's text. */
  async ask(conversationId: string, text: string): Promise<string> {
    const turnId = await this.sendMessage(conversationId, text);
    return answerText(await this.endOf(conversationId, turnId));
  }

  async getTurn(conversationId: string, id: string): Promise<StoredTurn> {
    const document = `query ($conversationId: ID!, $id: ID!) {
      getTurn(conversationId: $conversationId, id: $id) {
        id status question ${EVENT} answer ${EVENT}
      }
    }`;
    return (await this.request<{ getTurn: StoredTurn }>(document, { conversationId, id })).getTurn;
  }

  async endOf(conversationId: string, turnId: string, timeout = 60_000): Promise<StoredTurn> {
    const ended = async () => {
      const turn = await this.getTurn(conversationId, turnId);
      return ['COMPLETED', 'CANCELLED', 'FAILED'].includes(turn.status) && turn;
    };
    // Not more often: each request takes the processor from the page.
    return until(`turn ${turnId} has ended`, ended, timeout, 200);
  }

  async isAnswering(id: string): Promise<boolean> {
    const document = 'query ($id: ID!) { getConversation(id: $id) { activeTurn { id } } }';
    const read = await this.request<{ getConversation: { activeTurn: unknown } }>(document, { id });
    return read.getConversation.activeTurn !== null;
  }

  /** The texts of the user's messages that are stored. */
  async questions(conversationId: string): Promise<string[]> {
    const document = `query ($id: ID!) {
      getConversation(id: $id) { events(limit: 100) { items { text sender { kind } } } }
    }`;
    const { getConversation } = await this.request<{
      getConversation: { events: { items: { text: string; sender: { kind: string } }[] } };
    }>(document, { id: conversationId });
    const questions = getConversation.events.items.filter(({ sender }) => sender.kind === 'USER');
    return questions.map(({ text }) => text);
  }

  /** The newest turn of a conversation whose messages a test did not send itself. */
  async lastTurn(conversationId: string): Promise<StoredTurn> {
    const document = `query ($id: ID!) {
      getConversation(id: $id) { events(limit: 100) { items { turnId sender { kind } } } }
    }`;
    const { getConversation } = await this.request<{
      getConversation: { events: { items: { turnId: string }[] } };
    }>(document, { id: conversationId });
    const turnId = getConversation.events.items.at(-1)?.turnId;
    if (!turnId) throw new Error(`Conversation ${conversationId} has no turn.`);
    return this.getTurn(conversationId, turnId);
  }
}

/** The text of an answer: that of the agent's events, joined. */
export function answerText(turn: StoredTurn): string {
  return turn.answer
    .filter((event) => event.sender.kind === 'AGENT')
    .map((event) => event.text ?? '')
    .join('');
}
