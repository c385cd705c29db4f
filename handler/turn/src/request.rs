//! Payloads of the handler's invocations.
use std::sync::Arc;

use api::types::{ConversationEvent, InferenceSettings, SenderKind, ToolCall};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{
    citations::CitationStyle,
    claim::RunId,
    knowledge::{Knowledge, KnowledgeMode},
    knowledge_tool::search_tool,
    model::{Guardrail, PromptCaching, ReasoningSettings},
    replies::ReplyTo,
    tool::{CallerCredential, McpServer, Tool, ToolApproval, ToolEffect, ToolTarget},
};

/// The payload of an invocation. Its member `type` names the variant.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Invocation {
    Turn(Box<TurnRequest>),
    Purge(PurgeRequest),
    /// Closes a turn whose handler died, because a resolver could not read all of its text, or announces the
    /// end of a turn that was cancelled while it waited.
    Close(CloseRequest),
    /// Publishes a tool call that was answered while other calls of its turn still wait.
    PublishToolCall(PublishToolCallRequest),
    /// Asks whether an agent may have these tools. The invocation returns what is wrong with them.
    CheckTools(CheckToolsRequest),
    /// Asks for a link to a document. The invocation returns the link, if the document can have one.
    LinkDocument(LinkDocumentRequest),
    /// Asks for an answer that the invocation returns.
    OneShot(Box<OneShotRequest>),
    /// Asks what models can do. The invocation returns it.
    ListModels(ListModelsRequest),
    /// Ordered by the schedule of the template.
    RenewApiKey(RenewApiKeyRequest),
}

/// Asks for the answer to one user message.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnRequest {
    pub conversation_id: String,
    pub turn_id: String,
    /// The number of this run of the turn, from 1.
    pub run: u32,
    pub agent: Agent,
    /// `None` in a retry or a continue: the handler loads it from the table.
    pub question: Option<ConversationEvent>,
    /// Events older than the question, ascending by position.
    #[serde(default)]
    pub history: Vec<ConversationEvent>,
    /// Whether the conversation has events older than those in `history`.
    #[serde(default)]
    pub history_cut: Option<bool>,
    /// The user who asked for the run, whose quota counts the answer's tokens if there is a quota. `None` for
    /// callers with an API key.
    pub asked_by: Option<String>,
    /// The groups of the user who asked for the run, for the filters of documents.
    #[serde(default)]
    pub caller_groups: Vec<String>,
    /// The credential of the user who asked for the run, for tools. `None` if no tool of the agent needs it.
    pub caller_credential: Option<CallerCredential>,
    /// When this start of the run was ordered, in milliseconds since 1970. The same in every delivery of the
    /// invocation.
    pub started_at: Option<u64>,
    /// Where replies go besides the subscriptions. `None` for nowhere.
    #[serde(default, deserialize_with = "readable_reply_to")]
    pub reply_to: Option<ReplyTo>,
    /// With how many users the conversation is shared.
    #[serde(default)]
    pub participant_count: u32,
    /// Whether the conversation has no title.
    #[serde(default)]
    pub untitled: bool,
}

impl TurnRequest {
    pub fn run_id(&self) -> RunId {
        RunId { conversation_id: self.conversation_id.clone(), turn_id: self.turn_id.clone(), run: self.run }
    }
}

/// Asks for the end of a run, or for its announcement.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloseRequest {
    #[serde(flatten)]
    pub run_id: RunId,
    /// Where the answer goes besides the subscriptions. `None` for nowhere.
    #[serde(default, deserialize_with = "readable_reply_to")]
    pub reply_to: Option<ReplyTo>,
}

/// No turn depends on who else listens, so what cannot be read is nowhere.
fn readable_reply_to<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ReplyTo>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

/// Asks for the removal of a deleted conversation's items.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeRequest {
    pub conversation_id: String,
}

/// Asks for one update to be published that a resolver has stored.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishToolCallRequest {
    pub conversation_id: String,
    pub turn_id: String,
    pub run: u32,
    pub attempt: u32,
    /// The update's number within the attempt.
    pub sequence: u32,
    pub tool_call: ToolCall,
}

/// Asks for a check of an agent's tools before the agent is stored.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckToolsRequest {
    pub tools: Vec<GivenTool>,
    /// The filter of the agent's knowledge, as JSON text.
    pub filter: Option<String>,
}

