//! The operations of the API as values: each has a constant document, variables, and the type of its answer.
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    documents,
    schema::{
        Access, Agent, AgentConnection, Caller, CitedDocument, Conversation, ConversationConnection,
        ConversationEvents, ConversationParticipants, GuardrailMode, InferenceSettings, KnowledgeFailure,
        KnowledgeMode, KnowledgeSearch, Model, Participant, PromptCaching, ReasoningSettings, ToolApproval, ToolEffect,
        Turn,
    },
};

/// One operation of the API, sent by [`AppSync::call`](crate::AppSync::call).
pub trait Request: Serialize {
    /// The GraphQL document; every value is passed as a variable.
    const DOCUMENT: &'static str;
    /// The root field of the answer.
    const FIELD: &'static str;
    type Answer: DeserializeOwned;

    fn variables(&self) -> Value;
}

macro_rules! request {
    ($name:ident, $document:ident, $field:literal, $answer:ty, $variables:expr) => {
        impl Request for $name {
            const DOCUMENT: &'static str = documents::$document;
            const FIELD: &'static str = $field;
            type Answer = $answer;

            fn variables(&self) -> Value {
                let variables: fn(&Self) -> Value = $variables;
                variables(self)
            }
        }
    };
}

/// Creates a conversation. With an id it is idempotent.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateConversation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}
request!(
    CreateConversation,
    CREATE_CONVERSATION,
    "createConversation",
    Conversation,
    |request| json!({ "input": request })
);

/// Changes a conversation. Fields that are None stay unchanged.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateConversation {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}
request!(
    UpdateConversation,
    UPDATE_CONVERSATION,
    "updateConversation",
    Conversation,
    |request| json!({ "input": request })
);

#[derive(Clone, Debug, Serialize)]
pub struct DeleteConversation {
    pub id: String,
}
request!(DeleteConversation, DELETE_CONVERSATION, "deleteConversation", Conversation, |request| json!(request));

#[derive(Clone, Debug, Serialize)]
pub struct GetConversation {
    pub id: String,
}
request!(GetConversation, GET_CONVERSATION, "getConversation", Conversation, |request| json!(request));

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListConversations {
    pub limit: Option<u32>,
    pub next_token: Option<String>,
}
request!(ListConversations, LIST_CONVERSATIONS, "listConversations", ConversationConnection, |request| json!(request));

/// The active turn, and the newest events or those before or after a position.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetEvents {
    pub conversation_id: String,
    pub limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}
request!(GetEvents, GET_EVENTS, "getConversation", ConversationEvents, |request| json!(request));

/// The participants of a conversation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetParticipants {
    pub conversation_id: String,
}
request!(GetParticipants, GET_PARTICIPANTS, "getConversation", ConversationParticipants, |request| json!(request));

/// Shares the caller's conversation with a user, or changes a participant's access.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareConversation {
    pub conversation_id: String,
    pub user_id: String,
    pub access: Access,
}
request!(
    ShareConversation,
    SHARE_CONVERSATION,
    "shareConversation",
    Participant,
    |request| json!({ "input": request })
);

/// Removes a participant. The answer is None if the user was no participant.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnshareConversation {
    pub conversation_id: String,
    pub user_id: String,
}
request!(UnshareConversation, UNSHARE_CONVERSATION, "unshareConversation", Option<Participant>, |request| json!(
    request
));

/// Sends a message. With an id it is idempotent.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub text: String,
    /// The conversation's last turn, which the message replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces_turn_id: Option<String>,
}
request!(SendMessage, SEND_MESSAGE, "sendMessage", Turn, |request| json!({ "input": request }));

/// A turn with the stored batches of an attempt (default: the current one) after a sequence (default: 0).
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetTurn {
    pub conversation_id: String,
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_sequence: Option<u32>,
}
request!(GetTurn, GET_TURN, "getTurn", Turn, |request| json!(request));

/// A citation of an agent's event, with a link to its document.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetCitation {
    pub conversation_id: String,
    pub event_id: String,
    /// The place of the citation among those of `ConversationEvent::citations`, from 0.
    pub index: u32,
}
request!(GetCitation, GET_CITATION, "getCitation", CitedDocument, |request| json!(request));

/// Cancels a turn and keeps the text so far. A turn that has ended stays unchanged.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelTurn {
    pub conversation_id: String,
    pub id: String,
}
request!(CancelTurn, CANCEL_TURN, "cancelTurn", Turn, |request| json!(request));

/// Answers the conversation's last turn again, from the beginning.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryTurn {
    pub conversation_id: String,
    pub id: String,
}
request!(RetryTurn, RETRY_TURN, "retryTurn", Turn, |request| json!(request));

