//! The Lambda function that answers turns: it claims a turn, loads what the payload lacks, streams the
//! model's answer, runs its tools and publishes it. Deployed a second time as the closer, it ends turns whose
//! invocations have failed for good.
//!
//! As a library it serves the same contract with another [`Model`], and with [`Tool`]s of its own: see
//! [`Handler`]. `examples/custom-handler/` is a complete one.
pub mod model;
pub mod tool;

pub mod settings;

pub mod attempt_loop;
pub mod clock;
pub mod errors;

mod answer_turn;
mod aws;
pub mod check_tools;
pub mod function_arn;
mod graphql_document;
pub mod graphql_urls;
mod list_models;
mod logging;
pub mod mcp_urls;
mod one_shot;
mod orphan_closer;
mod publish_tool_call;
mod refused_fields;
mod safe_url;
#[cfg(test)]
mod test_support;
mod title;

use std::{sync::Arc, time::SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use futures::future::join_all;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tracing::{Instrument, info_span};
use turn::{
    deadlines::Deadlines,
    limits::Limits,
    request::{CloseRequest, Invocation, RenewApiKeyRequest},
};
use uuid::Uuid;

use crate::{
    attempt_loop::Effects,
    aws::{Bedrock, Clients},
    check_tools::AllowedTools,
    clock::{Clock, iso_8601},
    errors::HandlerError,
    function_arn::AllowedFunctions,
    graphql_urls::GraphqlUrls,
    model::Model,
    settings::{Settings, SettingsError},
    tool::{HandlerTools, Tool},
};

pub use aws::{ApiKey, DocumentLinks, KnowledgeBases, LinkError, McpServers, RenewalError, Table, TableError};

/// The body of a publish, and what AppSync's response to it means.
pub mod publishing {
    pub use crate::aws::{accepted_update, classify_response, request_body, title_body};
}

/// What the responses of tools mean: a result as JSON text, or an error.
pub mod tool_responses {
    pub use crate::aws::{function_result, operation_result};
}

/// Runs of tools, over any way to reach a tool.
pub mod tools {
    pub use crate::aws::{CallError, ToolBackend, ToolRunner};
}

/// Why a handler cannot serve.
pub type Error = lambda_runtime::Error;

/// A handler for any model, with tools of its own. The crate `examples/custom-handler` shows a complete one.
pub struct Handler<M> {
    model: M,
    tools: HandlerTools,
    aws_config: Option<SdkConfig>,
}

impl<M: Model> Handler<M> {
    pub fn new(model: M) -> Self {
        Self { model, tools: HandlerTools::default(), aws_config: None }
    }

    /// Adds a tool that the handler itself runs.
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Sets the configuration of the handler's AWS clients. By default it is loaded from the environment,
    /// which takes time: a model that has loaded it already passes it on.
    pub fn aws_config(self, config: SdkConfig) -> Self {
        Self { aws_config: Some(config), ..self }
    }

    /// Serves invocations until Lambda shuts the environment down. Sets the process's tracing subscriber.
    pub async fn run(self) -> Result<(), Error> {
        let settings = initialize()?;
        self.serve_with(settings).await
    }

    async fn serve_with(self, settings: Settings) -> Result<(), Error> {
        self.tools.check_names()?;
        let config = match self.aws_config {
            Some(config) => config,
            None => load_aws_config().await,
        };
        let clients = Arc::new(Clients::new(self.model, self.tools, &config, &settings)?);
        let settings = Arc::new(settings);
        let serve_event = service_fn(move |event| serve_event(event, Arc::clone(&clients), Arc::clone(&settings)));
        lambda_runtime::run(serve_event).await
    }
}

/// The configuration of AWS clients from the environment.
pub async fn load_aws_config() -> SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}

/// Serves invocations with the models of Amazon Bedrock. The binary `bootstrap` and each environment of the
/// local server run this.
pub async fn run() -> Result<(), Error> {
    // Before the configuration, which takes seconds outside of Lambda.
    let settings = initialize()?;
    let config = load_aws_config().await;
    Handler::new(Bedrock::new(&config)).aws_config(config).serve_with(settings).await
}

/// Sets the tracing subscriber, and reads the environment.
fn initialize() -> Result<Settings, SettingsError> {
    logging::set_subscriber();
    Settings::read(|name| std::env::var(name).ok())
}

async fn serve_event<M: Model>(
    event: LambdaEvent<Value>,
    clients: Arc<Clients<M>>,
    settings: Arc<Settings>,
) -> Result<Value, HandlerError> {
    let clock = Clock::starting_at(SystemTime::now());
    let remaining = event.context.deadline().duration_since(clock.now()).unwrap_or_default();
    let effects = clients.for_invocation(clock);
    let context = InvocationContext {
        table: &clients.table,
        effects: &effects,
        clock,
        deadlines: Deadlines::within(clock::now(), remaining),
        holder: Uuid::new_v4(),
        limits: settings.limits,
        tool_functions: &settings.tool_functions,
        graphql_urls: &settings.tool_graphql_urls,
        handler_tools: clients.handler_tools(),
        mcp_servers: Some(clients.mcp_servers()),
        knowledge_bases: Some(clients.knowledge_bases()),
        api_keys: &clients.api_keys,
        document_links: Some(&clients.document_links),
        title_model_id: settings.title_model_id.as_deref(),
    };
    let response = serve(event.payload, &context).await;
    effects.close(context.deadlines.give_up_at).await;
    response
}

