//! A WebSocket client that says and hears frames.
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    api::{KEY, PATIENCE, Server},
    signing::Signer,
};

pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    host: String,
    pub protocol: String,
}

/// How credentials are brought along.
pub enum Handshake<'a> {
    /// Amplify, and Apollo's link from version 4: `header-<base64url>`.
    SubProtocol(&'a Value),
    /// Apollo's link before: `?header=<base64>&payload=e30=`.
    Query(&'a Value),
    /// Clients that are no browsers.
    Headers(&'a [(&'a str, &'a str)]),
}

pub fn key_of(server: &Server) -> Value {
    json!({ "host": server.address.to_string(), "x-api-key": KEY })
}

impl Socket {
    pub async fn open(server: &Server, path: &str, handshake: Handshake<'_>) -> Self {
        let query = match handshake {
            Handshake::Query(headers) => format!("?header={}&payload=e30=", STANDARD.encode(headers.to_string())),
            _ => String::new(),
        };
        let mut request = format!("ws://{}{path}{query}", server.address).into_client_request().unwrap();
        let protocols = match handshake {
            Handshake::SubProtocol(headers) => {
                format!("graphql-ws, header-{}", URL_SAFE_NO_PAD.encode(headers.to_string()))
            }
            _ => "graphql-ws".to_owned(),
        };
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        if let Handshake::Headers(headers) = handshake {
            for (name, value) in headers {
                let name: http::HeaderName = name.parse().unwrap();
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        let (stream, response) = connect_async(request).await.unwrap();
        let protocol = response.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
        Self { stream, host: server.address.to_string(), protocol }
    }

    /// With the API key, as Amplify does it, past the acknowledgement.
    pub async fn ready(server: &Server) -> Self {
        let mut socket = Self::open(server, "/graphql/realtime", Handshake::SubProtocol(&key_of(server))).await;
        socket.initialize().await;
        socket
    }

    pub async fn initialize(&mut self) {
        self.say(&json!({ "type": "connection_init" })).await;
        let acknowledged = json!({ "type": "connection_ack", "payload": { "connectionTimeoutMs": 300_000 } });
        assert_eq!(self.hear().await, Some(acknowledged));
        assert_eq!(self.hear().await, Some(json!({ "type": "ka" })));
    }

    pub async fn say(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame; nothing once the server has closed.
    pub async fn hear(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("the server says something") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn start(&mut self, id: &str, query: &str) -> Option<Value> {
        self.start_with(id, query, json!({})).await
    }

    pub async fn start_with(&mut self, id: &str, query: &str, variables: Value) -> Option<Value> {
        let data = json!({ "query": query, "variables": variables }).to_string();
        let authorization = json!({ "host": self.host, "X-Api-Key": KEY });
        self.start_as(id, &data, authorization).await
    }

    pub async fn start_signed(&mut self, id: &str, query: &str, signer: Signer) -> Option<Value> {
        let data = json!({ "query": query }).to_string();
        let authorization = Value::Object(shouted(signer.headers(&self.host, "/graphql", &data)));
        self.start_as(id, &data, authorization).await
    }

    pub async fn start_as(&mut self, id: &str, data: &str, authorization: Value) -> Option<Value> {
        let payload = json!({ "data": data, "extensions": { "authorization": authorization } });
        self.say(&json!({ "id": id, "type": "start", "payload": payload })).await;
        self.hear().await
    }
}

/// Header names as Apollo's link writes them.
pub fn shouted(headers: Map<String, Value>) -> Map<String, Value> {
    let first_upper = |name: String| match name.as_str() {
        "authorization" => "Authorization".to_owned(),
        "x-amz-security-token" => "X-Amz-Security-Token".to_owned(),
        _ => name,
    };
    headers.into_iter().map(|(name, value)| (first_upper(name), value)).collect()
}

pub fn acknowledged(id: &str) -> Option<Value> {
    Some(json!({ "id": id, "type": "start_ack" }))
}

pub fn data(id: &str, data: Value) -> Option<Value> {
    Some(json!({ "id": id, "type": "data", "payload": { "data": data } }))
}

pub fn refused(id: &str, error: Value) -> Option<Value> {
    Some(json!({ "id": id, "type": "error", "payload": { "errors": [error] } }))
}
