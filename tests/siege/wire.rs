//! Sockets for those who do not keep to the protocol.
use std::{net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::besieged::Endpoint;

/// Far longer than anything takes that is going to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Writes bytes, says no more, and reads to the end; None when there is none in time.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut heard = Vec::new();
    let talk = async {
        let (mut reader, mut writer) = stream.split();
        let speak = async {
            // Whoever is refused midway finds nobody to write to.
            writer.write_all(bytes).await.ok();
            writer.shutdown().await.ok();
        };
        // A server that has heard enough resets the connection.
        tokio::join!(speak, async { reader.read_to_end(&mut heard).await.ok() });
    };
    timeout(PATIENCE, talk).await.ok()?;
    Some(heard)
}

/// A WebSocket past its handshake with the API key.
pub struct Socket {
    pub stream: WebSocketStream<TcpStream>,
    authorization: Value,
}

impl Socket {
    pub async fn open(endpoint: &Endpoint) -> Self {
        let authorization = json!({ "host": endpoint.host(), "x-api-key": endpoint.api_key });
        let url = format!("ws://{}/graphql/realtime", endpoint.host());
        let mut request = url.into_client_request().expect("a request");
        let header = URL_SAFE_NO_PAD.encode(authorization.to_string());
        let protocols = format!("graphql-ws, header-{header}").parse().expect("a header");
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        let stream = TcpStream::connect(endpoint.address()).await.expect("a connection");
        let (stream, _) = client_async(request, stream).await.expect("a handshake");
        Self { stream, authorization }
    }

    /// Past the acknowledgement, too.
    pub async fn ready(endpoint: &Endpoint) -> Self {
        let mut socket = Self::open(endpoint).await;
        socket.say(&json!({ "type": "connection_init" })).await;
        assert_eq!(socket.hear().await.expect("an acknowledgement")["type"], "connection_ack");
        assert_eq!(socket.hear().await.expect("a sign of life")["type"], "ka");
        socket
    }

    pub async fn say(&mut self, frame: &Value) {
        self.say_text(frame.to_string()).await;
    }

    /// Nobody may be there to hear it any more.
    pub async fn say_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.ok();
    }

    /// The next frame; None once the server has closed.
    pub async fn hear(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("the server says something or closes") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Asks for a conversation's updates, without waiting for an answer.
    pub async fn start(&mut self, id: &str, conversation_id: &str) {
        let frame = self.start_frame(id, conversation_id);
        self.say(&frame).await;
    }

    pub fn start_frame(&self, id: &str, conversation_id: &str) -> Value {
        let data = json!({ "query": ON_UPDATE, "variables": { "id": conversation_id } }).to_string();
        let payload = json!({ "data": data, "extensions": { "authorization": self.authorization } });
        json!({ "id": id, "type": "start", "payload": payload })
    }
}

pub const ON_UPDATE: &str = "subscription($id: ID!) { onConversationUpdate(conversationId: $id) {
    conversationId turnId attempt sequence metadata { status agentPartialMessage } event { id text } } }";