/// The clients, clock and deadlines of one invocation.
pub struct InvocationContext<'a, E> {
    pub table: &'a Table,
    pub effects: &'a E,
    pub clock: Clock,
    pub deadlines: Deadlines,
    /// A random id that marks the claims of this invocation.
    pub holder: Uuid,
    pub limits: Limits,
    /// The functions that agents may have as tools.
    pub tool_functions: &'a AllowedFunctions,
    /// The GraphQL APIs that tools may call.
    pub graphql_urls: &'a GraphqlUrls,
    /// The tools that this handler itself runs.
    pub handler_tools: &'a HandlerTools,
    /// The MCP servers whose tools agents may have. `None` allows none.
    pub mcp_servers: Option<&'a McpServers>,
    /// For the answers that Bedrock itself makes from documents. `None` lets the agent's model make them.
    pub knowledge_bases: Option<&'a KnowledgeBases>,
    /// The API key that this function renews, if any.
    pub api_keys: &'a [ApiKey],
    /// Makes links to documents. `None` makes none.
    pub document_links: Option<&'a DocumentLinks>,
    /// The model that writes titles. `None` takes the first words of the message.
    pub title_model_id: Option<&'a str>,
}

impl<E> InvocationContext<'_, E> {
    fn allowed_tools(&self) -> AllowedTools<'_> {
        AllowedTools {
            functions: self.tool_functions,
            graphql_urls: self.graphql_urls,
            handler_tools: self.handler_tools,
        }
    }

    fn jitter_seed(&self) -> u64 {
        self.holder.as_u64_pair().0
    }
}

/// Answers a turn or a one-shot question, publishes an answered tool call, purges a conversation, closes a
/// turn by order or by failure record, renews the API key, checks tools, or makes a link to a document.
/// Returns the response: null unless the caller waits for one.
pub async fn serve<E: Effects>(payload: Value, context: &InvocationContext<'_, E>) -> Result<Value, HandlerError> {
    Box::pin(dispatch(payload, context)).await
}

async fn dispatch<E: Effects>(payload: Value, context: &InvocationContext<'_, E>) -> Result<Value, HandlerError> {
    if orphan_closer::is_failure_record(&payload) {
        orphan_closer::close_failed_run(payload, context).await?;
        return Ok(Value::Null);
    }
    match serde_json::from_value(payload).map_err(HandlerError::from_payload_error)? {
        Invocation::Turn(request) => {
            let span =
                info_span!("turn", conversation = request.conversation_id, turn = request.turn_id, run = request.run);
            answer_turn::answer_turn(*request, context).instrument(span).await?;
            Ok(Value::Null)
        }
        Invocation::Close(CloseRequest { run_id, reply_to }) => {
            let span =
                info_span!("close", conversation = run_id.conversation_id, turn = run_id.turn_id, run = run_id.run);
            let close = orphan_closer::close_run(&run_id, reply_to.as_ref(), context);
            Box::pin(close).instrument(span).await?;
            Ok(Value::Null)
        }
        Invocation::Purge(request) => {
            let span = info_span!("purge", conversation = request.conversation_id);
            let purge = context.table.purge_conversation(&request.conversation_id, context.clock.now());
            purge.instrument(span).await?;
            Ok(Value::Null)
        }
        Invocation::PublishToolCall(request) => {
            let span = info_span!(
                "publish tool call",
                conversation = request.conversation_id,
                turn = request.turn_id,
                run = request.run
            );
            publish_tool_call::publish_tool_call(request, context).instrument(span).await?;
            Ok(Value::Null)
        }
        Invocation::CheckTools(request) => {
            let listings = check_tools::list_servers(&request.tools, context.mcp_servers).await;
            let check = check_tools::check_tools(request, &listings, context.allowed_tools());
            Ok(serde_json::to_value(check).expect("texts always serialize"))
        }
        Invocation::LinkDocument(request) => {
            let link = match context.document_links {
                Some(links) => links.link(&request.source, context.clock.now()).await?,
                None => None,
            };
            let (url, expires_at) = link.map(|link| (link.url, iso_8601(link.expires_at))).unzip();
            Ok(json!({ "url": url, "expiresAt": expires_at }))
        }
        Invocation::OneShot(request) => {
            let span = info_span!("one-shot", conversation = request.conversation_id);
            let answer = one_shot::answer_one_shot(*request, context).instrument(span).await;
            Ok(serde_json::to_value(answer).expect("texts always serialize"))
        }
        Invocation::ListModels(request) => Ok(list_models::list_models(&request)),
        Invocation::RenewApiKey(RenewApiKeyRequest {}) => {
            if context.api_keys.is_empty() {
                return Err(HandlerError::NoApiKey);
            }
            // Each is tried, whatever becomes of the other.
            let renewals = context.api_keys.iter().map(|api_key| api_key.renew(context.clock.now()));
            join_all(renewals).await.into_iter().collect::<Result<(), _>>()?;
            Ok(Value::Null)
        }
    }
}
