//! One WebSocket, from its handshake to its close.
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::extract::ws::{Message, WebSocket};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::Uri;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{
    credentials,
    frames::{self, ClientFrame, ServerFrame, Start},
};
use crate::{
    graphql::{
        Call, News, Registration, Rejection, Request, Seat, Service, Subscribed, Subscription, Update, headers_seen,
    },
    identity::{Denial, Presented},
};

/// AppSync's limits: subscriptions of a connection, its life, and the payload of an update.
const SUBSCRIPTIONS: usize = 200;
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const PAYLOAD_BYTES: usize = 240 * 1024;
/// How many starts of a connection are worked on at once. While there are as many, nothing more is heard of it.
const STARTS_AT_ONCE: usize = 32;

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub struct Peer {
    pub address: Option<IpAddr>,
}

/// The client is gone, or is to be.
struct Closed;

pub async fn serve(service: Arc<Service>, socket: WebSocket, peer: Peer, admitted: Result<(), Denial>) {
    let mut line = Line { socket, sending_time: service.settings.sending_time };
    match admitted {
        Ok(()) => {
            let (seat, updates) = service.hub.join();
            let mut connection = Connection {
                service,
                peer,
                seat,
                acknowledged: false,
                subscriptions: HashMap::new(),
                opening: FuturesUnordered::new(),
                starts: 0,
            };
            let Err(Closed) = connection.run(&mut line, updates).await;
        }
        Err(denial) => {
            let told = line.send(&ServerFrame::ConnectionError(denial)).await;
            tracing::debug!(?denial, told = told.is_ok(), "a WebSocket was refused");
        }
    }
    // The client may be gone already; then there is nobody to say goodbye to.
    line.say(Message::Close(None)).await.ok();
}

/// The way to a client, who has so much time to accept a frame.
struct Line {
    socket: WebSocket,
    sending_time: Duration,
}

impl Line {
    async fn send(&mut self, frame: &ServerFrame<'_>) -> Result<(), Closed> {
        self.say(Message::Text(frame.text().into())).await
    }

    async fn say(&mut self, message: Message) -> Result<(), Closed> {
        let said = timeout(self.sending_time, self.socket.send(message)).await;
        said.map_err(|_| Closed)?.map_err(|_| Closed)
    }
}

struct Connection {
    service: Arc<Service>,
    peer: Peer,
    seat: Seat<Subscription>,
    /// Whether the client has said `connection_init`; until then nothing else is heard.
    acknowledged: bool,
    /// By the client's id.
    subscriptions: HashMap<String, Place>,
    opening: FuturesUnordered<BoxFuture<'static, Opened>>,
    /// Numbers the starts: an id may be stopped and started again while its first start is still under way.
    starts: u64,
}

enum Place {
    Opening(u64),
    Open(Arc<Subscription>),
}

struct Opened {
    id: String,
    start: u64,
    outcome: Result<Subscribed, Rejection>,
}

impl Connection {
    async fn run(
        &mut self,
        line: &mut Line,
        mut updates: tokio::sync::mpsc::Receiver<Update<Subscription>>,
    ) -> Result<std::convert::Infallible, Closed> {
        let mut keep_alive = interval(self.service.settings.keep_alive);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let life = sleep(LIFE);
        tokio::pin!(life);
        loop {
            tokio::select! {
                heard = line.socket.recv(), if self.opening.len() < STARTS_AT_ONCE => {
                    self.hear(line, heard, &mut keep_alive).await?;
                },
                Some(opened) = self.opening.next() => self.opened(line, opened).await?,
                update = updates.recv() => self.pass_on(line, update.ok_or(Closed)?).await?,
                _ = keep_alive.tick(), if self.acknowledged => line.send(&ServerFrame::KeepAlive).await?,
                () = &mut life => return Err(Closed),
            }
        }
    }

