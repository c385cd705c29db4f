//! One API with everything that answers its requests.
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    definition_error::ApiDefinitionError,
    execution::{bindings::ResolverBindings, data_sources::DataSources},
    schema::Schema,
    subscriptions::{Subscription, registry::SubscriptionRegistry},
    validation::document_cache::DocumentCache,
};
use crate::{
    fault_injection::FaultInjector,
    identity::Authenticator,
    stack::{Api, Limits},
};

/// AppSync's limit on a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Timing and fault injection of an API; the default is AppSync's behaviour.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// The interval of keep-alive frames on an idle WebSocket.
    pub keep_alive: Duration,
    /// The longest duration of a request, and the longest duration in which its body may arrive.
    pub request_timeout: Duration,
    /// The longest duration in which a WebSocket client may accept a frame.
    pub send_timeout: Duration,
    /// AppSync's limit on the duration of a WebSocket connection: 24 hours by default.
    pub max_connection_age: Duration,
    /// The faults of notifications to subscribers.
    pub faults: FaultInjector,
}

/// One API, ready to answer requests.
pub(crate) struct Service {
    pub id: String,
    pub schema: Schema,
    pub documents: DocumentCache,
    pub bindings: ResolverBindings,
    pub data_sources: DataSources,
    pub authenticator: Authenticator,
    /// `ctx.env`.
    pub environment: Value,
    pub introspection: bool,
    pub limits: Limits,
    pub subscriptions: SubscriptionRegistry<Subscription>,
    pub settings: ApiSettings,
    /// Serializes the validation of large documents.
    pub large_documents: Semaphore,
    /// Cancelled when the server stops: every WebSocket is then closed.
    pub stopping: CancellationToken,
    /// One token for each open WebSocket.
    pub open_connections: TaskTracker,
}

impl Service {
    pub fn new(
        api: Api,
        data_sources: DataSources,
        authenticator: Authenticator,
        settings: ApiSettings,
    ) -> Result<Self, ApiDefinitionError> {
        let schema = Schema::load(&api.schema)?;
        let bindings = ResolverBindings::load(&api, &schema)?;
        Ok(Self {
            id: api.id,
            schema,
            documents: DocumentCache::default(),
            bindings,
            data_sources,
            authenticator,
            environment: json!(api.environment),
            introspection: api.introspection,
            limits: api.limits,
            subscriptions: SubscriptionRegistry::new(settings.faults.clone()),
            settings,
            large_documents: Semaphore::new(1),
            stopping: CancellationToken::new(),
            open_connections: TaskTracker::new(),
        })
    }
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            keep_alive: KEEP_ALIVE,
            request_timeout: REQUEST_TIMEOUT,
            send_timeout: SEND_TIMEOUT,
            max_connection_age: MAX_CONNECTION_AGE,
            faults: FaultInjector::default(),
        }
    }
}
