//! The connection's task: carries out the effects of the state machine with a real socket, clock and jitter.
use std::{
    collections::HashMap,
    future::pending,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{FutureExt, SinkExt, StreamExt, channel::mpsc::UnboundedReceiver, future::BoxFuture};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{ClientRequestBuilder, Message, client::IntoClientRequest, handshake::client::Request},
};

use super::{
    connection::{Connection, Effect},
    frames::{ClientFrame, ServerFrame},
    signal_queue::Sender,
};
use crate::{
    credentials::{Credentials, CredentialsProvider},
    endpoint::Endpoint,
    errors::Error,
};

/// How long opening a socket, or sending one frame, may take.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) enum Command {
    Subscribe { id: String, operation: String, signals: Sender },
    Unsubscribe { id: String },
}

pub(super) struct Connector {
    pub endpoint: Endpoint,
    pub credentials: Arc<dyn CredentialsProvider>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

enum Link {
    Closed,
    Opening(BoxFuture<'static, Option<Box<Socket>>>),
    Open(Box<Socket>),
}

enum LinkEvent {
    Opened(Box<Socket>),
    Frame(ServerFrame),
    Lost,
}

/// Why an effect was not carried out.
enum EffectError {
    /// The socket is lost; another one may succeed.
    SocketLost,
    /// The handshake or the credentials of a frame cannot be built.
    Handshake(Error),
}

impl From<Error> for EffectError {
    fn from(error: Error) -> Self {
        // A provider of credentials that cannot be reached now.
        if error.is_transient() { Self::SocketLost } else { Self::Handshake(error) }
    }
}

/// Runs until every sender of commands is dropped.
pub(super) async fn run(connector: Connector, mut commands: UnboundedReceiver<Command>) {
    let mut connection = Connection::new();
    let mut link = Link::Closed;
    let mut owners = HashMap::new();
    loop {
        while let Some(effect) = connection.poll_effect() {
            if let Err(error) = carry_out(effect, &connector, &mut link, &mut owners).await {
                link = Link::Closed;
                match error {
                    EffectError::SocketLost => connection.on_socket_lost(jitter(), Instant::now()),
                    EffectError::Handshake(error) => connection.on_handshake_error(&error),
                }
            }
        }
        tokio::select! {
            command = commands.next() => match command {
                Some(command) => handle_command(command, &mut connection, &mut owners),
                None => return,
            },
            event = link.next_event() => handle_link_event(event, &mut connection, &mut link),
            () = sleep_until(connection.wake_at()) => connection.advance(jitter(), Instant::now()),
        }
    }
}

fn handle_command(command: Command, connection: &mut Connection, owners: &mut HashMap<String, Sender>) {
    match command {
        Command::Subscribe { id, operation, signals } => {
            owners.insert(id.clone(), signals);
            connection.subscribe(id, operation, Instant::now());
        }
        Command::Unsubscribe { id } => {
            owners.remove(&id);
            connection.unsubscribe(&id);
        }
    }
}

fn handle_link_event(event: LinkEvent, connection: &mut Connection, link: &mut Link) {
    let now = Instant::now();
    match event {
        LinkEvent::Opened(socket) => {
            *link = Link::Open(socket);
            connection.on_socket_opened(now);
        }
        LinkEvent::Frame(frame) => connection.on_frame(frame, jitter(), now),
        LinkEvent::Lost => {
            *link = Link::Closed;
            connection.on_socket_lost(jitter(), now);
        }
    }
}

async fn carry_out(
    effect: Effect,
    connector: &Connector,
    link: &mut Link,
    owners: &mut HashMap<String, Sender>,
) -> Result<(), EffectError> {
    match effect {
        Effect::OpenSocket => *link = connector.open().await?,
        Effect::SendFrame(frame) => connector.send(link, &frame).await?,
        Effect::CloseSocket => *link = Link::Closed,
        Effect::Deliver { id, signal } => {
            if let Some(owner) = owners.get(&id) {
                owner.send(signal);
            }
        }
    }
    Ok(())
}

impl Connector {
    async fn open(&self) -> Result<Link, Error> {
        let request = self.handshake().await?;
        let opening = async move {
            let opened = timeout(SOCKET_TIMEOUT, connect_async(request)).await;
            let (socket, _response) = opened.ok()?.ok()?;
            Some(Box::new(socket))
        };
        Ok(Link::Opening(opening.boxed()))
    }

    /// AppSync reads the credentials from a sub-protocol, because browsers cannot set headers on a WebSocket.
    async fn handshake(&self) -> Result<Request, Error> {
        let header = self.credentials().await?.connection_header(&self.endpoint, SystemTime::now())?.to_string();
        let url = self.endpoint.realtime().as_str();
        let invalid = || Error::InvalidEndpoint { url: url.to_owned() };
        let request = ClientRequestBuilder::new(url.parse().map_err(|_| invalid())?)
            .with_sub_protocol("graphql-ws")
            .with_sub_protocol(format!("header-{}", BASE64_URL_SAFE_NO_PAD.encode(header)));
        request.into_client_request().map_err(|_| invalid())
    }

    async fn send(&self, link: &mut Link, frame: &ClientFrame) -> Result<(), EffectError> {
        let Link::Open(socket) = link else { return Ok(()) };
        let text = frame.to_text(&self.authorization(frame).await?);
        let sent = timeout(SOCKET_TIMEOUT, socket.send(Message::text(text))).await;
        if let Ok(Ok(())) = sent { Ok(()) } else { Err(EffectError::SocketLost) }
    }

    /// The connection waits for its provider, but not without end.
    async fn credentials(&self) -> Result<Credentials, Error> {
        let credentials = timeout(SOCKET_TIMEOUT, self.credentials.credentials()).await;
        credentials.unwrap_or_else(|_| Err(Error::Transport("the credentials took too long".to_owned())))
    }

    async fn authorization(&self, frame: &ClientFrame) -> Result<Value, Error> {
        match frame {
            ClientFrame::Start { operation, .. } => {
                self.credentials().await?.subscription_header(&self.endpoint, operation, SystemTime::now())
            }
            ClientFrame::Init | ClientFrame::Stop { .. } => Ok(Value::Null),
        }
    }
}

impl Link {
    async fn next_event(&mut self) -> LinkEvent {
        match self {
            Self::Closed => pending().await,
            Self::Opening(opening) => opening.await.map_or(LinkEvent::Lost, LinkEvent::Opened),
            Self::Open(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => return LinkEvent::Frame(ServerFrame::parse(&text)),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return LinkEvent::Lost,
                    Some(Ok(_)) => {}
                }
            },
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    fastrand::f64()
}