/// Continues the answer of the conversation's last turn where it ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContinueTurn {
    pub conversation_id: String,
    pub id: String,
}
request!(ContinueTurn, CONTINUE_TURN, "continueTurn", Turn, |request| json!(request));

/// Answers a tool call that waits for an approval or for a client. The same answer again is success.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerToolCall {
    pub conversation_id: String,
    pub turn_id: String,
    pub tool_use_id: String,
    /// Given for an approval. `Some(false)` denies a client's call too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<bool>,
    /// Why the call is denied, for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the client's tool returned, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Whether the client's tool has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
}
request!(AnswerToolCall, ANSWER_TOOL_CALL, "answerToolCall", Turn, |request| json!({ "input": request }));

/// Stores the next version of an agent. Only for administrators.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutAgent {
    pub id: String,
    pub name: Option<String>,
    pub model_id: String,
    pub system_prompt: Option<String>,
    pub inference: Option<InferenceSettings>,
    pub context_bytes: Option<u64>,
    pub tools: Option<Vec<PutTool>>,
    pub max_steps: Option<u32>,
    pub tool_timeout_seconds: Option<u32>,
    /// `None` for an agent without documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge: Option<PutKnowledge>,
    /// `None` for the model's own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningSettings>,
    /// `FiveMinutes` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_caching: Option<PromptCaching>,
    /// At most 3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback_model_ids: Vec<String>,
    /// `None` for what the deployment's parameters say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<PutGuardrail>,
}
request!(PutAgent, PUT_AGENT, "putAgent", Agent, |request| json!({ "input": request }));

/// How an agent uses the deployment's guardrail. What is `None` is as the deployment's parameters say.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutGuardrail {
    /// The guardrail that the deployment's parameter `GuardrailId` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A number, or `DRAFT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<GuardrailMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_message_only: Option<bool>,
}

/// A tool of an agent, or an MCP server with several. It has exactly one of `lambda`, `graphql`, `handler`,
/// `client` and `mcp`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutTool {
    /// With `mcp` it begins the names of the server's tools.
    pub name: String,
    /// Always left out with `mcp`.
    pub title: Option<String>,
    /// Required, but for `mcp`: there it is for the tools that the server does not describe.
    pub description: Option<String>,
    /// JSON Schema of the arguments, as JSON text. `None` if it follows from the document of `graphql`, and
    /// with `mcp`.
    pub input_schema: Option<String>,
    /// `WRITE` if left out. Always left out with `graphql` and `mcp`.
    pub effect: Option<ToolEffect>,
    /// `ALWAYS` if left out and the tool changes something. Always left out with `client`.
    pub approval: Option<ToolApproval>,
    pub lambda: Option<PutLambdaTool>,
    pub graphql: Option<PutGraphqlTool>,
    /// `Some(true)` where a client runs the tool.
    pub client: Option<bool>,
    /// `Some(true)` where the handler itself has the tool.
    pub handler: Option<bool>,
    pub mcp: Option<PutMcpServer>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutMcpServer {
    pub url: String,
    /// The secret that is the header Authorization. `None` for a server without.
    pub authorization_secret_arn: Option<String>,
    /// The names of the tools at the server. `None` for all.
    pub tools: Option<Vec<String>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutLambdaTool {
    pub function_arn: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutGraphqlTool {
    /// One query or mutation with the fragments that it needs.
    pub document: String,
    /// `None` for the API itself.
    pub url: Option<String>,
}

/// The documents from which an agent answers: those of the deployment's knowledge base. What is `None` has
/// the default that the schema says.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutKnowledge {
    pub mode: Option<KnowledgeMode>,
    /// How many passages a search returns: 1 to 20.
    pub results: Option<u32>,
    pub search: Option<KnowledgeSearch>,
    /// Passages with a lower score are left out. 0 to 1.
    pub min_score: Option<f64>,
    /// A filter of Retrieve as JSON text.
    pub filter: Option<String>,
    pub rerank_model_arn: Option<String>,
    pub query_model_id: Option<String>,
    pub on_failure: Option<KnowledgeFailure>,
}

#[derive(Clone, Debug, Serialize)]
pub struct GetAgent {
    pub id: String,
}
request!(GetAgent, GET_AGENT, "getAgent", Agent, |request| json!(request));

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgents {
    pub limit: Option<u32>,
    pub next_token: Option<String>,
}
request!(ListAgents, LIST_AGENTS, "listAgents", AgentConnection, |request| json!(request));

/// The models that agents can have. Administrators only.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ListModels;
request!(ListModels, LIST_MODELS, "listModels", Vec<Model>, |_| json!({}));

/// The caller and its use of the quotas.
#[derive(Clone, Debug, Serialize)]
pub struct GetCaller;
request!(GetCaller, GET_CALLER, "getCaller", Caller, |_| json!({}));