/// What an agent is given.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum GivenTool {
    Server(GivenServer),
    Tool(UncheckedTool),
}

/// A Model Context Protocol server whose tools the check lists.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct GivenServer {
    /// Begins the names of the tools.
    pub name: String,
    /// For the tools that the server does not describe.
    pub description: Option<String>,
    /// For all tools of the server. By default it follows from their effects.
    pub approval: Option<ToolApproval>,
    pub mcp: ServerTools,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServerTools {
    #[serde(flatten)]
    pub server: McpServer,
    /// The names of the tools at the server. `None` for all.
    pub tools: Option<Vec<String>>,
}

/// A tool of which the check derives what it lacks.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UncheckedTool {
    /// JSON Schema of the arguments, as JSON text.
    pub input_schema: Option<String>,
    pub effect: Option<ToolEffect>,
    #[serde(flatten)]
    pub target: ToolTarget,
    /// Members that the check does not look at.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// Asks for a link to a cited document, for a caller who may read the citation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LinkDocumentRequest {
    /// The document's URI, such as `s3://bucket/key`.
    pub source: String,
}

/// Asks for the answer to a text of a caller with the API key. Nothing is stored.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OneShotRequest {
    /// Random: no conversation has this id.
    pub conversation_id: String,
    /// Random. With the conversation's id it is what the credential is sealed for.
    pub turn_id: String,
    pub agent: Agent,
    pub text: String,
    /// Whether Bedrock itself searches and answers, if the agent has knowledge.
    #[serde(default)]
    pub retrieve_and_generate: bool,
    /// For tools. `None` if no tool of the agent needs it.
    pub caller_credential: Option<CallerCredential>,
}

/// Asks what models can do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListModelsRequest {
    pub model_ids: Vec<String>,
}

/// Asks for a later expiry of the API key. It has no members.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewApiKeyRequest {}

/// One version of an agent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub id: String,
    pub version: u32,
    pub name: Option<String>,
    /// A Bedrock model id or inference profile id.
    pub model_id: String,
    pub system_prompt: Option<String>,
    /// The size limit of the transcript, in bytes of JSON-escaped text.
    pub context_bytes: usize,
    pub inference: Option<InferenceSettings>,
    /// At most 32.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// The most requests to the model in one attempt at a turn with tools: 1 to 50.
    #[serde(default = "default_max_steps")]
    pub max_steps: u32,
    /// How long one tool may run: 1 to 300.
    #[serde(default = "default_tool_timeout_seconds")]
    pub tool_timeout_seconds: u64,
    pub knowledge: Option<Knowledge>,
    pub reasoning: Option<ReasoningSettings>,
    #[serde(default)]
    pub prompt_caching: PromptCaching,
    /// At most 3, asked in turn where the agent's model cannot answer.
    #[serde(default)]
    pub fallback_model_ids: Vec<String>,
    pub guardrail: Option<Guardrail>,
}

impl Agent {
    /// The agent with the model that goes on with an existing answer: the one that has given its newest part,
    /// if the agent still has it. Where a fallback model has begun, the agent's own model could not answer.
    pub fn for_answer(self, kept_answer: &[ConversationEvent]) -> Self {
        let mut parts = kept_answer.iter().rev().filter(|event| event.sender.kind == SenderKind::Agent);
        match parts.find_map(|event| event.model_id.clone()) {
            Some(model_id) if self.fallback_model_ids.contains(&model_id) => Self { model_id, ..self },
            Some(_) | None => self,
        }
    }

    /// The tools that the model gets.
    pub fn model_tools(&self) -> Arc<[Tool]> {
        let style = CitationStyle::of_model(&self.model_id);
        let knowledge = self.knowledge.as_ref().filter(|knowledge| knowledge.mode == KnowledgeMode::Tool);
        let search = knowledge.map(|knowledge| search_tool(knowledge, style));
        // The name of a server's tool can be the same.
        let is_taken = |tool: &&Tool| search.as_ref().is_some_and(|search| search.name == tool.name);
        self.tools.iter().filter(|tool| !is_taken(tool)).cloned().chain(search.clone()).collect()
    }
}

const fn default_max_steps() -> u32 {
    10
}

const fn default_tool_timeout_seconds() -> u64 {
    30
}
