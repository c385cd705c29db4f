//! The operations of a WebSocket API: connecting, messages, disconnecting.
use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    WebSocketSettings,
    authorization::{Refusal, evaluate_response},
    close_cause::CloseCause,
    error_frame::{ENDPOINT_TIMED_OUT, FORBIDDEN, INTERNAL_SERVER_ERROR, error_frame},
    handshake::Handshake,
    proxy_response::{ConnectDecision, connect_decision, response_body},
    registry::ConnectionRegistry,
    request_context::{ConnectionInfo, RequestInfo},
    route_selection::route_key,
};
use crate::{
    graphql::FunctionBackend,
    identity::Authenticator,
    lambda::{InvocationType, InvokeError},
    stack::{RequestAuthorizer, WebSocketApi, WebSocketRoute},
    template::{ACCOUNT, REGION},
};

/// API Gateway's limit on a message, in either direction.
pub const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// The longest duration of an authorizer.
const AUTHORIZER_TIMEOUT: Duration = Duration::from_secs(29);
/// The error message of a function that API Gateway answers by 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// One API, ready to accept connections.
pub struct Service {
    pub api: WebSocketApi,
    functions: Arc<dyn FunctionBackend>,
    pub authenticator: Authenticator,
    pub connections: ConnectionRegistry,
    pub settings: WebSocketSettings,
    /// Cancelled when the server stops: every connection is then closed.
    pub stopping: CancellationToken,
    /// The open connections and the invocations.
    pub tasks: TaskTracker,
}

/// A connection that the authorizer and `$connect` accepted.
#[derive(Debug)]
pub struct Accepted {
    pub info: ConnectionInfo,
    pub subprotocol: Option<HeaderValue>,
}

/// The response to a refused upgrade.
#[derive(Debug, PartialEq, Eq)]
pub struct ConnectRefusal {
    pub status: StatusCode,
    pub body: String,
}

/// Why an invocation has no response.
enum InvocationFailure {
    TimedOut,
    Failed(InvokeError),
}

