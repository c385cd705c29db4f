//! One WebSocket connection, from its handshake to its close.
use std::{collections::HashMap, convert::Infallible, net::IpAddr, sync::Arc};

use axum::extract::ws::WebSocket;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::Uri;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval, sleep},
};

use super::{
    client_socket::{ClientSocket, Closed},
    credentials,
    frames::{self, ClientFrame, HandshakeError, ServerFrame, StartPayload},
};
use crate::{
    graphql::{
        AcceptedSubscription, CallContext, ConnectionHandle, NewSubscription, Notification, QueuedNotification,
        Request, Service, SubscribeError, Subscription, forwarded_request,
    },
    identity::AuthRequest,
};

/// AppSync's limit on the subscriptions of a connection.
const MAX_SUBSCRIPTIONS: usize = 200;
/// AppSync's limit on the payload of a data frame.
const MAX_PAYLOAD_BYTES: usize = 240 * 1024;
/// The number of start frames of a connection that are handled concurrently. While it is reached, no frame of
/// the client is read.
const MAX_PENDING_STARTS: usize = 32;

/// Serves a WebSocket until it is closed. Sends the error and closes at once if the handshake is refused.
pub async fn serve(
    service: Arc<Service>,
    socket: WebSocket,
    peer: Option<IpAddr>,
    handshake: Result<(), HandshakeError>,
) {
    let _open = service.open_connections.token();
    let mut socket = ClientSocket { socket, send_timeout: service.settings.send_timeout };
    let closed = match handshake {
        Ok(()) => {
            let (registered, notifications) = service.subscriptions.connect();
            let mut connection = Connection {
                service,
                peer,
                registered,
                sends_keep_alives: false,
                subscriptions: HashMap::new(),
                pending_starts: FuturesUnordered::new(),
                start_count: 0,
            };
            let Err(closed) = connection.run(&mut socket, notifications).await;
            closed
        }
        Err(error) => {
            let sent = socket.send_text(ServerFrame::ConnectionError(error).to_json()).await;
            tracing::debug!(?error, sent = sent.is_ok(), "a WebSocket was refused");
            sent.err().unwrap_or(Closed::HandshakeRefused)
        }
    };
    socket.close(closed).await;
}

struct Connection {
    service: Arc<Service>,
    peer: Option<IpAddr>,
    /// Keeps the connection in the subscription registry.
    registered: ConnectionHandle<Subscription>,
    /// Whether the client has sent `connection_init`, which AWS documents as optional, or a start.
    sends_keep_alives: bool,
    /// By the client's id.
    subscriptions: HashMap<String, SubscriptionState>,
    pending_starts: FuturesUnordered<BoxFuture<'static, FinishedStart>>,
    start_count: u64,
}

enum SubscriptionState {
    /// The start with this number is pending. A client may stop an id and start it again while its first
    /// start is pending; the number tells the two starts apart.
    Starting(u64),
    Active(Arc<Subscription>),
}

struct FinishedStart {
    id: String,
    number: u64,
    result: Result<AcceptedSubscription, SubscribeError>,
}

impl Connection {
    async fn run(
        &mut self,
        socket: &mut ClientSocket,
        mut notifications: mpsc::Receiver<QueuedNotification<Subscription>>,
    ) -> Result<Infallible, Closed> {
        let mut keep_alive = interval(self.service.settings.keep_alive);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end_of_life = sleep(self.service.settings.max_connection_age);
        tokio::pin!(end_of_life);
        let stopping = self.service.stopping.clone();
        loop {
            tokio::select! {
                text = socket.receive_text(), if self.pending_starts.len() < MAX_PENDING_STARTS => {
                    self.handle_text(socket, &text?, &mut keep_alive).await?;
                },
                Some(finished) = self.pending_starts.next() => self.finish_start(socket, finished).await?,
                queued = notifications.recv() => {
                    self.handle_notification(socket, queued.ok_or(Closed::Disconnected)?).await?;
                },
                _ = keep_alive.tick(), if self.sends_keep_alives => socket.send_text(ServerFrame::KeepAlive.to_json()).await?,
                () = &mut end_of_life => return Err(Closed::TooOld),
                () = stopping.cancelled() => return Err(Closed::ServerStops),
            }
        }
    }

    async fn handle_text(
        &mut self,
        socket: &mut ClientSocket,
        text: &str,
        keep_alive: &mut Interval,
    ) -> Result<(), Closed> {
        match ClientFrame::parse(text) {
            ClientFrame::ConnectionInit => {
                self.sends_keep_alives = true;
                keep_alive.reset_immediately();
                socket.send_text(ServerFrame::ConnectionAck.to_json()).await
            }
            ClientFrame::Start { id, payload } => {
                if !self.sends_keep_alives {
                    self.sends_keep_alives = true;
                    keep_alive.reset();
                }
                self.start(socket, id, payload).await
            }
            ClientFrame::Stop { id } => self.stop(socket, &id).await,
            ClientFrame::Unknown => {
                let message = "unknown not supported through the realtime channel";
                let errors = frames::error_entries("UnsupportedOperation", message);
                socket.send_text(ServerFrame::Error { id: None, errors }.to_json()).await
            }
        }
    }

