//! AppSync: one API as the template describes it, over HTTP (`graphql`) and WebSockets (`realtime`).
use std::{sync::Arc, time::Duration};

use axum::Router;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    graphql::{
        self, AcceptedSubscription, ApiDefinitionError, ApiSettings, CallContext, ConnectionHandle, DataSources,
        NewSubscription, Notification, QueuedNotification, Request, Service, SubscribeError, Subscription,
        forwarded_request,
    },
    identity::{AuthError, Authenticator, Caller},
    realtime,
    stack::Api,
};

/// How long `close_connections` waits for clients that do not answer a Close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// One API, ready to serve. Clones share it.
#[derive(Clone)]
pub struct AppSync(Arc<Service>);

impl AppSync {
    pub fn new(api: Api, data_sources: DataSources, authenticator: Authenticator) -> Result<Self, ApiDefinitionError> {
        Self::with_settings(api, data_sources, authenticator, ApiSettings::default())
    }

    pub fn with_settings(
        api: Api,
        data_sources: DataSources,
        authenticator: Authenticator,
        settings: ApiSettings,
    ) -> Result<Self, ApiDefinitionError> {
        Service::new(api, data_sources, authenticator, settings).map(|service| Self(Arc::new(service)))
    }

    /// Executes the body of a request for an authenticated caller and returns the body of the response. The
    /// response to a body that is not a GraphQL request is empty.
    pub async fn execute(&self, caller: Caller, body: &str) -> Result<Vec<u8>, AuthError> {
        let Some(request) = Request::parse(body) else { return Ok(Vec::new()) };
        let call = CallContext { caller, request: forwarded_request(&HeaderMap::new()) };
        let response = self.0.execute(&request, &call).await?;
        Ok(serde_json::to_vec(&response).unwrap_or_default())
    }

    /// Subscribes an authenticated caller without a WebSocket. Fails with the errors of the response if the
    /// subscription is refused.
    pub async fn subscribe(&self, caller: Caller, body: &str) -> Result<InProcessSubscription, Value> {
        let call = CallContext { caller, request: forwarded_request(&HeaderMap::new()) };
        let accepted = match Request::parse(body) {
            Some(request) => self.0.subscribe(&request, call).await,
            None => Err(SubscribeError::unparsable()),
        };
        match accepted {
            Ok(accepted) => Ok(InProcessSubscription::register(&self.0, accepted)),
            Err(SubscribeError::Errors(errors)) => Err(json!(errors)),
            Err(SubscribeError::Unauthorized(error)) => Err(json!([{ "errorType": error.error_type() }])),
        }
    }

    /// Closes every WebSocket. Returns when all are closed, at the latest after a few seconds.
    pub async fn close_connections(&self) {
        self.0.stopping.cancel();
        self.0.open_connections.close();
        drop(timeout(CLOSE_TIMEOUT, self.0.open_connections.wait()).await);
    }

    /// Serves `/graphql` and `/graphql/realtime`.
    pub fn router(&self) -> Router {
        let graphql = graphql::router(self.0.clone());
        graphql::with_common_headers(realtime::add_routes(graphql, self.0.clone()))
    }
}

/// A subscription without a WebSocket. Dropping it ends it.
pub struct InProcessSubscription {
    service: Arc<Service>,
    notifications: mpsc::Receiver<QueuedNotification<Subscription>>,
    /// Keeps the subscription in the registry.
    _connection: ConnectionHandle<Subscription>,
}

impl InProcessSubscription {
    fn register(service: &Arc<Service>, accepted: AcceptedSubscription) -> Self {
        let (connection, notifications) = service.subscriptions.connect();
        let new = NewSubscription {
            field: accepted.subscription.field.clone(),
            subscription: Arc::new(accepted.subscription),
            filter: accepted.filter,
            invalidation_filter: accepted.invalidation_filter,
        };
        connection.subscribe("in-process", new);
        Self { service: Arc::clone(service), notifications, _connection: connection }
    }

    /// The response with the next update, as the subscription selects it. `None` once the subscription is
    /// ended.
    pub async fn next_response(&mut self) -> Option<Value> {
        let QueuedNotification { subscription, notification, .. } = self.notifications.recv().await?;
        match notification {
            Notification::Payload(payload) => Some(json!(self.service.deliver(&subscription, &payload).await)),
            Notification::Invalidated => None,
        }
    }
}
