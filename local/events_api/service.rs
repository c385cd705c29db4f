//! The operations of an Events API: connecting, publishing, subscribing.
use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    channel::ChannelPattern,
    events_error::EventsError,
    handlers::{self, Decision, HandlerCall},
    namespaces::{self, Namespace, NamespaceHandler},
    publish_input::PublishRequest,
    publish_outcome::{PublishOutcome, SizeCheck, context_events},
    subscriptions::SubscriptionRegistry,
};
use crate::{
    graphql::{ApiDefinitionError, ApiSettings, DataSources, forwarded_request},
    identity::{AuthError, Authenticator, Caller},
    lambda::InvocationType,
    resolver::ChannelHandler,
    stack::{AuthMode, EventsApi},
};

/// One API, ready to answer requests.
pub struct Service {
    id: String,
    connection_modes: Vec<AuthMode>,
    namespaces: BTreeMap<String, Namespace>,
    sources: DataSources,
    pub authenticator: Authenticator,
    pub subscriptions: SubscriptionRegistry,
    pub settings: ApiSettings,
    /// Cancelled when the server stops: every WebSocket is then closed.
    pub stopping: CancellationToken,
    /// One token for each open WebSocket.
    pub open_connections: TaskTracker,
}

/// An authenticated caller with the headers of its request.
pub struct Requester {
    pub caller: Caller,
    /// `ctx.request` of handlers.
    request: Value,
}

impl Requester {
    pub fn new(caller: Caller, headers: &HeaderMap) -> Self {
        Self { caller, request: forwarded_request(headers) }
    }
}

impl Service {
    pub fn new(
        api: EventsApi,
        sources: DataSources,
        authenticator: Authenticator,
        settings: ApiSettings,
    ) -> Result<Self, ApiDefinitionError> {
        Ok(Self {
            namespaces: namespaces::load(&api)?,
            id: api.id,
            connection_modes: api.connection_modes,
            sources,
            authenticator,
            subscriptions: SubscriptionRegistry::new(settings.faults.clone()),
            settings,
            stopping: CancellationToken::new(),
            open_connections: TaskTracker::new(),
        })
    }

    pub fn authorize_connection(&self, caller: &Caller) -> Result<(), EventsError> {
        check_mode(caller, &self.connection_modes)?;
        check_policies(caller, "appsync:EventConnect", &self.id)
    }

    /// Runs the handler of the namespace and queues what it leaves of the events for the subscribers.
    pub async fn publish(&self, requester: &Requester, request: PublishRequest) -> Result<PublishOutcome, EventsError> {
        let PublishRequest { channel, events } = request;
        let Requester { caller, request } = requester;
        let namespace = self.namespaces.get(channel.namespace()).ok_or(EventsError::ModeNotAllowed)?;
        check_mode(caller, &namespace.publish_modes)?;
        check_policies(caller, "appsync:EventPublish", &self.namespace_resource(channel.namespace()))?;

        let handler = &namespace.on_publish;
        let (outcome, events) = PublishOutcome::begin(events, size_check(handler), || Uuid::new_v4().to_string());
        let call = HandlerCall {
            handler: ChannelHandler::OnPublish,
            path: channel.path(),
            identity: caller.identity(),
            request,
            events: context_events(&events),
            deadline: self.deadline(),
        };
        let decision =
            if events.is_empty() { Decision::Accepted } else { handlers::run(handler, &self.sources, call).await? };
        let outcome = match decision {
            Decision::Accepted => outcome.broadcast_unchanged(events),
            Decision::Returned(returned) => outcome.broadcast_returned(&events, &returned).map_err(|reason| {
                tracing::warn!(channel = channel.path(), reason, "the result of an onPublish handler is not accepted");
                EventsError::HandlerFailed
            })?,
        };
        for event in &outcome.broadcast {
            self.subscriptions.publish(&channel, event);
        }
        Ok(outcome)
    }

    /// Decides whether the caller may subscribe.
    pub async fn authorize_subscription(
        &self,
        requester: &Requester,
        pattern: &ChannelPattern,
    ) -> Result<(), EventsError> {
        let Requester { caller, request } = requester;
        let namespace = self.namespaces.get(pattern.namespace()).ok_or(EventsError::NamespaceNotFound)?;
        check_mode(caller, &namespace.subscribe_modes)?;
        check_policies(caller, "appsync:EventSubscribe", &self.namespace_resource(pattern.namespace()))?;
        let call = HandlerCall {
            handler: ChannelHandler::OnSubscribe,
            path: pattern.path(),
            identity: caller.identity(),
            request,
            events: Value::Null,
            deadline: self.deadline(),
        };
        handlers::run(&namespace.on_subscribe, &self.sources, call).await.map(drop)
    }

    fn namespace_resource(&self, namespace: &str) -> String {
        format!("{}/channelNamespace/{namespace}", self.id)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.request_timeout
    }
}

fn check_mode(caller: &Caller, allowed: &[AuthMode]) -> Result<(), EventsError> {
    if allowed.contains(&caller.mode()) { Ok(()) } else { Err(EventsError::ModeNotAllowed) }
}

fn check_policies(caller: &Caller, action: &str, resource: &str) -> Result<(), EventsError> {
    if caller.may_perform(action, resource) { Ok(()) } else { Err(AuthError::PermissionMissing.into()) }
}

fn size_check(handler: &NamespaceHandler) -> SizeCheck {
    match handler {
        NamespaceHandler::None | NamespaceHandler::Direct(_, InvocationType::Event) => SizeCheck::Now,
        _ => SizeCheck::AfterHandler,
    }
}
