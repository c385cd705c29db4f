//! Runs tools: claims calls that change something, invokes Lambda functions, sends GraphQL operations, and
//! runs tools of MCP servers and of the handler itself.
mod call_error;
mod caller_credential;
mod graphql;
mod lambda;
mod mcp;
#[cfg(test)]
mod tests;

use std::{future::pending, time::Duration};

use api::{
    backoff::{Backoff, jitter_seed},
    retry::retry,
    types::ToolStatus,
};
use tokio::time::timeout_at;
use turn::{
    knowledge::{RetrievalError, RetrievalRequest},
    knowledge_tool::{parse_query, search_result},
    model::ToolOutput,
    tool::{GraphqlTool, LambdaTool, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use super::{
    dynamodb::{EarlierClaim, Table, TableError, ToolClaim},
    kms::Kms,
    knowledge_base::KnowledgeBases,
    mcp::{McpServers, McpSessions},
};
use crate::{
    clock::{Clock, iso_8601, now},
    graphql_document,
    graphql_urls::GraphqlUrls,
    refused_fields::check_fields,
    tool::HandlerTools,
};
use call_error::{MAX_RESPONSE_BYTES, NOT_ALLOWED, NOT_REACHED};
use graphql::GraphqlRequest;
use mcp::{McpCall, McpClients};

pub use call_error::CallError;
pub use caller_credential::CredentialCache;
pub use graphql::operation_result;
pub use lambda::{Lambda, function_result};

/// The result of a call that another attempt has claimed, if that attempt stored no outcome.
const UNKNOWN_OUTCOME: &str = "This call was started before, and its result never came. It may have taken effect: check \
    before calling the tool again.";
/// The result of a call of which nobody can tell whether another attempt has claimed it.
const UNKNOWN_CLAIM: &str = "It is not known whether this call was run. It may have taken effect: check before calling \
    the tool again.";

const NOT_SEARCHED: &str = "The documents could not be searched.";

const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(5));

/// The clients that tools are run with.
pub struct ToolClients {
    pub lambda: Lambda,
    pub kms: Kms,
    pub knowledge_bases: KnowledgeBases,
    /// For GraphQL APIs.
    pub http: reqwest::Client,
    /// The GraphQL APIs that get a caller's credential.
    pub graphql_urls: GraphqlUrls,
    pub handler_tools: HandlerTools,
    pub mcp: McpServers,
}

/// How calls reach their tools.
pub trait ToolBackend: Sync {
    /// A call that can be sent.
    type Call: Sync;

    /// Without effect. What fails here is not claimed.
    fn prepare(&self, run: &ToolRun) -> impl Future<Output = Result<Self::Call, CallError>> + Send;

    /// Sends the call once.
    fn send(&self, call: &Self::Call, run: &ToolRun) -> impl Future<Output = Result<ToolOutput, CallError>> + Send;
}

/// Runs the tools of one invocation.
pub struct ToolRunner<'b, B> {
    pub table: &'b Table,
    pub backend: &'b B,
    pub clock: Clock,
}

/// The clients of tools, for one invocation.
pub struct InvocationTools<'b> {
    pub clients: &'b ToolClients,
    pub credential: &'b CredentialCache,
    pub mcp_sessions: &'b McpSessions,
    pub clock: Clock,
}

/// A call that can be sent.
pub enum PreparedCall<'a> {
    Lambda(LambdaTool),
    Graphql(GraphqlRequest),
    Handler,
    Mcp(McpCall<'a>),
    Search(RetrievalRequest),
}

impl<'b> ToolBackend for InvocationTools<'b> {
    type Call = PreparedCall<'b>;

    async fn prepare(&self, run: &ToolRun) -> Result<PreparedCall<'b>, CallError> {
        match &run.tool.target {
            ToolTarget::Lambda(function) => Ok(PreparedCall::Lambda(function.clone())),
            ToolTarget::Graphql(operation) => self.prepare_operation(operation, run).await.map(PreparedCall::Graphql),
            ToolTarget::Handler(_) => self.prepare_handler_tool(&run.tool.name),
            ToolTarget::Mcp(tool) => {
                let clients = McpClients { servers: &self.clients.mcp, sessions: self.mcp_sessions };
                McpCall::prepare(clients, tool, run).await.map(PreparedCall::Mcp)
            }
            ToolTarget::Knowledge(knowledge) => match parse_query(&run.tool_use.input) {
                Ok(query) => Ok(PreparedCall::Search(knowledge.request(&query, &run.caller))),
                Err(problem) => Err(CallError::Refused(problem)),
            },
            ToolTarget::Client(_) => Err(CallError::Refused(NOT_ALLOWED)),
        }
    }

    async fn send(&self, call: &PreparedCall<'b>, run: &ToolRun) -> Result<ToolOutput, CallError> {
        let ToolClients { lambda, http, handler_tools, .. } = self.clients;
        match call {
            PreparedCall::Lambda(function) => lambda.invoke(function, run).await.map(ToolOutput::Json),
            PreparedCall::Graphql(request) => request.send(http, run).await.map(ToolOutput::Json),
            PreparedCall::Mcp(call) => call.send(run).await,
            PreparedCall::Search(request) => self.search(request, run).await.map(ToolOutput::Json),
            PreparedCall::Handler => run_handler_tool(handler_tools, run).await.map(ToolOutput::Json),
        }
    }
}