    async fn hear(
        &mut self,
        line: &mut Line,
        heard: Option<Result<Message, axum::Error>>,
        keep_alive: &mut tokio::time::Interval,
    ) -> Result<(), Closed> {
        let text = match heard {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => return Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Closed),
        };
        match ClientFrame::read(&text) {
            ClientFrame::ConnectionInit => {
                self.acknowledged = true;
                keep_alive.reset_immediately();
                line.send(&ServerFrame::ConnectionAck).await
            }
            _ if !self.acknowledged => Ok(()),
            ClientFrame::Start { id, payload } => self.start(line, id, payload).await,
            ClientFrame::Stop { id } => self.stop(line, &id).await,
            ClientFrame::Unknown => {
                let errors =
                    frames::error("UnsupportedOperation", "unknown not supported through the realtime channel");
                line.send(&ServerFrame::Error { id: "", errors }).await
            }
        }
    }

    async fn start(&mut self, line: &mut Line, id: String, start: Start) -> Result<(), Closed> {
        if self.subscriptions.contains_key(&id) {
            let errors = frames::error("DuplicatedOperationError", format!("Duplicated operation with id {id}"));
            return line.send(&ServerFrame::Error { id: &id, errors }).await;
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS {
            let sentence = format!("Max number of {SUBSCRIPTIONS} subscriptions reached");
            let errors = frames::error("MaxSubscriptionsReachedError", sentence);
            return line.send(&ServerFrame::Error { id: &id, errors }).await;
        }
        self.starts += 1;
        self.subscriptions.insert(id.clone(), Place::Opening(self.starts));
        let (service, peer, number) = (self.service.clone(), self.peer, self.starts);
        self.opening
            .push(Box::pin(async move { Opened { id, start: number, outcome: open(&service, peer, &start).await } }));
        Ok(())
    }

    async fn stop(&mut self, line: &mut Line, id: &str) -> Result<(), Closed> {
        self.forget(id);
        line.send(&ServerFrame::Complete { id }).await
    }

    /// The subscription is known to the hub before the client hears of it, so nothing published from now on is missed.
    async fn opened(&mut self, line: &mut Line, Opened { id, start, outcome }: Opened) -> Result<(), Closed> {
        if !matches!(self.subscriptions.get(&id), Some(Place::Opening(number)) if *number == start) {
            return Ok(());
        }
        match outcome {
            Ok(subscribed) => {
                let subscription = Arc::new(subscribed.subscription);
                self.subscriptions.insert(id.clone(), Place::Open(subscription.clone()));
                let registration = Registration {
                    subscription: subscription.clone(),
                    field: subscription.field.clone(),
                    filter: subscribed.filter,
                    invalidation: subscribed.invalidation,
                };
                self.seat.subscribe(&id, registration);
                line.send(&ServerFrame::StartAck { id: &id }).await?;
                self.deliver(line, &id, &subscription, &subscribed.initial).await
            }
            Err(rejection) => {
                self.subscriptions.remove(&id);
                let errors = match rejection {
                    Rejection::Denied(denial) => frames::denied(denial),
                    Rejection::Errors(errors) => frames::of_graphql(&errors),
                };
                line.send(&ServerFrame::Error { id: &id, errors }).await
            }
        }
    }

    async fn pass_on(&mut self, line: &mut Line, update: Update<Subscription>) -> Result<(), Closed> {
        let current = self.subscriptions.get(&*update.id);
        if !matches!(current, Some(Place::Open(current)) if Arc::ptr_eq(current, &update.subscription)) {
            return Ok(());
        }
        match update.news {
            News::Payload(payload) => self.deliver(line, &update.id, &update.subscription, &payload).await,
            News::Invalidated => {
                self.forget(&update.id);
                line.send(&ServerFrame::Invalidated { id: &update.id }).await?;
                Err(Closed)
            }
        }
    }

    async fn deliver(
        &mut self,
        line: &mut Line,
        id: &str,
        subscription: &Subscription,
        payload: &Value,
    ) -> Result<(), Closed> {
        if payload.is_null() {
            return Ok(());
        }
        let answer = self.service.deliver(subscription, payload).await;
        let frame = ServerFrame::Data { id, answer: &answer }.text();
        if frame.len() > PAYLOAD_BYTES {
            let (field, bytes) = (&subscription.field, frame.len());
            tracing::warn!(field, bytes, "an update of more than {PAYLOAD_BYTES} bytes is dropped, silently on AWS");
            return Ok(());
        }
        line.say(Message::Text(frame.into())).await
    }

    fn forget(&mut self, id: &str) {
        self.subscriptions.remove(id);
        self.seat.unsubscribe(id);
    }
}

async fn open(service: &Service, peer: Peer, start: &Start) -> Result<Subscribed, Rejection> {
    let headers = credentials::of_json(&start.extensions.authorization).map_err(Rejection::Denied)?;
    let uri = Uri::from_static("/graphql");
    let presented = Presented {
        method: "POST",
        uri: &uri,
        headers: &headers,
        body: start.data.as_bytes(),
        peer: peer.address,
        now: SystemTime::now(),
    };
    let caller = service.directory.caller(&presented).await.map_err(Rejection::Denied)?;
    let request = Request::read(&start.data).ok_or_else(Rejection::unparsable)?;
    service.subscribe(&request, Call { caller, request: headers_seen(&headers) }).await
}
