//! A client of the realtime protocol that sends any frame.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{server_under_test::Endpoint, tcp::RESPONSE_TIMEOUT};

const ON_CONVERSATION_UPDATE: &str = "subscription($id: ID!) { onConversationUpdate(conversationId: $id) {
    conversationId turnId attempt sequence metadata { status agentPartialMessage } event { id text } } }";

/// A WebSocket whose handshake carried the API key.
pub struct WebSocket {
    pub stream: WebSocketStream<TcpStream>,
    authorization: Value,
}

impl WebSocket {
    pub async fn open(endpoint: &Endpoint) -> Self {
        let authorization = json!({ "host": endpoint.host(), "x-api-key": endpoint.api_key });
        let url = format!("ws://{}/graphql/realtime", endpoint.host());
        let mut request = url.into_client_request().expect("the URL is valid");
        let header = URL_SAFE_NO_PAD.encode(authorization.to_string());
        let protocols = format!("graphql-ws, header-{header}").parse().expect("the header is valid");
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        let stream = TcpStream::connect(endpoint.address()).await.expect("the server accepts the connection");
        let (stream, _) = client_async(request, stream).await.expect("the server accepts the handshake");
        Self { stream, authorization }
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Errors are ignored: the server may have closed the connection.
    pub async fn send_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.ok();
    }

    /// The next frame; None once the server has closed the connection.
    pub async fn receive(&mut self) -> Option<Value> {
        loop {
            let message =
                timeout(RESPONSE_TIMEOUT, self.stream.next()).await.expect("the server sends or closes in time");
            match message {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The frame that subscribes to the updates of a conversation.
    pub fn start_frame(&self, id: &str, conversation_id: &str) -> Value {
        let data = json!({ "query": ON_CONVERSATION_UPDATE, "variables": { "id": conversation_id } }).to_string();
        let payload = json!({ "data": data, "extensions": { "authorization": self.authorization } });
        json!({ "id": id, "type": "start", "payload": payload })
    }
}
