//! Each request is a value: a constant document, its variables, and the type of its answer.
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    documents,
    schema::{
        Access, Agent, AgentConnection, Caller, Conversation, ConversationConnection, ConversationEvents,
        ConversationParticipants, InferenceSettings, Participant, Turn,
    },
};

/// One operation of the API: [`AppSync::call`](crate::AppSync::call) carries it out.
pub trait Request: Serialize {
    /// The operation, with every value left to its variables.
    const DOCUMENT: &'static str;
    /// The root field that carries the answer.
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

/// Starts a conversation; with an id it can be repeated.
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
request!(CreateConversation, CREATE_CONVERSATION, "createConversation", Conversation, |it| json!({ "input": it }));

/// What is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateConversation {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}
request!(UpdateConversation, UPDATE_CONVERSATION, "updateConversation", Conversation, |it| json!({ "input": it }));

#[derive(Clone, Debug, Serialize)]
pub struct DeleteConversation {
    pub id: String,
}
request!(DeleteConversation, DELETE_CONVERSATION, "deleteConversation", Conversation, |it| json!(it));

#[derive(Clone, Debug, Serialize)]
pub struct GetConversation {
    pub id: String,
}
request!(GetConversation, GET_CONVERSATION, "getConversation", Conversation, |it| json!(it));

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListConversations {
    pub limit: Option<u32>,
    pub next_token: Option<String>,
}
request!(ListConversations, LIST_CONVERSATIONS, "listConversations", ConversationConnection, |it| json!(it));

/// The newest events, or those before or after a position; and the turn being answered.
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
request!(GetEvents, GET_EVENTS, "getConversation", ConversationEvents, |it| json!(it));

/// With whom a conversation is shared.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetParticipants {
    pub conversation_id: String,
}
request!(GetParticipants, GET_PARTICIPANTS, "getConversation", ConversationParticipants, |it| json!(it));

/// Shares a conversation of the caller's, or changes a participant's access.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareConversation {
    pub conversation_id: String,
    pub user_id: String,
    pub access: Access,
}
request!(ShareConversation, SHARE_CONVERSATION, "shareConversation", Participant, |it| json!({ "input": it }));

/// Ends a participant's part in a conversation; none is answered where it had none.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnshareConversation {
    pub conversation_id: String,
    pub user_id: String,
}
request!(UnshareConversation, UNSHARE_CONVERSATION, "unshareConversation", Option<Participant>, |it| json!(it));

/// The id makes it the same message however often it is sent.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub text: String,
}
request!(SendMessage, SEND_MESSAGE, "sendMessage", Turn, |it| json!({ "input": it }));

/// A turn with the stored batches of an attempt (default: its own) after a sequence (default: 0).
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
request!(GetTurn, GET_TURN, "getTurn", Turn, |it| json!(it));

/// Stops an answer and keeps what it has said; a turn that has ended stays as it is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelTurn {
    pub conversation_id: String,
    pub id: String,
}
request!(CancelTurn, CANCEL_TURN, "cancelTurn", Turn, |it| json!(it));

/// Answers the conversation's last turn anew.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryTurn {
    pub conversation_id: String,
    pub id: String,
}
request!(RetryTurn, RETRY_TURN, "retryTurn", Turn, |it| json!(it));

/// Has the conversation's last answer go on where it ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContinueTurn {
    pub conversation_id: String,
    pub id: String,
}
request!(ContinueTurn, CONTINUE_TURN, "continueTurn", Turn, |it| json!(it));

/// Writes the next version of an agent. For administrators: IAM.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutAgent {
    pub id: String,
    pub name: Option<String>,
    pub model_id: String,
    pub system_prompt: Option<String>,
    pub inference: Option<InferenceSettings>,
    pub context_bytes: Option<u64>,
}
request!(PutAgent, PUT_AGENT, "putAgent", Agent, |it| json!({ "input": it }));

#[derive(Clone, Debug, Serialize)]
pub struct GetAgent {
    pub id: String,
}
request!(GetAgent, GET_AGENT, "getAgent", Agent, |it| json!(it));

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgents {
    pub limit: Option<u32>,
    pub next_token: Option<String>,
}
request!(ListAgents, LIST_AGENTS, "listAgents", AgentConnection, |it| json!(it));

/// Who the caller is to the API, and what it has used of its quotas.
#[derive(Clone, Debug, Serialize)]
pub struct GetCaller;
request!(GetCaller, GET_CALLER, "getCaller", Caller, |_| json!({}));
