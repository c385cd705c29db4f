//! The GraphQL documents. They are constant: every value is passed as a variable.
//!
//! Selection sets that several documents share are macros, because `concat!` joins literals only. They are no
//! GraphQL fragments, because AppSync does not document fragments in subscriptions.

macro_rules! failure_fields {
    () => {
        "{ code message retryable }"
    };
}

macro_rules! usage_fields {
    () => {
        "{ inputTokens outputTokens totalTokens cacheReadTokens cacheWriteTokens }"
    };
}

macro_rules! citation_fields {
    () => {
        "{ number title source url passage score page start end }"
    };
}

macro_rules! content_fields {
    () => {
        concat!(
            "{ text citations ",
            citation_fields!(),
            " toolUse { id name title input } \
             toolResult { toolUseId status json text truncated startedAt endedAt } \
             reasoning { text milliseconds } }"
        )
    };
}

macro_rules! event_fields {
    () => {
        concat!(
            "{ id conversationId position turnId attempt sender { kind id name } content ",
            content_fields!(),
            " text stopReason usage ",
            usage_fields!(),
            " failure ",
            failure_fields!(),
            " superseded replacesTurnId modelId guardrail { source policies } createdAt }"
        )
    };
}

macro_rules! tool_call_fields {
    () => {
        "{ id name title status note }"
    };
}

macro_rules! metadata_fields {
    () => {
        concat!(
            "{ status contentBlockIndex agentPartialMessage agentPartialReasoning note continues toolCall ",
            tool_call_fields!(),
            " pending ",
            tool_call_fields!(),
            " }"
        )
    };
}

macro_rules! turn_fields {
    () => {
        concat!(
            "{ id conversationId status run attempt question ",
            event_fields!(),
            " answer ",
            event_fields!(),
            " batches { attempt sequence metadata ",
            metadata_fields!(),
            " } hasMoreBatches pending ",
            tool_call_fields!(),
            " failure ",
            failure_fields!(),
            " usage ",
            usage_fields!(),
            " }"
        )
    };
}

/// A turn that was just started, without its question and answer: those arrive as updates, and loading them
/// would delay the response.
macro_rules! started_turn_fields {
    () => {
        concat!("{ id conversationId status run attempt failure ", failure_fields!(), " }")
    };
}

macro_rules! conversation_fields {
    () => {
        "{ id title agentId activeTurn { id status } createdAt lastActivityAt ownerId access }"
    };
}

macro_rules! participant_fields {
    () => {
        "{ conversationId userId access sharedAt }"
    };
}

macro_rules! agent_fields {
    () => {
        "{ id version name modelId inference { maxTokens temperature topP stopSequences } contextBytes \
         tools { name title description inputSchema effect client } maxSteps toolTimeoutSeconds \
         reasoning { effort budgetTokens } promptCaching fallbackModelIds \
         guardrail { version mode newestMessageOnly } }"
    };
}

pub const CREATE_CONVERSATION: &str = concat!(
    "mutation CreateConversation($input: CreateConversationInput) { createConversation(input: $input) ",
    conversation_fields!(),
    " }"
);

pub const UPDATE_CONVERSATION: &str = concat!(
    "mutation UpdateConversation($input: UpdateConversationInput!) { updateConversation(input: $input) ",
    conversation_fields!(),
    " }"
);

pub const DELETE_CONVERSATION: &str =
    concat!("mutation DeleteConversation($id: ID!) { deleteConversation(id: $id) ", conversation_fields!(), " }");

pub const GET_CONVERSATION: &str =
    concat!("query GetConversation($id: ID!) { getConversation(id: $id) ", conversation_fields!(), " }");

pub const LIST_CONVERSATIONS: &str = concat!(
    "query ListConversations($limit: Int, $nextToken: String) { \
     listConversations(limit: $limit, nextToken: $nextToken) { items ",
    conversation_fields!(),
    " nextToken } }"
);

pub const GET_EVENTS: &str = concat!(
    "query GetEvents($conversationId: ID!, $limit: Int, $before: Int, $after: Int) { \
     getConversation(id: $conversationId) { activeTurn { id status } \
     events(limit: $limit, before: $before, after: $after) { items ",
    event_fields!(),
    " hasMore } } }"
);

