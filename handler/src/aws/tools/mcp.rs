//! Runs tools of Model Context Protocol servers.
use std::sync::Arc;

use api::text::is_blank;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, JsonObject, MetaObject, RequestMetaObject, ResourceContents,
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use turn::{
    model::ToolOutput,
    tool::{McpTool, ToolRun},
};

use super::{
    call_error::{CallError, NOT_ALLOWED, NOT_REACHED},
    retry_in_time,
};
use crate::aws::{
    mcp::{McpError, McpServers, McpSessions, Session},
    secrets_manager::SecretVersion,
};

const NOT_ACCEPTED: &str = "The tool's server did not accept the sign-in of this deployment.";
const FORBIDDEN: &str = "The tool's server does not allow this call to the sign-in of this deployment.";
const REQUEST_REFUSED: &str = "The tool's server did not accept the request.";
const NOT_SIGNED_IN: &str = "The sign-in of this deployment for the tool's server could not be read.";
const NO_CONTENT: &str = "The tool returned nothing.";

/// Where the calls of an invocation find their servers.
#[derive(Clone, Copy)]
pub struct McpClients<'a> {
    pub servers: &'a McpServers,
    pub sessions: &'a McpSessions,
}

/// One call that can be sent.
pub struct McpCall<'a> {
    clients: McpClients<'a>,
    tool: McpTool,
    params: CallToolRequestParams,
}

impl<'a> McpCall<'a> {
    /// Opens the session, unless an earlier call has. Tries until the end of the run, because that has no
    /// effect.
    pub async fn prepare(clients: McpClients<'a>, tool: &McpTool, run: &ToolRun) -> Result<Self, CallError> {
        let call = Self { clients, tool: tool.clone(), params: call_params(tool, run)? };
        retry_in_time(run, || call.session(run), |error| *error == CallError::NotStarted).await?;
        Ok(call)
    }

    /// Tries once, and once more in a new session if the server refuses the first one.
    pub async fn send(&self, run: &ToolRun) -> Result<ToolOutput, CallError> {
        let session = self.session(run).await?;
        let mut result = session.call_tool(self.params.clone()).await;
        let version = match &result {
            Err(McpError::SessionExpired) => Some(SecretVersion::Cached),
            Err(McpError::Unauthorized) if self.tool.server.authorization_secret_arn.is_some() => {
                Some(SecretVersion::Latest)
            }
            _ => None,
        };
        if let Some(version) = version {
            let McpClients { servers, sessions } = self.clients;
            let session = sessions.replace(&self.tool.server, &session, servers, version).await;
            let session = session.map_err(|error| opening_error(&error, run))?;
            result = session.call_tool(self.params.clone()).await;
        }
        result.map_err(|error| call_error(error, run)).and_then(to_output)
    }

    async fn session(&self, run: &ToolRun) -> Result<Arc<Session>, CallError> {
        let McpClients { servers, sessions } = self.clients;
        let session = sessions.session(&self.tool.server, servers).await;
        session.map_err(|error| opening_error(&error, run))
    }
}

fn call_params(tool: &McpTool, run: &ToolRun) -> Result<CallToolRequestParams, CallError> {
    let arguments: JsonObject = serde_json::from_str(&run.tool_use.input).map_err(|error| {
        tracing::error!(%error, tool = run.tool.name, "the arguments are not a JSON object");
        CallError::Refused(NOT_REACHED)
    })?;
    let mut params = CallToolRequestParams::new(tool.tool_name.clone()).with_arguments(arguments);
    params.meta = Some(RequestMetaObject(MetaObject(call_meta(run))));
    Ok(params)
}

