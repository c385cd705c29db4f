//! A WebSocket of a client: sending with a time limit, and the closing handshake.
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};

/// The read buffer of every connection, even if it is idle.
pub(crate) const READ_BUFFER_BYTES: usize = 4 * 1024;
/// How long the client may take to answer the server's Close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The client has sent a Close frame.
    ByClient,
    /// The connection is lost, or the client accepts no frame in time.
    Lost,
    /// The client has broken the WebSocket protocol; the code says how.
    ProtocolError(u16),
    HandshakeRefused,
    /// The Events API refuses a handshake.
    EventsHandshakeRefused,
    SubscriptionInvalidated,
    TooOld,
    /// The client does not keep up, or an injected fault disconnects it.
    Disconnected,
    ServerStops,
}

impl Closed {
    /// The code of the server's Close frame; `None` if the server sends none of its own. AWS does not
    /// document AppSync's codes: these are the ones that RFC 6455 provides.
    pub fn close_code(self) -> Option<u16> {
        match self {
            Closed::ByClient | Closed::Lost => None,
            Closed::ProtocolError(code) => Some(code),
            Closed::HandshakeRefused => Some(close_code::POLICY),
            Closed::EventsHandshakeRefused | Closed::SubscriptionInvalidated => Some(close_code::NORMAL),
            Closed::TooOld | Closed::Disconnected | Closed::ServerStops => Some(close_code::AWAY),
        }
    }

    pub fn from_read_error(error: axum::Error) -> Self {
        match error.into_inner().downcast::<tungstenite::Error>().map(|error| *error) {
            Ok(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Closed::Lost,
            Ok(tungstenite::Error::Protocol(_)) => Closed::ProtocolError(close_code::PROTOCOL),
            Ok(tungstenite::Error::Capacity(_)) => Closed::ProtocolError(close_code::SIZE),
            Ok(tungstenite::Error::Utf8(_)) => Closed::ProtocolError(close_code::INVALID),
            Ok(_) | Err(_) => Closed::Lost,
        }
    }
}

pub(crate) struct ClientSocket {
    pub socket: WebSocket,
    /// The longest duration in which the client may accept a frame.
    pub send_timeout: Duration,
}

impl ClientSocket {
    /// The next text message; AppSync ignores the others. A caller that stops waiting loses no message.
    pub async fn receive_text(&mut self) -> Result<Utf8Bytes, Closed> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => {}
                Some(Ok(Message::Close(_))) => return Err(Closed::ByClient),
                Some(Err(error)) => return Err(Closed::from_read_error(error)),
                None => return Err(Closed::Lost),
            }
        }
    }

    pub async fn send_text(&mut self, text: String) -> Result<(), Closed> {
        self.send_message(Message::Text(text.into())).await
    }

    async fn send_message(&mut self, message: Message) -> Result<(), Closed> {
        match timeout(self.send_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Closed::Lost),
        }
    }

    pub async fn close(self, closed: Closed) {
        self.close_with(closed.close_code(), "").await;
    }

    /// Completes the closing handshake: sends a Close frame unless the client has begun it, and reads until
    /// the client has answered. Reading also sends the answer to the client's Close frame.
    pub async fn close_with(mut self, code: Option<u16>, reason: &'static str) {
        if let Some(code) = code {
            let frame = CloseFrame { code, reason: reason.into() };
            if self.send_message(Message::Close(Some(frame))).await.is_err() {
                return;
            }
        }
        let answered = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        drop(timeout(CLOSE_TIMEOUT, answered).await);
    }
}
