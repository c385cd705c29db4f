//! The edge: sockets, the clock and chance. One loop that moves values and decides nothing.
use std::{
    collections::HashMap,
    future::pending,
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
    frames::{ClientFrame, ServerFrame},
    mailbox::Sender,
    session::{Session, Step},
};
use crate::{credentials::Credentials, endpoint::Endpoint, errors::Error};

/// How long opening a socket, or sending one frame, may take.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) enum Command {
    Subscribe { id: String, data: String, signals: Sender },
    Unsubscribe { id: String },
}

pub(super) struct Connector {
    pub endpoint: Endpoint,
    pub credentials: Credentials,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

enum Line {
    Closed,
    Opening(BoxFuture<'static, Option<Box<Socket>>>),
    Open(Box<Socket>),
}

enum Happened {
    Opened(Box<Socket>),
    Received(ServerFrame),
    Lost,
}

/// Why a step could not be taken.
enum Fault {
    /// The socket is of no more use; another one may be.
    Lost,
    Unwritable(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Unwritable(error)
    }
}

/// Runs until nobody can give commands any more.
pub(super) async fn run(connector: Connector, mut commands: UnboundedReceiver<Command>) {
    let mut session = Session::new();
    let mut line = Line::Closed;
    let mut owners = HashMap::new();
    loop {
        while let Some(step) = session.poll_step() {
            if let Err(fault) = take(step, &connector, &mut line, &mut owners).await {
                line = Line::Closed;
                match fault {
                    Fault::Lost => session.lost(chance(), Instant::now()),
                    Fault::Unwritable(error) => session.failed(&error),
                }
            }
        }
        tokio::select! {
            command = commands.next() => match command {
                Some(command) => obey(command, &mut session, &mut owners),
                None => return,
            },
            happened = line.happened() => tell(happened, &mut session, &mut line),
            () = sleep_until(session.wake()) => session.advance(chance(), Instant::now()),
        }
    }
}

fn obey(command: Command, session: &mut Session, owners: &mut HashMap<String, Sender>) {
    match command {
        Command::Subscribe { id, data, signals } => {
            owners.insert(id.clone(), signals);
            session.subscribe(id, data, Instant::now());
        }
        Command::Unsubscribe { id } => {
            owners.remove(&id);
            session.unsubscribe(&id);
        }
    }
}

fn tell(happened: Happened, session: &mut Session, line: &mut Line) {
    let now = Instant::now();
    match happened {
        Happened::Opened(socket) => {
            *line = Line::Open(socket);
            session.opened(now);
        }
        Happened::Received(frame) => session.received(frame, chance(), now),
        Happened::Lost => {
            *line = Line::Closed;
            session.lost(chance(), now);
        }
    }
}

async fn take(
    step: Step,
    connector: &Connector,
    line: &mut Line,
    owners: &mut HashMap<String, Sender>,
) -> Result<(), Fault> {
    match step {
        Step::Open => *line = connector.open()?,
        Step::Send(frame) => connector.send(line, &frame).await?,
        Step::Close => *line = Line::Closed,
        Step::Tell { id, signal } => {
            if let Some(owner) = owners.get(&id) {
                owner.send(signal);
            }
        }
    }
    Ok(())
}

impl Connector {
    fn open(&self) -> Result<Line, Error> {
        let request = self.handshake()?;
        let opening = async move {
            let opened = timeout(SOCKET_TIMEOUT, connect_async(request)).await;
            opened.ok()?.ok().map(|(socket, _)| Box::new(socket))
        };
        Ok(Line::Opening(opening.boxed()))
    }

    fn handshake(&self) -> Result<Request, Error> {
        let header = self.credentials.connect_header(&self.endpoint, SystemTime::now())?.to_string();
        let url = self.endpoint.realtime().as_str();
        let refused = || Error::Endpoint { url: url.to_owned() };
        let request = ClientRequestBuilder::new(url.parse().map_err(|_| refused())?)
            .with_sub_protocol("graphql-ws")
            .with_sub_protocol(format!("header-{}", BASE64_URL_SAFE_NO_PAD.encode(header)));
        request.into_client_request().map_err(|_| refused())
    }

    async fn send(&self, line: &mut Line, frame: &ClientFrame) -> Result<(), Fault> {
        let Line::Open(socket) = line else { return Ok(()) };
        let text = frame.to_text(&self.authorization(frame)?);
        let sent = timeout(SOCKET_TIMEOUT, socket.send(Message::text(text))).await;
        if let Ok(Ok(())) = sent { Ok(()) } else { Err(Fault::Lost) }
    }

    fn authorization(&self, frame: &ClientFrame) -> Result<Value, Error> {
        match frame {
            ClientFrame::Start { data, .. } => self.credentials.start_header(&self.endpoint, data, SystemTime::now()),
            ClientFrame::Init | ClientFrame::Stop { .. } => Ok(Value::Null),
        }
    }
}

impl Line {
    async fn happened(&mut self) -> Happened {
        match self {
            Self::Closed => pending().await,
            Self::Opening(opening) => opening.await.map_or(Happened::Lost, Happened::Opened),
            Self::Open(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => return Happened::Received(ServerFrame::parse(&text)),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Happened::Lost,
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

fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
