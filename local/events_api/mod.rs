//! AppSync Events: channels over HTTP and WebSockets, as the template describes them.
//!
//! A request is authenticated (`identity`), allowed by the modes of its channel namespace and by IAM, and
//! handled by the namespace's code or function (`handlers`). What it leaves of the published events is
//! delivered to the subscriptions of the channel and of the wildcards above it (`subscriptions`).
mod channel;
mod connection;
mod events_error;
mod frames;
mod handlers;
mod http;
mod namespaces;
mod publish_input;
mod publish_outcome;
mod publish_rate;
mod service;
mod subscriptions;
mod websocket;

use std::sync::Arc;

use axum::{Router, middleware::map_response, routing::get};

pub use channel::is_segment as is_namespace_name;
use service::Service;

use crate::{
    graphql::{ApiDefinitionError, ApiSettings, DataSources, add_common_headers},
    identity::Authenticator,
    stack,
};

/// One API, ready to serve. Clones share it.
#[derive(Clone)]
pub struct EventsApi(Arc<Service>);

impl EventsApi {
    pub fn new(
        api: stack::EventsApi,
        sources: DataSources,
        authenticator: Authenticator,
        settings: ApiSettings,
    ) -> Result<Self, ApiDefinitionError> {
        Service::new(api, sources, authenticator, settings).map(|service| Self(Arc::new(service)))
    }

    /// Serves `/event` and `/event/realtime`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/event", http::routes())
            .route("/event/realtime", get(websocket::handle_upgrade))
            .layer(map_response(add_common_headers))
            .with_state(self.0.clone())
    }
}
