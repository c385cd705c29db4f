//! Tools of an agent, and one run of a tool.
use std::{collections::HashMap, sync::Arc, time::Instant};

use api::{
    json_size::{fitting_prefix, json_size},
    types::{ToolStatus, ToolUse},
};
use serde::{Deserialize, Serialize};

use crate::{
    claim::Claim,
    knowledge::Knowledge,
    model::{Guardrail, ToolOutput},
};

/// The largest size of a tool's result, in JSON-escaped bytes. The rest of a larger one is left out.
pub const MAX_RESULT_BYTES: usize = 48 * 1024;
/// Ends a text of which the rest was left out.
const TRUNCATION_MARK: &str = " [The rest of this result was left out because it is too long.]";

/// A tool that an agent's model may call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// `[A-Za-z0-9_]{1,64}`, unique among the agent's tools.
    pub name: String,
    /// The tool's name for people.
    pub title: Option<String>,
    pub description: String,
    /// JSON Schema of the arguments, as JSON text. Its type is `object`.
    pub input_schema: String,
    pub effect: ToolEffect,
    /// By default calls that change something are approved.
    pub approval: Option<ToolApproval>,
    #[serde(flatten)]
    pub target: ToolTarget,
}

/// What a run of the tool calls. The name of the variant is a member of the tool.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolTarget {
    Lambda(LambdaTool),
    Graphql(GraphqlTool),
    /// The handler runs the tool itself: it has one of the same name.
    Handler(True),
    Mcp(McpTool),
    /// A client of the API runs the tool. The handler never does.
    Client(True),
    /// The search of the agent's own documents. It is never among the agent's tools.
    #[serde(skip)]
    Knowledge(Arc<Knowledge>),
}

/// Whether a run of the tool changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ToolEffect {
    /// The tool only reads: a call may be run again.
    Read,
    /// The tool changes something: a call is run at most once.
    Write,
}

/// Whether a person is to approve each call of the tool before it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ToolApproval {
    Always,
    Never,
}

impl Tool {
    /// The state of a call that is to be answered before it can have a result. `None` if it is run at once.
    pub fn pending_status(&self) -> Option<ToolStatus> {
        let by_effect = match self.effect {
            ToolEffect::Read => ToolApproval::Never,
            ToolEffect::Write => ToolApproval::Always,
        };
        match (&self.target, self.approval.unwrap_or(by_effect)) {
            (ToolTarget::Client(_), _) => Some(ToolStatus::ClientNeeded),
            (_, ToolApproval::Always) => Some(ToolStatus::ApprovalNeeded),
            (_, ToolApproval::Never) => None,
        }
    }
}

/// A tool that is a Lambda function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaTool {
    pub function_arn: String,
}

/// A tool that is an operation of a GraphQL API, run with the caller's own credential.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphqlTool {
    /// One query or mutation. The arguments of a call are its variables.
    pub document: String,
    /// `None` for the API that this handler belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A tool of a Model Context Protocol server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct McpTool {
    #[serde(flatten)]
    pub server: McpServer,
    /// The tool's name at the server.
    pub tool_name: String,
}

/// A Model Context Protocol server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct McpServer {
    pub url: String,
    /// The ARN of the secret that is the header Authorization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_secret_arn: Option<String>,
}

/// A target that has no members. In JSON it is `true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value { Ok(Self) } else { Err("the value must be true") }
    }
}

impl From<True> for bool {
    fn from(True: True) -> Self {
        true
    }
}

/// The calls of a stored event whose results are not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCalls {
    /// The position of the event.
    pub position: u32,
    pub calls: Vec<ToolUse>,
    /// What is known about calls, by their ids.
    pub answers: HashMap<String, CallAnswer>,
}

/// What a person or a client has answered to a call that waited, or why no answer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallAnswer {
    /// The tool may run with the arguments of the stored call.
    Approved,
    Denied {
        reason: Option<String>,
    },
    /// A client has run the tool.
    Result {
        /// JSON text.
        json: String,
        is_error: bool,
    },
    /// The call is too old, or its approval was that of another user or of another version of the agent. It
    /// is not known whether the tool was run.
    NoLongerCounts,
}

/// Runs a tool once.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRun {
    pub claim: Claim,
    pub caller: Caller,
    /// The position of the event that has the call. With the call's id it identifies the call in its
    /// conversation.
    pub position: u32,
    pub tool: Arc<Tool>,
    pub tool_use: ToolUse,
    /// What a client has returned: the tool is not run, and this is its outcome.
    pub given: Option<ToolOutcome>,
    /// What assesses the outcome before a model gets it.
    pub guardrail: Option<Guardrail>,
    /// The run ends here, with a result or without.
    pub until: Instant,
}

impl ToolRun {
    /// The same in every attempt at this call, and different for every other call, also where two calls have
    /// the same id. None of the ids has a slash.
    pub fn idempotency_key(&self) -> String {
        let Claim { conversation_id, turn_id, .. } = &self.claim;
        format!("{conversation_id}/{turn_id}/{}/{}", self.position, self.tool_use.id)
    }
}

/// The user for whom an answer is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// `None` for callers with an API key.
    pub id: Option<String>,
    pub name: Option<String>,
    /// The groups of the caller's identity, for the filters of documents.
    pub groups: Vec<String>,
    /// `None` if the agent has no tool that needs it.
    pub credential: Option<Arc<CallerCredential>>,
}

/// What the caller has signed in with, sealed by KMS for one turn, or why there is nothing to pass on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallerCredential {
    ApiKey {
        /// The ciphertext in Base64.
        sealed: String,
    },
    /// A token of a user pool or of another OpenID Connect provider.
    Token {
        /// The ciphertext in Base64.
        sealed: String,
    },
    None {
        reason: NoCredential,
    },
}

/// Why a caller has no credential that tools can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NoCredential {
    /// The caller has signed the request with IAM credentials.
    Iam,
    /// The gateway has made the request for the caller, without what the caller has sent.
    OnBehalf,
    /// KMS seals at most 4,096 bytes.
    TooLong,
    /// KMS has not answered.
    NotSealed,
    /// The deployment has no key.
    Disabled,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutcome {
    pub status: ToolStatus,
    pub output: ToolOutput,
    /// ISO 8601; `None` if the tool was not run.
    pub started_at: Option<String>,
    /// ISO 8601; `None` if the tool was not run or its end is not known.
    pub ended_at: Option<String>,
}

impl ToolOutcome {
    /// The outcome with an output of at most `max_bytes` of JSON-escaped text. Of a larger one the beginning
    /// is left, as text, with a mark at its end.
    pub fn cut_to(self, max_bytes: usize) -> Self {
        let (ToolOutput::Json(text) | ToolOutput::Text(text)) = &self.output;
        if text.len() <= max_bytes && json_size(text) <= max_bytes {
            return self;
        }
        let end = fitting_prefix(text, max_bytes.saturating_sub(TRUNCATION_MARK.len())).cut;
        let output = ToolOutput::Text(format!("{}{TRUNCATION_MARK}", &text[..end]));
        Self { output, ..self }
    }
}

/// Whether the rest of an output was left out.
pub fn is_cut(text: &str) -> bool {
    text.ends_with(TRUNCATION_MARK)
}
