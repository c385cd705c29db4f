//! Clients of the entry points AppSync Events and WebSocket API: sockets that hand over messages as JSON.
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

/// Longer than any expected message takes on a busy machine.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A socket of the Events API with one subscription.
pub struct EventsSocket {
    stream: Stream,
}

impl EventsSocket {
    /// Connects with the credentials `headers` and subscribes to a channel. Returns the errors of a refusal.
    pub async fn subscribe(events_url: &str, headers: &Value, channel: &str) -> Result<Self, Value> {
        let url = format!("{}/realtime", events_url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("the URL is valid");
        let protocols = format!("aws-appsync-event-ws, header-{}", URL_SAFE_NO_PAD.encode(headers.to_string()));
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("the header is valid"));
        let (stream, _) = connect_async(request).await.expect("the handshake is accepted");
        let mut socket = Self { stream };
        socket.send(&json!({ "type": "connection_init" })).await;
        let ack = socket.frame().await;
        if ack["type"] != "connection_ack" {
            return Err(ack["errors"].clone());
        }
        socket.send(&json!({ "type": "subscribe", "id": "s1", "channel": channel, "authorization": headers })).await;
        let answer = socket.frame().await;
        if answer["type"] == "subscribe_success" { Ok(socket) } else { Err(answer["errors"].clone()) }
    }

    /// The payload of the next event.
    pub async fn next(&mut self) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == "data" {
                let event = frame["event"].as_str().expect("an event is a text");
                return serde_json::from_str(event).expect("an event is JSON");
            }
            // An event that AppSync could not deliver is lost.
            assert!(["ka", "broadcast_error"].contains(&frame["type"].as_str().unwrap_or_default()), "{frame}");
        }
    }

    async fn send(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.expect("the frame is sent");
    }

    async fn frame(&mut self) -> Value {
        let next = timeout(MESSAGE_TIMEOUT, next_text(&mut self.stream)).await.expect("a frame arrives in time");
        serde_json::from_str(&next.expect("the connection is open")).expect("a frame is JSON")
    }
}

/// The header `host` of credentials for the Events API at this URL.
pub fn host_of(events_url: &str) -> &str {
    events_url.trim_start_matches("http://").trim_end_matches("/event")
}

/// Publishes one event over HTTP. Returns the status and the body.
pub async fn publish(events_url: &str, headers: &Value, channel: &str, payload: &Value) -> (u16, Value) {
    let body = json!({ "channel": channel, "events": [payload.to_string()] }).to_string();
    let mut request = reqwest::Client::new().post(events_url).header("content-type", "application/json").body(body);
    for (name, value) in headers.as_object().expect("headers are an object").iter().filter(|(name, _)| *name != "host")
    {
        request = request.header(name, value.as_str().expect("a header is a text"));
    }
    let response = request.send().await.expect("the server answers");
    (response.status().as_u16(), response.json().await.expect("the body is JSON"))
}

/// A connection of the WebSocket API.
pub struct Connection {
    stream: Stream,
}

impl Connection {
    /// Connects with headers. Returns the connection with the subprotocol that the server chose, or the
    /// status of a refusal.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<(Self, Option<String>), u16> {
        let mut request = url.into_client_request().expect("the URL is valid");
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("the name is valid");
            request.headers_mut().insert(name, value.parse().expect("the value is valid"));
        }
        match connect_async(request).await {
            Ok((stream, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.map(|protocol| protocol.to_str().expect("it is ASCII").to_owned());
                Ok((Self { stream }, protocol))
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    /// Errors are ignored: the server may have closed the connection.
    pub async fn send(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.ok();
    }

    /// The next message; `None` once the connection has ended.
    pub async fn next(&mut self) -> Option<Value> {
        let text = next_text(&mut self.stream).await?;
        Some(serde_json::from_str(&text).expect("a message is JSON"))
    }
}

async fn next_text(stream: &mut Stream) -> Option<String> {
    loop {
        match stream.next().await? {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
