//! Clients of AWS's services, of MCP servers, and of the GraphQL APIs that are tools. No other module sends
//! requests.
mod appsync;
mod bedrock;
mod connections;
mod document_links;
pub mod dynamodb;
mod events;
mod json_protocol;
mod kms;
mod knowledge_base;
mod mcp;
mod redaction;
#[cfg(test)]
mod reply_tests;
mod secret;
mod secrets_manager;
mod signed_http;
mod tools;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use api::{limited_body, types::TurnStatus};
use aws_config::SdkConfig;
use futures::Stream;
use turn::{
    direct_write::{DirectWrite, WriteFailure},
    knowledge::RetrievalRequest,
    model::{ModelError, ModelRequest, StreamEvent},
    mutation::{Accepted, Mutation, PublishFailure},
    replies::{Listener, Participant, ReplyFailure, ReplyRequest},
    retrieval::RetrievalResult,
    tool::{MAX_RESULT_BYTES, ToolOutcome, ToolRun},
};

use crate::{
    attempt_loop::Effects,
    clock::Clock,
    model::{self, Model},
    settings::Settings,
    tool::HandlerTools,
};
use appsync::AppSync;
use connections::Connections;
use document_links::DocumentsBucket;
use events::EventsApi;
use kms::Kms;
use secrets_manager::SecretsManager;
use tools::{CredentialCache, InvocationTools, Lambda, ToolClients};

pub use appsync::{ApiKey, RenewalError, accepted_update, classify_response, request_body, title_body};
pub use bedrock::{Bedrock, Guardrails};
pub use document_links::{DocumentLinks, LinkError};
pub use dynamodb::{CLAIM_RETENTION, ClaimOutcome, StoredAnswer, Table, TableError, with_retries};
pub use knowledge_base::KnowledgeBases;
#[cfg(test)]
pub use mcp::test_server;
pub use mcp::{McpError, McpServers, McpSessions};
pub use tools::{CallError, ToolBackend, ToolRunner, function_result, operation_result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The model, and one client for each service, shared by all invocations of the environment.
pub struct Clients<M> {
    pub table: Table,
    /// The API keys that this function renews: of the GraphQL API and of the Events API, if it has one.
    pub api_keys: Vec<ApiKey>,
    pub document_links: DocumentLinks,
    model: M,
    appsync: AppSync,
    /// `None` in a deployment without an Events API.
    events_api: Option<EventsApi>,
    /// `None` in a deployment without a WebSocket API.
    connections: Option<Connections>,
    knowledge_bases: KnowledgeBases,
    tools: ToolClients,
    /// Set up when the first result of a tool is assessed: most deployments have no guardrail.
    guardrails: OnceLock<Guardrails>,
    config: SdkConfig,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("AWS_REGION must be set.")]
    NoRegion,
    #[error("The environment must provide AWS credentials.")]
    NoCredentials,
    #[error("The HTTP client cannot be set up: {0}.")]
    Http(#[from] reqwest::Error),
}

/// Follows no redirects, because a followed one would repeat a call.
fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()
}

/// The clients with the clock of one invocation.
pub struct InvocationClients<'a, M> {
    clients: &'a Clients<M>,
    /// The credential of the turn that the invocation answers.
    credential: CredentialCache,
    mcp_sessions: McpSessions,
    clock: Clock,
}

impl<M: Model> Clients<M> {
    pub fn new(
        model: M,
        handler_tools: HandlerTools,
        config: &SdkConfig,
        settings: &Settings,
    ) -> Result<Self, ConnectError> {
        // Shared, because it takes time to set up.
        let http = http_client()?;
        let signed_http = signed_http::from_config(http.clone(), config)?;
        let secrets = SecretsManager::new(signed_http.clone(), settings.secrets_manager_endpoint.clone());
        let mcp_urls = settings.tool_mcp_urls.clone();
        let secret_arns = settings.tool_secrets.clone();
        let knowledge_bases = KnowledgeBases::new(signed_http.clone(), settings.knowledge_base_endpoint.clone());
        let bucket = settings.documents_bucket.clone().map(|name| DocumentsBucket {
            endpoint: settings.s3_endpoint.clone(),
            region: signed_http.region().to_owned(),
            name,
        });
        Ok(Self {
            guardrails: OnceLock::new(),
            config: config.clone(),
            document_links: DocumentLinks::new(signed_http.clone(), bucket),
            table: Table::new(config, &settings.table_name),
            api_keys: settings.api_key_urls.iter().map(|url| ApiKey::new(signed_http.clone(), url)).collect(),
            model,
            appsync: AppSync::new(signed_http.clone(), &settings.graphql_url),
            events_api: settings.events_url.as_ref().map(|url| EventsApi::new(signed_http.clone(), url)),
            connections: settings.connections_url.as_ref().map(|url| Connections::new(signed_http.clone(), url)),
            tools: ToolClients {
                knowledge_bases: knowledge_bases.clone(),
                lambda: Lambda::new(signed_http.clone(), settings.lambda_endpoint.clone()),
                kms: Kms::new(signed_http, settings.kms_endpoint.clone()),
                graphql_urls: settings.tool_graphql_urls.clone(),
                handler_tools,
                mcp: McpServers::new(http.clone(), secrets, mcp_urls, secret_arns),
                http,
            },
            knowledge_bases,
        })
    }

