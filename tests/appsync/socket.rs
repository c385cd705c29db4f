//! A WebSocket client for tests.
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    fixture::{KEY, Server, TIMEOUT},
    signing::Signer,
};

pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    host: String,
    pub protocol: String,
}

/// The place of the credentials in the handshake.
pub enum Handshake<'a> {
    /// `header-<base64url>`: Amplify, and Apollo's link from version 4.
    SubProtocol(&'a Value),
    /// `?header=<base64>&payload=e30=`: Apollo's link before version 4.
    Query(&'a Value),
    /// HTTP headers: clients that are not browsers.
    Headers(&'a [(&'a str, &'a str)]),
}

impl Handshake<'_> {
    /// The value of `Sec-WebSocket-Protocol`.
    pub fn protocols(&self) -> String {
        match self {
            Handshake::SubProtocol(headers) => {
                format!("graphql-ws, header-{}", URL_SAFE_NO_PAD.encode(headers.to_string()))
            }
            _ => "graphql-ws".to_owned(),
        }
    }
}

pub fn api_key_headers(server: &Server) -> Value {
    json!({ "host": server.address.to_string(), "x-api-key": KEY })
}

impl Socket {
    pub async fn open(server: &Server, path: &str, handshake: Handshake<'_>) -> Self {
        let query = match handshake {
            Handshake::Query(headers) => format!("?header={}&payload=e30=", STANDARD.encode(headers.to_string())),
            _ => String::new(),
        };
        let mut request = format!("ws://{}{path}{query}", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", handshake.protocols().parse().unwrap());
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

    /// Opens an initialized connection with the API key.
    pub async fn connect(server: &Server) -> Self {
        let mut socket =
            Self::open(server, "/graphql/realtime", Handshake::SubProtocol(&api_key_headers(server))).await;
        socket.initialize().await;
        socket
    }

    pub async fn initialize(&mut self) {
        self.send(&json!({ "type": "connection_init" })).await;
        let ack = json!({ "type": "connection_ack", "payload": { "connectionTimeoutMs": 300_000 } });
        assert_eq!(self.receive().await, Some(ack));
        assert_eq!(self.receive().await, Some(json!({ "type": "ka" })));
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// The code of the server's Close frame; `None` if the connection ends without one, or with one without a
    /// code.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("a frame") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next frame; `None` once the server has closed the connection.
    pub async fn receive(&mut self) -> Option<Value> {
        loop {
            match timeout(TIMEOUT, self.stream.next()).await.expect("a frame") {
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
        self.start_with_headers(id, &data, authorization).await
    }

    pub async fn start_signed(&mut self, id: &str, query: &str, signer: Signer) -> Option<Value> {
        let data = json!({ "query": query }).to_string();
        let authorization =
            Value::Object(capitalized(signer.headers("appsync", "POST", &self.host, "/graphql", data.as_bytes())));
        self.start_with_headers(id, &data, authorization).await
    }

    pub async fn start_with_headers(&mut self, id: &str, data: &str, authorization: Value) -> Option<Value> {
        let payload = json!({ "data": data, "extensions": { "authorization": authorization } });
        self.send(&json!({ "id": id, "type": "start", "payload": payload })).await;
        self.receive().await
    }
}

/// Capitalizes header names as Apollo's link does.
pub fn capitalized(headers: Map<String, Value>) -> Map<String, Value> {
    let capitalize = |name: String| match name.as_str() {
        "authorization" => "Authorization".to_owned(),
        "x-amz-security-token" => "X-Amz-Security-Token".to_owned(),
        _ => name,
    };
    headers.into_iter().map(|(name, value)| (capitalize(name), value)).collect()
}

pub fn start_ack(id: &str) -> Option<Value> {
    Some(json!({ "id": id, "type": "start_ack" }))
}

pub fn data_frame(id: &str, data: Value) -> Option<Value> {
    Some(json!({ "id": id, "type": "data", "payload": { "data": data } }))
}

pub fn error_frame(id: &str, error: Value) -> Option<Value> {
    Some(json!({ "id": id, "type": "error", "payload": { "errors": [error] } }))
}

/// A WebSocket whose bytes the test writes and reads itself. It authenticates with the API key as an HTTP
/// header.
pub struct RawSocket {
    stream: TcpStream,
}

impl RawSocket {
    pub async fn open(server: &Server, path: &str, protocols: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let protocols = protocols.map(|value| format!("sec-websocket-protocol: {value}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-api-key: {KEY}\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocols}\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(TIMEOUT, stream.read_u8()).await.expect("a response").unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self { stream }
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a Close frame, masked with zeros.
    pub async fn send_close(&mut self, code: u16) {
        let [high, low] = code.to_be_bytes();
        self.send_bytes(&[0x88, 0x82, 0, 0, 0, 0, high, low]).await;
    }

    /// The next frame if it is a text frame.
    pub async fn receive_text(&mut self) -> Option<Value> {
        let (opcode, payload) = self.receive_frame().await?;
        (opcode == 1).then(|| serde_json::from_slice(&payload).unwrap())
    }

    /// The code of the next frame if it is a Close frame with a code.
    pub async fn receive_close(&mut self) -> Option<u16> {
        let (opcode, payload) = self.receive_frame().await?;
        assert_eq!(opcode, 8, "{payload:?}");
        Some(u16::from_be_bytes(payload.get(..2)?.try_into().unwrap()))
    }

    pub async fn is_closed(&mut self) -> bool {
        timeout(TIMEOUT, self.stream.read(&mut [0]))
            .await
            .expect("the end of the connection")
            .is_ok_and(|read| read == 0)
    }

    /// A frame of at most 125 bytes; `None` at the end of the connection.
    async fn receive_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, length] = [self.read_byte().await?, self.read_byte().await?];
        let mut payload = Vec::new();
        for _ in 0..length {
            payload.push(self.read_byte().await?);
        }
        Some((first & 0x0f, payload))
    }

    async fn read_byte(&mut self) -> Option<u8> {
        timeout(TIMEOUT, self.stream.read_u8()).await.expect("a frame").ok()
    }
}