/// What the server is told about the call: a key that no other call has, and the user for whom it is made.
fn call_meta(run: &ToolRun) -> JsonObject {
    let caller = json!({ "id": run.caller.id, "name": run.caller.name });
    let members = [
        ("parlance/idempotencyKey", Value::from(run.idempotency_key())),
        ("parlance/conversationId", Value::from(run.claim.conversation_id.as_str())),
        ("parlance/caller", caller),
    ];
    members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// Why a session could not be opened. The tool was not started.
fn opening_error(error: &McpError, run: &ToolRun) -> CallError {
    let tool = &run.tool.name;
    match error {
        McpError::UrlNotAllowed | McpError::SecretNotAllowed => {
            tracing::error!(tool, %error, "a tool may not be used");
            CallError::Refused(NOT_ALLOWED)
        }
        McpError::SecretNotReadable | McpError::SecretNotHeader => {
            tracing::error!(tool, %error, "a tool has no authorization");
            CallError::Refused(NOT_SIGNED_IN)
        }
        McpError::Unauthorized => {
            tracing::error!(tool, %error, "the server of a tool refuses its authorization");
            CallError::Refused(NOT_ACCEPTED)
        }
        McpError::Forbidden => {
            tracing::error!(tool, %error, "the server of a tool allows no session");
            CallError::Refused(FORBIDDEN)
        }
        McpError::NotStarted
        | McpError::ServerError
        | McpError::ConnectionBroken
        | McpError::TimeOver
        | McpError::SessionExpired
        | McpError::SecretNotAvailable => {
            tracing::info!(tool, %error, "the server of a tool did not answer");
            CallError::NotStarted
        }
        McpError::TooLarge | McpError::Refused | McpError::NotMcp | McpError::TooManyTools | McpError::Rpc(_) => {
            tracing::error!(tool, %error, "the server of a tool refuses a session");
            CallError::Refused(REQUEST_REFUSED)
        }
    }
}

fn call_error(error: McpError, run: &ToolRun) -> CallError {
    tracing::info!(tool = run.tool.name, %error, "a call of a tool has no result");
    match error {
        McpError::NotStarted => CallError::NotStarted,
        McpError::ServerError => CallError::ServerError,
        McpError::TooLarge => CallError::TooLarge,
        McpError::NotMcp => CallError::BadResponse,
        McpError::Rpc(message) => CallError::failed(&message),
        McpError::Unauthorized => CallError::Refused(NOT_ACCEPTED),
        McpError::Forbidden => CallError::Refused(FORBIDDEN),
        McpError::Refused | McpError::SessionExpired => CallError::Refused(REQUEST_REFUSED),
        McpError::ConnectionBroken
        | McpError::TimeOver
        // Errors of the steps before a call.
        | McpError::UrlNotAllowed
        | McpError::SecretNotAllowed
        | McpError::SecretNotReadable
        | McpError::SecretNotAvailable
        | McpError::SecretNotHeader
        | McpError::TooManyTools => CallError::ConnectionBroken,
    }
}

/// Structured content before the text that repeats it for older clients; one text as it is; several blocks as
/// a list.
fn to_output(result: CallToolResult) -> Result<ToolOutput, CallError> {
    let mut texts: Vec<String> = result.content.iter().map(block_text).collect();
    if result.is_error == Some(true) {
        return Err(CallError::failed(&texts.join("\n")));
    }
    if let Some(structured) = result.structured_content.filter(|content| !content.is_null()) {
        return Ok(ToolOutput::Json(structured.to_string()));
    }
    Ok(match texts.len() {
        0 => ToolOutput::Text(NO_CONTENT.to_owned()),
        1 => single_text(texts.remove(0)),
        _ => ToolOutput::Json(json!(texts).to_string()),
    })
}

fn single_text(text: String) -> ToolOutput {
    let is_structured = text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(&text).is_ok();
    match text {
        text if is_structured => ToolOutput::Json(text),
        text if is_blank(&text) => ToolOutput::Text(NO_CONTENT.to_owned()),
        text => ToolOutput::Text(text),
    }
}

/// The text of a block, or a note about what the model does not get.
fn block_text(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(block) => block.text.clone(),
        ContentBlock::Image(image) => format!("[An image ({}) is left out.]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[A sound ({}) is left out.]", audio.mime_type),
        ContentBlock::Resource(block) => match &block.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            ResourceContents::BlobResourceContents { uri, .. } => format!("[The resource {uri} is left out.]"),
            _ => "[A resource is left out.]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[The resource {} is left out.]", link.uri),
        _ => "[Something is left out.]".to_owned(),
    }
}
