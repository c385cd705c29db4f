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

export const documents = {
  getCaller: query('getCaller', '', caller),
  listConversations: query('listConversations', 'limit: Int, nextToken: String', conversationConnection),
  getConversation: query('getConversation', 'id: ID!', conversationWithEvents, { further: PAGE }),
  getEvents: query('getEvents', 'id: ID!', eventPage, { field: 'getConversation', further: PAGE }),
  createConversation: mutation('createConversation', 'input: CreateConversationInput', conversation),
  updateConversation: mutation('updateConversation', 'input: UpdateConversationInput!', conversation),
  deleteConversation: mutation('deleteConversation', 'id: ID!', conversation),
  shareConversation: mutation('shareConversation', 'input: ShareConversationInput!', participant),
  unshareConversation: mutation('unshareConversation', 'conversationId: ID!, userId: ID!', participant),
  sendMessage: mutation('sendMessage', 'input: SendMessageInput!', startedTurn),
  cancelTurn: mutation('cancelTurn', TURN, turn),
  retryTurn: mutation('retryTurn', TURN, startedTurn),
  continueTurn: mutation('continueTurn', TURN, startedTurn),
  answerToolCall: mutation('answerToolCall', 'input: AnswerToolCallInput!', startedTurn),
  getTurn: query('getTurn', `${TURN}, attempt: Int, afterSequence: Int`, turn),
  getCitation: query('getCitation', 'conversationId: ID!, eventId: ID!, index: Int!', citedDocument),
  listAgents: query('listAgents', 'limit: Int, nextToken: String', agentConnection),
  getAgent: query('getAgent', 'id: ID!', agent),
  onConversationUpdate: operation(
    'subscription',
    'onConversationUpdate',
    'conversationId: ID!',
    conversationUpdate,
  ),
};

interface Root {
  /** The root field, by default the name of the operation. */
  readonly field?: string;
  /** Variables for fields below the root field, whose own arguments are all other variables. */
  readonly further?: string;
}

export function query(name: string, variables: string, selection: string, root?: Root): string {
  return operation('query', name, variables, selection, root);
}

export function mutation(name: string, variables: string, selection: string): string {
  return operation('mutation', name, variables, selection);
}

function operation(
  kind: string,
  name: string,
  variables: string,
  selection: string,
  { field = name, further = '' }: Root = {},
): string {
  const declarations = variables && `(${(variables + further).replaceAll(/\w+:/g, '$$$&')})`;
  const args = variables && `(${variables.replaceAll(/(\w+): [^,]+/g, '$1: $$$1')})`;
  return `${kind} ${name}${declarations} { ${field}${args} ${selection} }`;
}