    async fn start(&mut self, socket: &mut ClientSocket, id: String, payload: StartPayload) -> Result<(), Closed> {
        if self.subscriptions.contains_key(&id) {
            let message = format!("Duplicated operation with id {id}");
            let errors = frames::error_entries("DuplicatedOperationError", message);
            return socket.send_text(ServerFrame::Error { id: Some(&id), errors }.to_json()).await;
        }
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            let message = format!("Max number of {MAX_SUBSCRIPTIONS} subscriptions reached");
            let errors = frames::error_entries("MaxSubscriptionsReachedError", message);
            return socket.send_text(ServerFrame::Error { id: Some(&id), errors }.to_json()).await;
        }
        self.start_count += 1;
        self.subscriptions.insert(id.clone(), SubscriptionState::Starting(self.start_count));
        let (service, peer, number) = (self.service.clone(), self.peer, self.start_count);
        self.pending_starts.push(Box::pin(async move {
            let result = subscribe(&service, peer, &payload).await;
            FinishedStart { id, number, result }
        }));
        Ok(())
    }

    async fn stop(&mut self, socket: &mut ClientSocket, id: &str) -> Result<(), Closed> {
        self.remove_subscription(id);
        socket.send_text(ServerFrame::Complete { id }.to_json()).await
    }

    /// Acknowledges a subscription or reports its error. Ignores a start that the client has stopped.
    async fn finish_start(&mut self, socket: &mut ClientSocket, finished: FinishedStart) -> Result<(), Closed> {
        let FinishedStart { id, number, result } = finished;
        match self.subscriptions.get(&id) {
            Some(SubscriptionState::Starting(current)) if *current == number => {}
            _ => return Ok(()),
        }
        match result {
            Ok(accepted) => self.activate(socket, id, accepted).await,
            Err(error) => {
                self.subscriptions.remove(&id);
                let errors = match error {
                    SubscribeError::Unauthorized(error) => frames::auth_error_entries(error),
                    SubscribeError::Errors(errors) => frames::graphql_error_entries(&errors),
                };
                socket.send_text(ServerFrame::Error { id: Some(&id), errors }.to_json()).await
            }
        }
    }

    /// Registers the subscription before it is acknowledged, so that the client receives everything published
    /// after the acknowledgement.
    async fn activate(
        &mut self,
        socket: &mut ClientSocket,
        id: String,
        accepted: AcceptedSubscription,
    ) -> Result<(), Closed> {
        let subscription = Arc::new(accepted.subscription);
        self.subscriptions.insert(id.clone(), SubscriptionState::Active(subscription.clone()));
        let new = NewSubscription {
            subscription: subscription.clone(),
            field: subscription.field.clone(),
            filter: accepted.filter,
            invalidation_filter: accepted.invalidation_filter,
        };
        self.registered.subscribe(&id, new);
        socket.send_text(ServerFrame::StartAck { id: &id }.to_json()).await?;
        self.deliver(socket, &id, &subscription, &accepted.initial_payload).await
    }

    /// Ignores a notification of a subscription that the client has stopped.
    async fn handle_notification(
        &mut self,
        socket: &mut ClientSocket,
        queued: QueuedNotification<Subscription>,
    ) -> Result<(), Closed> {
        let QueuedNotification { client_id, subscription, notification } = queued;
        match self.subscriptions.get(&*client_id) {
            Some(SubscriptionState::Active(active)) if Arc::ptr_eq(active, &subscription) => {}
            _ => return Ok(()),
        }
        match notification {
            Notification::Payload(payload) => self.deliver(socket, &client_id, &subscription, &payload).await,
            Notification::Invalidated => {
                self.remove_subscription(&client_id);
                socket.send_text(ServerFrame::Invalidated { id: &client_id }.to_json()).await?;
                Err(Closed::SubscriptionInvalidated)
            }
        }
    }

    /// Sends the subscription's selection of a payload. Drops a payload that is null or too large.
    async fn deliver(
        &mut self,
        socket: &mut ClientSocket,
        id: &str,
        subscription: &Subscription,
        payload: &Value,
    ) -> Result<(), Closed> {
        if payload.is_null() {
            return Ok(());
        }
        let response = self.service.deliver(subscription, payload).await;
        let frame = ServerFrame::Data { id, response: &response }.to_json();
        if frame.len() > MAX_PAYLOAD_BYTES {
            let (field, bytes) = (&subscription.field, frame.len());
            tracing::warn!(
                field,
                bytes,
                "an update of more than {MAX_PAYLOAD_BYTES} bytes is dropped, silently on AWS"
            );
            return Ok(());
        }
        socket.send_text(frame).await
    }

    fn remove_subscription(&mut self, id: &str) {
        self.subscriptions.remove(id);
        self.registered.unsubscribe(id);
    }
}

/// Authenticates a start frame and runs its subscription's resolver.
async fn subscribe(
    service: &Service,
    peer: Option<IpAddr>,
    payload: &StartPayload,
) -> Result<AcceptedSubscription, SubscribeError> {
    let headers = credentials::from_json(&payload.authorization).map_err(SubscribeError::Unauthorized)?;
    let uri = Uri::from_static("/graphql");
    let auth_request = AuthRequest::unsent_post(&uri, &headers, payload.data.as_bytes(), peer);
    let caller = service.authenticator.authenticate(&auth_request).await.map_err(SubscribeError::Unauthorized)?;
    let request = Request::parse(&payload.data).ok_or_else(SubscribeError::unparsable)?;
    service.subscribe(&request, CallContext { caller, request: forwarded_request(&headers) }).await
}
