//! One session with a server.
use std::{sync::Arc, time::Instant};

use rmcp::{
    RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
        PaginatedRequestParams, ProtocolVersion, Tool,
    },
    service::{
        ClientInitializeError, ClientLifecycleMode, Peer, RunningService, ServiceError, serve_client_with_lifecycle,
    },
    transport::{
        DynamicTransportError, StreamableHttpClientTransport,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use tokio::sync::Mutex;

use super::{
    CLOSING_TIMEOUT, MAX_LISTED_TOOLS, MAX_PAGES, McpError,
    authorization::Authorization,
    transport::{HttpClient, rpc_error},
};
use crate::clock::now;

pub struct Session {
    peer: Peer<RoleClient>,
    service: Mutex<RunningService<RoleClient, ClientConfig>>,
}

impl Session {
    /// Connects by the handshake `initialize`. A server that refuses it may be of a later version of the
    /// protocol, which has `server/discover` instead.
    pub async fn open(
        http: &reqwest::Client,
        url: &str,
        authorization: Option<Arc<Authorization>>,
    ) -> Result<Self, McpError> {
        let connect = |lifecycle| Self::connect(http.clone(), url, authorization.clone(), lifecycle);
        match connect(ClientLifecycleMode::Initialize).await {
            Err(McpError::Rpc(_)) => {
                let preferred_versions = vec![ProtocolVersion::LATEST];
                connect(ClientLifecycleMode::Discover { preferred_versions }).await
            }
            result => result,
        }
    }

    async fn connect(
        http: reqwest::Client,
        url: &str,
        authorization: Option<Arc<Authorization>>,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Self, McpError> {
        let client = HttpClient::new(http, authorization);
        // A session that has expired is replaced by McpSessions, which knows the calls that may be repeated.
        let config = StreamableHttpClientTransportConfig::with_uri(url).reinit_on_expired_session(false);
        let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
        let service = serve_client_with_lifecycle(client_config(), transport, lifecycle).await;
        let service = service.map_err(|error| initialize_error(error, client.last_error()))?;
        Ok(Self { peer: service.peer().clone(), service: Mutex::new(service) })
    }

    /// Whether no further call can have a result.
    pub fn is_closed(&self) -> bool {
        self.peer.is_transport_closed()
    }

    /// Adds all tools of the server, in its order.
    pub async fn list_tools(&self, mut add: impl FnMut(Tool)) -> Result<(), McpError> {
        let mut count = 0;
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.peer.list_tools(Some(params)).await.map_err(service_error)?;
            count += page.tools.len();
            if count > MAX_LISTED_TOOLS {
                return Err(McpError::TooManyTools);
            }
            page.tools.into_iter().for_each(&mut add);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
        Err(McpError::TooManyTools)
    }

    /// Tries once. The server is told if the call is dropped.
    pub async fn call_tool(&self, params: CallToolRequestParams) -> Result<CallToolResult, McpError> {
        match self.peer.call_tool_once(params).await.map_err(service_error)? {
            CallToolResponse::Complete(result) => Ok(result),
            // The client has not said that it can give input or wait for a task.
            _ => Err(McpError::NotMcp),
        }
    }

    /// Ends the session at the server, if the server answers in a short time and before `until`.
    pub async fn close(&self, until: Instant) {
        let limit = until.saturating_duration_since(now()).min(CLOSING_TIMEOUT);
        drop(self.service.lock().await.close_with_timeout(limit).await);
    }
}

/// The client has no capabilities: the server can ask it for nothing.
fn client_config() -> ClientConfig {
    let implementation = Implementation::new("parlance", env!("CARGO_PKG_VERSION"));
    ClientConfig::new(ClientCapabilities::default(), implementation)
}

/// Why a session could not be opened. `last_error` is that of the HTTP client: the errors of the handshake do
/// not contain it.
fn initialize_error(error: ClientInitializeError, last_error: Option<McpError>) -> McpError {
    match error {
        ClientInitializeError::JsonRpcError(error) => rpc_error(error),
        ClientInitializeError::TransportError { .. } | ClientInitializeError::ConnectionClosed(_) => {
            last_error.unwrap_or(McpError::ConnectionBroken)
        }
        _ => McpError::NotMcp,
    }
}

fn service_error(error: ServiceError) -> McpError {
    match error {
        ServiceError::McpError(error) => rpc_error(error),
        ServiceError::TransportSend(error) => transport_error(&error),
        ServiceError::UnexpectedResponse => McpError::NotMcp,
        _ => McpError::ConnectionBroken,
    }
}

fn transport_error(error: &DynamicTransportError) -> McpError {
    match error.error.downcast_ref::<StreamableHttpError<McpError>>() {
        Some(StreamableHttpError::Client(error)) => error.clone(),
        _ => McpError::ConnectionBroken,
    }
}