    /// The tools that this handler itself runs.
    pub fn handler_tools(&self) -> &HandlerTools {
        &self.tools.handler_tools
    }

    pub fn for_invocation(&self, clock: Clock) -> InvocationClients<'_, M> {
        InvocationClients {
            clients: self,
            credential: CredentialCache::default(),
            mcp_sessions: McpSessions::default(),
            clock,
        }
    }

    pub fn knowledge_bases(&self) -> &KnowledgeBases {
        &self.knowledge_bases
    }

    /// The MCP servers whose tools agents may have.
    pub fn mcp_servers(&self) -> &McpServers {
        &self.tools.mcp
    }
}

impl<M: Model> InvocationClients<'_, M> {
    /// Ends the sessions that the invocation has opened, before `until`.
    pub async fn close(&self, until: Instant) {
        self.mcp_sessions.close(until).await;
    }
}

impl<M: Model> Effects for InvocationClients<'_, M> {
    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        model::answer(&self.clients.model, request)
    }

    async fn retrieve(&self, request: Arc<RetrievalRequest>) -> RetrievalResult {
        self.clients.knowledge_bases.retrieve(&request).await
    }

    async fn run_tool(&self, run: ToolRun) -> (String, ToolOutcome) {
        let Clients { table, tools, .. } = self.clients;
        let backend = InvocationTools {
            clients: tools,
            credential: &self.credential,
            mcp_sessions: &self.mcp_sessions,
            clock: self.clock,
        };
        let outcome = match run.given.clone() {
            Some(given) => given,
            None => ToolRunner { table, backend: &backend, clock: self.clock }.run(&run).await,
        };
        let outcome = match &run.guardrail {
            Some(guardrail) => {
                let Clients { guardrails, config, .. } = self.clients;
                // What no result has room for is not assessed.
                let outcome = outcome.cut_to(MAX_RESULT_BYTES);
                guardrails.get_or_init(|| Guardrails::new(config)).assess(guardrail, outcome).await
            }
            None => outcome,
        };
        (run.tool_use.id, outcome)
    }

    async fn publish(&self, mutation: Arc<Mutation>, keeps_update: bool) -> Result<Accepted, PublishFailure> {
        self.clients.appsync.publish(&mutation, keeps_update).await
    }

    async fn publish_title(&self, conversation_id: &str, title: &str) -> Result<(), PublishFailure> {
        self.clients.appsync.publish_title(conversation_id, title).await
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        self.clients.table.write_directly(write, self.clock.now()).await
    }

    async fn send_replies(&self, request: Arc<ReplyRequest>) -> Result<(), ReplyFailure> {
        let Clients { events_api, connections, table, .. } = self.clients;
        if let Some(participant) = &request.participant {
            require_share(table, participant).await?;
        }
        match (&request.listener, events_api, connections) {
            (Listener::Events(channel), Some(events_api), _) => {
                events::publish(events_api, channel, &request.messages).await
            }
            (Listener::WebSocket(to), _, Some(connections)) => {
                connections::send(connections, to, &request.messages, table).await
            }
            (Listener::Events(_), None, _) | (Listener::WebSocket(_), _, None) => {
                tracing::error!("replies are asked for at an entry point that the deployment does not have");
                Err(ReplyFailure::NotDeployed)
            }
        }
    }
}

/// A share that has ended ends the replies of a run, as it ends subscriptions.
async fn require_share(table: &Table, participant: &Participant) -> Result<(), ReplyFailure> {
    match table.is_participant(participant).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            tracing::info!("the conversation is not shared with the client's user any more");
            Err(ReplyFailure::ShareEnded)
        }
        Err(error) => {
            tracing::warn!(%error, "the share of the client's user cannot be read");
            Err(ReplyFailure::Retryable)
        }
    }
}
