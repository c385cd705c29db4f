//! A WebSocket client for tests.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::fixture::{Server, TIMEOUT};

pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The subprotocol that the server chose.
    pub protocol: Option<String>,
    /// The `authorization` of frames.
    pub authorization: Value,
}

/// The value of `Sec-WebSocket-Protocol` with these headers.
pub fn protocols(headers: &Value) -> String {
    format!("aws-appsync-event-ws, header-{}", URL_SAFE_NO_PAD.encode(headers.to_string()))
}

impl Socket {
    /// Opens a WebSocket with subprotocols and HTTP headers. Its frames have the API key.
    pub async fn open(server: &Server, protocols: Option<&str>, headers: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        Self::open_on(stream, server, protocols, headers).await
    }

    async fn open_on(stream: TcpStream, server: &Server, protocols: Option<&str>, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("ws://{}/event/realtime", server.address).into_client_request().unwrap();
        let protocol = protocols.map(|protocols| ("sec-websocket-protocol", protocols));
        for (name, value) in headers.iter().copied().chain(protocol) {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (stream, response) = client_async(request, stream).await.unwrap();
        let protocol = response.headers().get("sec-websocket-protocol");
        let protocol = protocol.map(|protocol| protocol.to_str().unwrap().to_owned());
        Self { stream, protocol, authorization: server.key_headers() }
    }

    /// Opens an initialized connection with the headers of a caller, which its frames have too.
    pub async fn connect_as(server: &Server, headers: Value) -> Self {
        let mut socket = Self::open(server, Some(&protocols(&headers)), &[]).await;
        socket.initialize().await;
        socket.authorization = headers;
        socket
    }

    /// As `connect_as`, with the API key.
    pub async fn connect(server: &Server) -> Self {
        Self::connect_as(server, server.key_headers()).await
    }

    /// As `connect`, on a connection that buffers little.
    pub async fn connect_with_small_buffer(server: &Server) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let stream = socket.connect(server.address).await.unwrap();
        let protocols = protocols(&server.key_headers());
        let mut socket = Self::open_on(stream, server, Some(&protocols), &[]).await;
        socket.initialize().await;
        socket
    }

    pub async fn initialize(&mut self) {
        self.send(&json!({ "type": "connection_init" })).await;
        let ack = r#"{"type":"connection_ack","connectionTimeoutMs":300000}"#;
        assert_eq!(self.receive_text().await.as_deref(), Some(ack));
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// The next frame; `None` once the server has closed the connection.
    pub async fn receive_text(&mut self) -> Option<String> {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("a frame") {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.receive_text().await.expect("a frame")).unwrap()
    }

    /// The code of the server's Close frame.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("a frame") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Sends a subscribe frame and returns the next frame.
    pub async fn subscribe(&mut self, id: &str, channel: &str) -> Value {
        let authorization = &self.authorization;
        let frame = json!({ "type": "subscribe", "id": id, "channel": channel, "authorization": authorization });
        self.send(&frame).await;
        self.receive().await
    }

    /// Sends a publish frame and returns the next frame.
    pub async fn publish(&mut self, id: &str, channel: &str, events: &[&str]) -> Value {
        self.begin_publish(id, channel, events).await;
        self.receive().await
    }

    pub async fn begin_publish(&mut self, id: &str, channel: &str, events: &[&str]) {
        let authorization = &self.authorization;
        let frame = json!({ "type": "publish", "id": id, "channel": channel, "events": events, "authorization": authorization });
        self.send(&frame).await;
    }

    pub async fn unsubscribe(&mut self, id: &str) -> Value {
        self.send(&json!({ "type": "unsubscribe", "id": id })).await;
        self.receive().await
    }
}

pub fn subscribe_success(id: &str) -> Value {
    json!({ "id": id, "type": "subscribe_success" })
}

pub fn data_frame(id: &str, event: &str) -> Value {
    json!({ "id": id, "type": "data", "event": event })
}

pub fn error_frame(kind: &str, id: &str, error_type: &str, message: &str) -> Value {
    json!({ "id": id, "type": kind, "errors": [{ "errorType": error_type, "message": message }] })
}