impl<'b> InvocationTools<'b> {
    async fn prepare_operation(&self, tool: &GraphqlTool, run: &ToolRun) -> Result<GraphqlRequest, CallError> {
        let ToolClients { kms, graphql_urls, .. } = self.clients;
        // The deployment may have taken back what it allowed when the agent was stored.
        let Some(url) = graphql_urls.allowed_url(tool.url.as_deref()) else {
            tracing::error!(tool = run.tool.name, url = tool.url, "the URL of a tool is not allowed");
            return Err(CallError::Refused(NOT_ALLOWED));
        };
        if let Err(refused) = check_stored_document(tool, graphql_urls) {
            tracing::error!(%refused, tool = run.tool.name, "the document of a tool is not allowed");
            return Err(CallError::Refused(NOT_ALLOWED));
        }
        let credential = self.credential.credential(run, kms).await?;
        GraphqlRequest::new(tool, url, run, credential.header(self.clock.now())?)
    }

    async fn search(&self, request: &RetrievalRequest, run: &ToolRun) -> Result<String, CallError> {
        let ToolTarget::Knowledge(knowledge) = &run.tool.target else { return Err(CallError::Refused(NOT_ALLOWED)) };
        match self.clients.knowledge_bases.retrieve(request).await {
            Ok(passages) => Ok(search_result(knowledge.select(passages))),
            Err(RetrievalError::Resuming | RetrievalError::Temporary) => Err(CallError::NotStarted),
            Err(RetrievalError::Refused) => Err(CallError::Refused(NOT_SEARCHED)),
        }
    }

    fn prepare_handler_tool(&self, name: &str) -> Result<PreparedCall<'b>, CallError> {
        // The handler may have changed since the agent was stored.
        if !self.clients.handler_tools.has(name) {
            tracing::error!(tool = name, "the handler has no tool of this name");
            return Err(CallError::Refused(NOT_ALLOWED));
        }
        Ok(PreparedCall::Handler)
    }
}

