//! One WebSocket connection, from its handshake to its close.
use std::{collections::HashMap, convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::extract::ws::WebSocket;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::{HeaderMap, Uri};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use super::{
    channel::ChannelPattern,
    events_error::{ErrorEntry, EventsError},
    frames::{ClientFrame, ServerFrame, signed_subscribe_body},
    publish_input::{InputError, PublishInput},
    publish_outcome::PublishOutcome,
    publish_rate::PublishRate,
    service::{Requester, Service},
    subscriptions::{ConnectionHandle, QueuedEvent},
};
use crate::{
    identity::AuthRequest,
    realtime::{
        client_socket::{ClientSocket, Closed},
        credentials,
    },
};

/// AppSync's limit on the subscriptions of a connection.
const MAX_SUBSCRIPTIONS: usize = 200;
/// AppSync's limit on a subscribe frame.
const MAX_SUBSCRIBE_BYTES: usize = 240 * 1024;
/// The number of operations of a connection that are handled concurrently. While it is reached, no frame of
/// the client is read.
const MAX_PENDING_OPERATIONS: usize = 32;
/// How long a refused client may take to send its `connection_init`, which the error answers.
const REFUSED_CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a WebSocket until it is closed. A refused handshake is answered by its error and a normal close.
pub async fn serve(service: Arc<Service>, socket: WebSocket, peer: Option<IpAddr>, handshake: Result<(), ErrorEntry>) {
    let _open = service.open_connections.token();
    let mut socket = ClientSocket { socket, send_timeout: service.settings.send_timeout };
    let closed = match handshake {
        Ok(()) => {
            let (registered, events) = service.subscriptions.connect();
            let mut connection = Connection {
                service,
                peer,
                registered,
                subscriptions: HashMap::new(),
                pending: FuturesUnordered::new(),
                publish_rate: PublishRate::default(),
            };
            let Err(closed) = connection.run(&mut socket, events).await;
            closed
        }
        Err(entry) => refuse(&mut socket, &entry).await,
    };
    socket.close(closed).await;
}

async fn refuse(socket: &mut ClientSocket, entry: &ErrorEntry) -> Closed {
    drop(timeout(REFUSED_CLIENT_TIMEOUT, socket.socket.recv()).await);
    let sent = socket.send_text(ServerFrame::ConnectionError(entry).to_json()).await;
    tracing::debug!(?entry, sent = sent.is_ok(), "a WebSocket of the Events API was refused");
    sent.err().unwrap_or(Closed::EventsHandshakeRefused)
}

struct Connection {
    service: Arc<Service>,
    peer: Option<IpAddr>,
    /// Keeps the connection in the subscription registry.
    registered: ConnectionHandle,
    /// By the client's id.
    subscriptions: HashMap<String, SubscriptionState>,
    pending: FuturesUnordered<BoxFuture<'static, FinishedOperation>>,
    publish_rate: PublishRate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriptionState {
    /// Its handler runs.
    Pending,
    /// With its number in the registry.
    Active(u64),
}

enum FinishedOperation {
    Subscribe { id: String, result: Result<ChannelPattern, EventsError> },
    Publish { id: String, result: Result<PublishOutcome, EventsError> },
}

impl Connection {
    async fn run(
        &mut self,
        socket: &mut ClientSocket,
        mut events: mpsc::Receiver<QueuedEvent>,
    ) -> Result<Infallible, Closed> {
        let period = self.service.settings.keep_alive;
        let mut keep_alive = interval_at(Instant::now() + period, period);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end_of_life = sleep(self.service.settings.max_connection_age);
        tokio::pin!(end_of_life);
        let stopping = self.service.stopping.clone();
        loop {
            tokio::select! {
                text = socket.receive_text(), if self.pending.len() < MAX_PENDING_OPERATIONS => {
                    self.handle_text(socket, &text?).await?;
                },
                Some(finished) = self.pending.next() => self.finish(socket, finished).await?,
                queued = events.recv() => self.deliver(socket, queued.ok_or(Closed::Disconnected)?).await?,
                _ = keep_alive.tick() => socket.send_text(ServerFrame::KeepAlive.to_json()).await?,
                () = &mut end_of_life => return Err(Closed::TooOld),
                () = stopping.cancelled() => return Err(Closed::ServerStops),
            }
        }
    }

    async fn handle_text(&mut self, socket: &mut ClientSocket, text: &str) -> Result<(), Closed> {
        let reply = match ClientFrame::parse(text) {
            ClientFrame::ConnectionInit => Some(ServerFrame::ConnectionAck.to_json()),
            ClientFrame::Subscribe { id, .. } if text.len() > MAX_SUBSCRIBE_BYTES => {
                Some(ServerFrame::SubscribeError { id: &id, error: &EventsError::SubscribeTooLarge }.to_json())
            }
            ClientFrame::Subscribe { id, channel, authorization } => self.subscribe(id, channel, authorization),
            ClientFrame::Unsubscribe { id } => self.unsubscribe(&id),
            ClientFrame::Publish { id, input, authorization } => self.publish(id, input, authorization),
            ClientFrame::InvalidId { id } => {
                Some(ServerFrame::Error { id: id.as_deref(), error: &EventsError::InvalidId }.to_json())
            }
            ClientFrame::Unknown => {
                Some(ServerFrame::Error { id: None, error: &EventsError::UnknownOperation }.to_json())
            }
        };
        match reply {
            Some(reply) => socket.send_text(reply).await,
            None => Ok(()),
        }
    }

    /// Begins a subscription. Returns the frame that refuses it at once.
    fn subscribe(&mut self, id: String, channel: Option<String>, authorization: Value) -> Option<String> {
        let error = if self.subscriptions.contains_key(&id) {
            Some(EventsError::DuplicateId { id: id.clone() })
        } else if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            Some(EventsError::TooManySubscriptions { limit: MAX_SUBSCRIPTIONS })
        } else {
            None
        };
        if let Some(error) = error {
            return Some(ServerFrame::SubscribeError { id: &id, error: &error }.to_json());
        }
        self.subscriptions.insert(id.clone(), SubscriptionState::Pending);
        let (service, peer) = (self.service.clone(), self.peer);
        let operation = async move {
            let result = subscribe(&service, peer, channel, &authorization).await;
            FinishedOperation::Subscribe { id, result }
        };
        self.pending.push(operation.boxed());
        None
    }

    /// AppSync ignores an unsubscribe that arrives before the subscription is acknowledged.
    fn unsubscribe(&mut self, id: &str) -> Option<String> {
        match self.subscriptions.get(id) {
            Some(SubscriptionState::Pending) => None,
            Some(SubscriptionState::Active(_)) => {
                self.subscriptions.remove(id);
                self.registered.unsubscribe(id);
                Some(ServerFrame::UnsubscribeSuccess { id }.to_json())
            }
            None => {
                let error = EventsError::UnknownId { id: id.to_owned() };
                Some(ServerFrame::UnsubscribeError { id, error: &error }.to_json())
            }
        }
    }

    /// Begins a publish. Returns the frame that refuses it at once.
    fn publish(&mut self, id: String, input: Result<PublishInput, InputError>, authorization: Value) -> Option<String> {
        if !self.publish_rate.admits(Instant::now()) {
            return Some(ServerFrame::PublishError { id: &id, error: &EventsError::RateExceeded }.to_json());
        }
        let (service, peer) = (self.service.clone(), self.peer);
        let operation = async move {
            let result = publish(&service, peer, input, &authorization).await;
            FinishedOperation::Publish { id, result }
        };
        self.pending.push(operation.boxed());
        None
    }

    async fn finish(&mut self, socket: &mut ClientSocket, finished: FinishedOperation) -> Result<(), Closed> {
        match finished {
            FinishedOperation::Publish { id, result: Ok(outcome) } => {
                socket.send_text(ServerFrame::PublishSuccess { id: &id, outcome: &outcome }.to_json()).await
            }
            FinishedOperation::Publish { id, result: Err(error) } => {
                socket.send_text(ServerFrame::PublishError { id: &id, error: &error }.to_json()).await
            }
            FinishedOperation::Subscribe { id, result: Ok(pattern) } => {
                let number = self.registered.subscribe(&id, &pattern).ok_or(Closed::Disconnected)?;
                let frame = ServerFrame::SubscribeSuccess { id: &id }.to_json();
                self.subscriptions.insert(id, SubscriptionState::Active(number));
                socket.send_text(frame).await
            }
            FinishedOperation::Subscribe { id, result: Err(error) } => {
                self.subscriptions.remove(&id);
                socket.send_text(ServerFrame::SubscribeError { id: &id, error: &error }.to_json()).await
            }
        }
    }

    /// Ignores an event of a subscription that the client has ended.
    async fn deliver(&mut self, socket: &mut ClientSocket, queued: QueuedEvent) -> Result<(), Closed> {
        let QueuedEvent { client_id, subscription, event } = queued;
        if self.subscriptions.get(&*client_id) != Some(&SubscriptionState::Active(subscription)) {
            return Ok(());
        }
        let frame = match &event {
            Some(event) => ServerFrame::Data { id: &client_id, event },
            None => ServerFrame::BroadcastError { id: &client_id, error: &EventsError::NotProcessed },
        };
        socket.send_text(frame.to_json()).await
    }
}

/// Authenticates a subscribe frame and runs the handler of its namespace.
async fn subscribe(
    service: &Service,
    peer: Option<IpAddr>,
    channel: Option<String>,
    authorization: &Value,
) -> Result<ChannelPattern, EventsError> {
    let channel = channel.ok_or(InputError::ChannelMissing)?;
    let requester = authenticate(service, peer, authorization, &signed_subscribe_body(&channel)).await?;
    let pattern = ChannelPattern::parse(&channel).ok_or(InputError::ChannelInvalid)?;
    service.authorize_subscription(&requester, &pattern).await?;
    Ok(pattern)
}

async fn publish(
    service: &Service,
    peer: Option<IpAddr>,
    input: Result<PublishInput, InputError>,
    authorization: &Value,
) -> Result<PublishOutcome, EventsError> {
    let input = input?;
    let requester = authenticate(service, peer, authorization, &input.signed_body()).await?;
    service.publish(&requester, input.validate()?).await
}

/// Authenticates a frame by its `authorization`. Clients sign it as a POST of `body` to `/event`.
async fn authenticate(
    service: &Service,
    peer: Option<IpAddr>,
    authorization: &Value,
    body: &str,
) -> Result<Requester, EventsError> {
    let headers = credentials::from_json(authorization)?;
    authenticate_headers(service, peer, &headers, body).await
}

/// As `authenticate`, with the headers of a handshake, for example.
pub async fn authenticate_headers(
    service: &Service,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    body: &str,
) -> Result<Requester, EventsError> {
    let uri = Uri::from_static("/event");
    let auth_request = AuthRequest::unsent_post(&uri, headers, body.as_bytes(), peer);
    let caller = service.authenticator.authenticate(&auth_request).await?;
    Ok(Requester::new(caller, headers))
}
