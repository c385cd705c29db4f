/** The GraphQL documents. They are constant: every value is passed as a variable. */
import {
  agent,
  agentConnection,
  caller,
  citedDocument,
  conversation,
  conversationConnection,
  conversationUpdate,
  conversationWithEvents,
  eventPage,
  participant,
  startedTurn,
  turn,
} from './selections.js';

/** Variables that name a turn. */
const TURN = 'conversationId: ID!, id: ID!';
/** Variables of a page of events. */
const PAGE = ', limit: Int, before: Int, after: Int';

const operations = {
  getCaller: ['', caller],
  listConversations: ['limit: Int, nextToken: String', conversationConnection],
  getConversation: ['id: ID!', conversationWithEvents, PAGE],
  getEvents: ['id: ID!', eventPage, PAGE, 'getConversation'],
  createConversation: ['input: CreateConversationInput', conversation],
  updateConversation: ['input: UpdateConversationInput!', conversation],
  deleteConversation: ['id: ID!', conversation],
  shareConversation: ['input: ShareConversationInput!', participant],
  unshareConversation: ['conversationId: ID!, userId: ID!', participant],
  sendMessage: ['input: SendMessageInput!', startedTurn],
  cancelTurn: [TURN, turn],
  retryTurn: [TURN, startedTurn],
  continueTurn: [TURN, startedTurn],
  answerToolCall: ['input: AnswerToolCallInput!', startedTurn],
  getTurn: [`${TURN}, attempt: Int, afterSequence: Int`, turn],
  getCitation: ['conversationId: ID!, eventId: ID!, index: Int!', citedDocument],
  listAgents: ['limit: Int, nextToken: String', agentConnection],
  getAgent: ['id: ID!', agent],
  onConversationUpdate: ['conversationId: ID!', conversationUpdate],
} satisfies Record<string, Operation>;

export const documents = documentsOf(operations);

/**
 * An operation by its name: its variables, what it selects, variables for fields below the root field, whose
 * own arguments are all other variables, and the root field, which has the operation's name by default.
 */
export type Operation = readonly [variables: string, selection: string, further?: string, field?: string];

export function documentsOf<Name extends string>(
  operationsByName: Readonly<Record<Name, Operation>>,
): Readonly<Record<Name, string>> {
  const documentOf = ([name, [variables, selection, further = '', field = name]]: [string, Operation]) => {
    const kind = name.startsWith('on') ? 'subscription' : /^(get|list)/.test(name) ? 'query' : 'mutation';
    const declarations = variables && `(${(variables + further).replaceAll(/\w+:/g, '$$$&')})`;
    const args = variables && `(${variables.replaceAll(/(\w+): [^,]+/g, '$1: $$$1')})`;
    return [name, `${kind} ${name}${declarations} { ${field}${args} ${selection} }`];
  };
  return Object.fromEntries(Object.entries<Operation>(operationsByName).map(documentOf)) as Readonly<
    Record<Name, string>
  >;
}
