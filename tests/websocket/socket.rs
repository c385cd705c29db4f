//! A WebSocket client for tests.
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use crate::fixture::{Server, TIMEOUT};

/// The path of the stage, with the token that the authorizer expects.
pub const PATH: &str = "/ws/prod?token=t";

#[derive(Debug)]
pub struct Socket {
    pub stream: WebSocketStream<TcpStream>,
    /// The subprotocol that the server chose.
    pub protocol: Option<String>,
}

impl Socket {
    /// Opens a WebSocket. Returns the status of a refusal.
    pub async fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut request = format!("ws://{}{path}", server.host()).into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((stream, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.map(|protocol| protocol.to_str().unwrap().to_owned());
                Ok(Self { stream, protocol })
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    /// Opens a WebSocket and returns it with the id of its connection.
    pub async fn connect(server: &Server) -> (Self, String) {
        let socket = Self::open(server, PATH, &[]).await.unwrap();
        let event = server.functions.next_event("Connect").await;
        let id = event["requestContext"]["connectionId"].as_str().unwrap().to_owned();
        server.functions.remove_event("Authorize");
        (socket, id)
    }

    pub async fn send_text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Errors are ignored: the server may have closed the connection.
    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.ok();
    }

    pub async fn receive(&mut self) -> Message {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("a message") {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return message,
                other => panic!("the connection ended: {other:?}"),
            }
        }
    }

    pub async fn receive_text(&mut self) -> String {
        self.receive().await.into_text().unwrap().to_string()
    }

    pub async fn receive_json(&mut self) -> Value {
        serde_json::from_str(&self.receive_text().await).unwrap()
    }

    /// The code and the reason of the server's Close frame.
    pub async fn close_frame(&mut self) -> (u16, String) {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("a frame") {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return (code.into(), reason.to_string());
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => panic!("the server sends no code"),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends a text in frames of 32 KB.
    pub async fn send_in_frames(&mut self, text: &str) {
        let parts: Vec<&[u8]> = text.as_bytes().chunks(32 * 1024).collect();
        for (index, part) in parts.iter().enumerate() {
            let opcode = if index == 0 { OpCode::Data(Data::Text) } else { OpCode::Data(Data::Continue) };
            let frame = Frame::message(part.to_vec(), opcode, index + 1 == parts.len());
            self.send(Message::Frame(frame)).await;
        }
    }

    /// Sends bytes that need not be a frame.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// The payload of the next pong.
    pub async fn receive_pong(&mut self) -> String {
        match timeout(TIMEOUT, self.stream.next()).await.expect("a pong") {
            Some(Ok(Message::Pong(payload))) => String::from_utf8_lossy(&payload).into_owned(),
            other => panic!("not a pong: {other:?}"),
        }
    }

    /// Closes the connection with a Close frame.
    pub async fn close(mut self, frame: Option<CloseFrame>) {
        self.stream.close(frame).await.unwrap();
        while let Some(Ok(_)) = timeout(TIMEOUT, self.stream.next()).await.expect("an answer") {}
    }
}