pub const GET_PARTICIPANTS: &str = concat!(
    "query GetParticipants($conversationId: ID!) { getConversation(id: $conversationId) { participants ",
    participant_fields!(),
    " } }"
);

pub const SHARE_CONVERSATION: &str = concat!(
    "mutation ShareConversation($input: ShareConversationInput!) { shareConversation(input: $input) ",
    participant_fields!(),
    " }"
);

pub const UNSHARE_CONVERSATION: &str = concat!(
    "mutation UnshareConversation($conversationId: ID!, $userId: ID!) { \
     unshareConversation(conversationId: $conversationId, userId: $userId) ",
    participant_fields!(),
    " }"
);

pub const SEND_MESSAGE: &str = concat!(
    "mutation SendMessage($input: SendMessageInput!) { sendMessage(input: $input) ",
    started_turn_fields!(),
    " }"
);

pub const CANCEL_TURN: &str = concat!(
    "mutation CancelTurn($conversationId: ID!, $id: ID!) { cancelTurn(conversationId: $conversationId, id: $id) ",
    turn_fields!(),
    " }"
);

pub const RETRY_TURN: &str = concat!(
    "mutation RetryTurn($conversationId: ID!, $id: ID!) { retryTurn(conversationId: $conversationId, id: $id) ",
    started_turn_fields!(),
    " }"
);

pub const CONTINUE_TURN: &str = concat!(
    "mutation ContinueTurn($conversationId: ID!, $id: ID!) { continueTurn(conversationId: $conversationId, id: $id) ",
    started_turn_fields!(),
    " }"
);

pub const ANSWER_TOOL_CALL: &str = concat!(
    "mutation AnswerToolCall($input: AnswerToolCallInput!) { answerToolCall(input: $input) ",
    started_turn_fields!(),
    " }"
);

pub const GET_TURN: &str = concat!(
    "query GetTurn($conversationId: ID!, $id: ID!, $attempt: Int, $afterSequence: Int) { \
     getTurn(conversationId: $conversationId, id: $id, attempt: $attempt, afterSequence: $afterSequence) ",
    turn_fields!(),
    " }"
);

pub const GET_CITATION: &str = concat!(
    "query GetCitation($conversationId: ID!, $eventId: ID!, $index: Int!) { \
     getCitation(conversationId: $conversationId, eventId: $eventId, index: $index) { citation ",
    citation_fields!(),
    " url expiresAt } }"
);

pub const PUT_AGENT: &str =
    concat!("mutation PutAgent($input: PutAgentInput!) { putAgent(input: $input) ", agent_fields!(), " }");

pub const GET_AGENT: &str = concat!("query GetAgent($id: ID!) { getAgent(id: $id) ", agent_fields!(), " }");

pub const LIST_AGENTS: &str = concat!(
    "query ListAgents($limit: Int, $nextToken: String) { listAgents(limit: $limit, nextToken: $nextToken) { items ",
    agent_fields!(),
    " nextToken } }"
);

pub const LIST_MODELS: &str = "query ListModels { listModels { id family tools reasoning promptCaching images \
     documents contextTokens } }";

pub const GET_CALLER: &str = "query GetCaller { getCaller { id name isAdministrator \
     messagesThisMinute messagesPerMinute tokensToday tokensPerDay } }";

pub const ON_CONVERSATION_UPDATE: &str = concat!(
    "subscription OnConversationUpdate($conversationId: ID!) { onConversationUpdate(conversationId: $conversationId) \
     { conversationId turnId attempt sequence metadata ",
    metadata_fields!(),
    " event ",
    event_fields!(),
    " title } }"
);

/// Every document.
pub const ALL: [&str; 22] = [
    CREATE_CONVERSATION,
    UPDATE_CONVERSATION,
    DELETE_CONVERSATION,
    GET_CONVERSATION,
    LIST_CONVERSATIONS,
    GET_EVENTS,
    GET_PARTICIPANTS,
    SHARE_CONVERSATION,
    UNSHARE_CONVERSATION,
    SEND_MESSAGE,
    CANCEL_TURN,
    RETRY_TURN,
    CONTINUE_TURN,
    ANSWER_TOOL_CALL,
    GET_TURN,
    GET_CITATION,
    PUT_AGENT,
    GET_AGENT,
    LIST_AGENTS,
    LIST_MODELS,
    GET_CALLER,
    ON_CONVERSATION_UPDATE,
];
