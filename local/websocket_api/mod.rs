//! API Gateway's WebSocket API: routes to functions, and `@connections`, as the template describes them.
//!
//! An upgrade waits for the authorizer and for `$connect` (`upgrade`). Each message of an open connection
//! invokes the function of its route (`connection`, `service`); functions send messages to clients by
//! `@connections` (`management`).
mod authorization;
mod close_cause;
mod connection;
mod error_frame;
mod handshake;
mod ids;
mod management;
mod proxy_response;
mod registry;
mod request_context;
mod route_selection;
mod service;
mod upgrade;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use tokio::time::timeout;

pub use authorization::{IdentitySource, Refusal, evaluate_response};
pub use proxy_response::{ConnectDecision, connect_decision};
pub use route_selection::{parse_selection_expression, route_key};
use service::Service;

use crate::{fault_injection::FaultInjector, graphql::FunctionBackend, identity::Authenticator, stack};

/// How long connections may take to close when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The timing of an API; the default is API Gateway's.
#[derive(Clone, Debug)]
pub struct WebSocketSettings {
    /// Length of a second of API Gateway's limits on time, in seconds.
    pub time_scale: f64,
    /// The longest duration in which a client may accept a message.
    pub send_timeout: Duration,
    /// The longest duration in which a body of `@connections` may arrive.
    pub request_timeout: Duration,
    pub faults: FaultInjector,
}

/// One API, ready to serve. Clones share it.
#[derive(Clone)]
pub struct WebSocketApi(Arc<Service>);

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            send_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            faults: FaultInjector::default(),
        }
    }
}

impl WebSocketSettings {
    /// One of API Gateway's limits on time, in local time.
    pub fn scaled(&self, limit: Duration) -> Duration {
        Duration::try_from_secs_f64(limit.as_secs_f64() * self.time_scale).unwrap_or(limit)
    }
}

impl WebSocketApi {
    /// The functions of its routes run in `functions`.
    pub fn new(
        api: stack::WebSocketApi,
        functions: impl FunctionBackend + 'static,
        authenticator: Authenticator,
        settings: WebSocketSettings,
    ) -> Self {
        Self(Arc::new(Service::new(api, Arc::new(functions), authenticator, settings)))
    }

    /// Serves `/ws/STAGE` and `/STAGE/@connections/ID`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/ws/{stage}", get(upgrade::handle_upgrade))
            .merge(management::routes())
            .with_state(self.0.clone())
    }

    /// Closes every connection, and lets the invocations of `$disconnect` end.
    pub async fn stop(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        drop(timeout(STOP_TIMEOUT, self.0.tasks.wait()).await);
    }
}