impl InvocationFailure {
    fn status(&self) -> StatusCode {
        match self {
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// The reason of a function's failure is logged and not sent.
    fn message(&self) -> &'static str {
        match self {
            Self::TimedOut => ENDPOINT_TIMED_OUT,
            Self::Failed(_) => INTERNAL_SERVER_ERROR,
        }
    }
}

impl Service {
    pub fn new(
        api: WebSocketApi,
        functions: Arc<dyn FunctionBackend>,
        authenticator: Authenticator,
        settings: WebSocketSettings,
    ) -> Self {
        Self {
            api,
            functions,
            authenticator,
            connections: ConnectionRegistry::default(),
            settings,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Asks the authorizer, then `$connect`. Without these, everyone may connect.
    pub async fn connect(&self, handshake: &Handshake, mut info: ConnectionInfo) -> Result<Accepted, ConnectRefusal> {
        let request = RequestInfo::now();
        let (connection_id, request_id) = (info.id.clone(), request.id.clone());
        let refuse = |status: StatusCode, message: &str| ConnectRefusal {
            status,
            body: error_frame(message, &connection_id, &request_id),
        };
        if let Some(authorizer) = &self.api.authorizer {
            let decision = self.authorize(authorizer, handshake, &info, &request).await;
            let authorizer = decision.map_err(|refusal| refuse(refusal.status(), refusal.message()))?;
            info.authorizer = Some(authorizer);
        }
        let Some(route) = self.api.routes.get("$connect") else {
            return Ok(Accepted { info, subprotocol: None });
        };
        let context = info.connect_context(&self.api, &request);
        let event = handshake.connect_event(context, &self.api.stage_variables);
        let response = self.invoke_route(route, event).await;
        let response = response.map_err(|failure| refuse(failure.status(), failure.message()))?;
        match connect_decision(&response) {
            ConnectDecision::Accepted(subprotocol) => Ok(Accepted { info, subprotocol }),
            ConnectDecision::Refused(status) => Err(refuse(status, status.canonical_reason().unwrap_or(FORBIDDEN))),
            ConnectDecision::Malformed => Err(refuse(StatusCode::BAD_GATEWAY, INTERNAL_SERVER_ERROR)),
        }
    }

    /// Returns `requestContext.authorizer` of the connection's events.
    async fn authorize(
        &self,
        authorizer: &RequestAuthorizer,
        handshake: &Handshake,
        info: &ConnectionInfo,
        request: &RequestInfo,
    ) -> Result<Map<String, Value>, Refusal> {
        let WebSocketApi { id, stage, .. } = &self.api;
        let method_arn = format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{id}/{stage}/$connect");
        let context = info.connect_context(&self.api, request);
        let event = handshake.authorizer_event(context, &self.api.stage_variables, &method_arn);
        if !authorizer.identity_sources.iter().all(|source| source.has_value(handshake, &event)) {
            return Err(Refusal::Unauthorized);
        }
        let start = Instant::now();
        let response = self.invoke(&authorizer.function, AUTHORIZER_TIMEOUT, event).await;
        let response = response.map_err(|failure| match failure {
            InvocationFailure::Failed(InvokeError::Unhandled(error)) if error.message == UNAUTHORIZED => {
                Refusal::Unauthorized
            }
            InvocationFailure::Failed(_) | InvocationFailure::TimedOut => Refusal::AuthorizerFailed,
        })?;
        let mut context = evaluate_response(&response, &method_arn)?;
        let latency = u64::try_from(start.elapsed().as_millis()).unwrap_or_default();
        context.insert("integrationLatency".into(), json!(latency));
        Ok(context)
    }

    /// Invokes the function of a message's route. Returns the text that is sent to the client.
    pub async fn handle_message(&self, info: &ConnectionInfo, body: &str) -> Option<String> {
        let request = RequestInfo::now();
        let error = |message: &str| Some(error_frame(message, &info.id, &request.id));
        let Some((key, route)) = self.route_of(body) else { return error(FORBIDDEN) };
        let event = info.message_event(&self.api, &request, key, body);
        match self.invoke_route(route, event).await {
            Ok(response) if route.sends_response => match response_body(&response) {
                Some(text) if text.len() > MAX_MESSAGE_BYTES => error(INTERNAL_SERVER_ERROR),
                text => text.map(str::to_owned),
            },
            Ok(_) => None,
            Err(failure) => error(failure.message()),
        }
    }

    /// Begins the invocation of `$disconnect`, whose response does not count.
    pub fn disconnect(self: &Arc<Self>, info: &ConnectionInfo, cause: &CloseCause) {
        let Some(route) = self.api.routes.get("$disconnect").cloned() else { return };
        let event = info.disconnect_event(&self.api, &RequestInfo::now(), cause);
        let service = self.clone();
        self.tasks.spawn(async move { service.invoke_route(&route, event).await.ok() });
    }

    /// The route of a message, else `$default`.
    fn route_of(&self, body: &str) -> Option<(&str, &WebSocketRoute)> {
        let routes = &self.api.routes;
        let selected = route_key(&self.api.route_selection, body).and_then(|key| routes.get_key_value(&key));
        selected.or_else(|| routes.get_key_value("$default")).map(|(key, route)| (key.as_str(), route))
    }

    async fn invoke_route(&self, route: &WebSocketRoute, event: Value) -> Result<Value, InvocationFailure> {
        self.invoke(&route.function, route.timeout, event).await
    }

    /// The function goes on when the time is over.
    async fn invoke(&self, function: &str, limit: Duration, event: Value) -> Result<Value, InvocationFailure> {
        let invocation = self.functions.invoke(function, InvocationType::RequestResponse, event);
        let failure = match timeout(self.settings.scaled(limit), invocation).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => {
                tracing::warn!(function, %error, "a function of the WebSocket API failed");
                InvocationFailure::Failed(error)
            }
            Err(_) => {
                tracing::warn!(function, "a function of the WebSocket API did not return in time");
                InvocationFailure::TimedOut
            }
        };
        Err(failure)
    }
}