impl<B: ToolBackend> ToolRunner<'_, B> {
    /// Returns at `run.until` at the latest, but for the time of one call of the table after it. Never
    /// returns if the attempt no longer owns the turn.
    pub async fn run(&self, run: &ToolRun) -> ToolOutcome {
        let outcome = self.prepare_and_run(run).await;
        tracing::info!(tool = run.tool.name, status = ?outcome.status, "tool ended");
        outcome
    }

    async fn prepare_and_run(&self, run: &ToolRun) -> ToolOutcome {
        let time_limit = TimeLimit::of(run);
        // Before a claim, because what fails here has no effect.
        match timeout_at(run.until.into(), self.backend.prepare(run)).await {
            Ok(Ok(call)) => match run.tool.effect {
                ToolEffect::Read => self.send(&call, run, &time_limit).await,
                ToolEffect::Write => self.send_at_most_once(&call, run, &time_limit).await,
            },
            Ok(Err(error)) => self.not_sent(&error, run).await,
            Err(_) => self.not_sent(&time_limit.error(), run).await,
        }
    }

    /// The outcome of a call that this attempt does not send. An earlier attempt may have sent it.
    async fn not_sent(&self, error: &CallError, run: &ToolRun) -> ToolOutcome {
        if run.tool.effect == ToolEffect::Read {
            return failed(error);
        }
        match self.table.load_earlier_claim(run).await {
            Ok(None) => failed(error),
            Ok(Some(EarlierClaim { outcome })) => outcome.unwrap_or_else(|| unknown(UNKNOWN_OUTCOME)),
            Err(error) => {
                tracing::error!(%error, tool = run.tool.name, "it is not known whether the call is claimed");
                unknown(UNKNOWN_CLAIM)
            }
        }
    }

    async fn send_at_most_once(&self, call: &B::Call, run: &ToolRun, time_limit: &TimeLimit) -> ToolOutcome {
        match timeout_at(run.until.into(), self.claim(run)).await {
            Ok(Ok(ToolClaim::Claimed)) => {}
            Ok(Ok(ToolClaim::ClaimedBefore(outcome))) => return outcome.unwrap_or_else(|| unknown(UNKNOWN_OUTCOME)),
            Ok(Ok(ToolClaim::Stale)) => {
                tracing::info!(tool = run.tool.name, "the attempt no longer owns the turn");
                return pending().await;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, tool = run.tool.name, "the call could not be claimed");
                return self.not_sent(&CallError::Refused(NOT_REACHED), run).await;
            }
            Err(_) => return self.not_sent(&time_limit.error(), run).await,
        }
        let outcome = self.send(call, run, time_limit).await;
        if let Err(error) = self.table.store_tool_outcome(run, &outcome, self.clock.now()).await {
            tracing::warn!(%error, tool = run.tool.name, "the outcome of a call is not stored");
        }
        outcome
    }

    async fn claim(&self, run: &ToolRun) -> Result<ToolClaim, TableError> {
        let claim = || self.table.claim_tool_call(run, self.clock.now());
        retry_in_time(run, claim, TableError::is_retryable).await
    }

    async fn send(&self, call: &B::Call, run: &ToolRun, time_limit: &TimeLimit) -> ToolOutcome {
        let started_at = iso_8601(self.clock.now());
        let result = timeout_at(run.until.into(), self.send_with_retries(call, run)).await;
        let ended_at = iso_8601(self.clock.now());
        match result.unwrap_or_else(|_| Err(time_limit.error())) {
            Ok(output) => ToolOutcome {
                status: ToolStatus::Succeeded,
                output,
                started_at: Some(started_at),
                ended_at: Some(ended_at),
            },
            Err(error) => {
                let (status, text) = error.status_and_text(run.tool.effect);
                ToolOutcome {
                    status,
                    output: ToolOutput::Text(text),
                    started_at: error.may_have_started().then_some(started_at),
                    ended_at: error.has_ended().then_some(ended_at),
                }
            }
        }
    }

    async fn send_with_retries(&self, call: &B::Call, run: &ToolRun) -> Result<ToolOutput, CallError> {
        let send = || self.backend.send(call, run);
        retry_in_time(run, send, |error: &CallError| error.may_be_repeated(run.tool.effect)).await
    }
}

/// The agent may have been stored by an older version, which refused less.
fn check_stored_document(tool: &GraphqlTool, urls: &GraphqlUrls) -> Result<(), String> {
    let document = graphql_document::parse(&tool.document).map_err(|error| error.to_string())?;
    check_fields(&document, tool.url.as_deref(), urls).map_err(|refused| refused.to_string())
}

async fn run_handler_tool(tools: &HandlerTools, run: &ToolRun) -> Result<String, CallError> {
    match tools.run(run).await {
        Some(Ok(json)) if json.len() > MAX_RESPONSE_BYTES => Err(CallError::TooLarge),
        Some(Ok(json)) => Ok(json),
        Some(Err(text)) => Err(CallError::failed(&text)),
        None => Err(CallError::Refused(NOT_ALLOWED)),
    }
}

/// How long a run may take.
struct TimeLimit(Duration);

impl TimeLimit {
    /// To be called when the run begins.
    fn of(run: &ToolRun) -> Self {
        Self(run.until.saturating_duration_since(now()))
    }

    fn error(&self) -> CallError {
        CallError::TimeOver { seconds: self.0.as_secs_f64().round() as u64 }
    }
}

/// Repeats a call while its error is retryable and the run has time for another try.
async fn retry_in_time<T, E, F: Future<Output = Result<T, E>>>(
    run: &ToolRun,
    call: impl Fn() -> F,
    is_retryable: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let jitter_seed = jitter_seed(&[&run.claim.turn_id, &run.tool_use.id]);
    retry(RETRY, jitter_seed, call, |error, next| is_retryable(error) && now() + next.delay < run.until).await
}

/// The outcome of a call that was not sent.
fn failed(error: &CallError) -> ToolOutcome {
    // The effect does not matter to a call that was not sent.
    let (status, text) = error.status_and_text(ToolEffect::Read);
    ToolOutcome { status, output: ToolOutput::Text(text), started_at: None, ended_at: None }
}

fn unknown(text: &str) -> ToolOutcome {
    let output = ToolOutput::Text(text.to_owned());
    ToolOutcome { status: ToolStatus::Unknown, output, started_at: None, ended_at: None }
}
