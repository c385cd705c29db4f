//! The Events API: bodies of publishes, handshakes and sessions over WebSockets.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    sessions::{SEPARATOR, invalid_frames, session, split_frames},
    support::{
        server_under_test::ServerUnderTest,
        tcp::{RESPONSE_TIMEOUT, exchange},
    },
};

const STACK: &str = "tests/events/stack";
/// The statuses of accepted and of refused publishes. An empty status is a closed connection.
const EXPECTED_STATUSES: [&str; 7] = ["", "200", "400", "401", "403", "413", "431"];

/// A server with the stack of tests/events.
struct EventsServer {
    server: ServerUnderTest,
    /// The headers of a client with the API key.
    authorization: Value,
}

impl EventsServer {
    async fn start() -> Self {
        let state = tempfile::tempdir().expect("a temporary folder is created");
        let endpoint_file = state.path().join("endpoint.json");
        let server = ServerUnderTest::start_in(state, &["--root", STACK]).await;
        let endpoint = std::fs::read(endpoint_file).expect("the server writes endpoint.json");
        let endpoint: Value = serde_json::from_slice(&endpoint).expect("endpoint.json is valid");
        let authorization = json!({ "host": server.endpoint.host(), "x-api-key": endpoint["eventsApiKey"] });
        Self { server, authorization }
    }

    fn key(&self) -> &str {
        self.authorization["x-api-key"].as_str().expect("the API has a key")
    }

    fn publish_frame(&self, id: &str, channel: &str, events: &[&str]) -> Value {
        let authorization = &self.authorization;
        json!({ "type": "publish", "id": id, "channel": channel, "events": events, "authorization": authorization })
    }

    fn subscribe_frame(&self, id: &str, channel: &str) -> Value {
        json!({ "type": "subscribe", "id": id, "channel": channel, "authorization": self.authorization })
    }

    /// An upgrade request with a header in the subprotocols, followed by the frame of a `connection_init`.
    fn upgrade(protocols: &str) -> Vec<u8> {
        let head = format!(
            "GET /event/realtime HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: {protocols}\r\n\r\n"
        );
        [head.as_bytes(), b"\x81\x9a\0\0\0\0{\"type\":\"connection_init\"}"].concat()
    }
}

fn protocols_with(header: &str) -> String {
    format!("aws-appsync-event-ws, header-{}", URL_SAFE_NO_PAD.encode(header))
}

struct Bodies(EventsServer);

impl Bodies {
    /// Publishes that reach every kind of handler.
    fn valid_bodies() -> [Value; 5] {
        [
            json!({ "channel": "/default/a/b", "events": ["{\"a\":1}", "\"txt\"", "7"] }),
            json!({ "channel": "filtered/x/", "events": ["\"keep\"", "\"drop\"", "{\"b\":[null,1e400]}"] }),
            json!({ "channel": "filtered/x", "events": ["\"break\""] }),
            json!({ "channel": "forbidden/x", "events": ["{}"] }),
            json!({ "channel": "default", "events": ["\"\\ud800\"", "x", "[[[[[[]]]]]]"], "other": {} }),
        ]
    }
}

impl Target for Bodies {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut bodies: Vec<_> = Self::valid_bodies().iter().map(|body| body.to_string().into_bytes()).collect();
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        bodies.extend([
            json!({ "channel": "filtered/x", "events": [nested(900)] }).to_string().into_bytes(),
            json!({ "channel": "filtered/x", "events": [nested(100_000)] }).to_string().into_bytes(),
            json!({ "channel": "a/".repeat(100_000), "events": ["1"] }).to_string().into_bytes(),
            json!({ "channel": "default/x", "events": vec!["1"; 50_000] }).to_string().into_bytes(),
            json!({ "channel": "default/x", "events": ["x".repeat(1 << 20)] }).to_string().into_bytes(),
            "[".repeat(200_000).into_bytes(),
            b"\xff".to_vec(),
        ]);
        bodies
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let bodies = Self::valid_bodies();
        let body = mutator.choose(&bodies);
        mutator.mutate_json(body).to_string().into()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let EventsServer { server, .. } = &self.0;
        let head = format!(
            "POST /event HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            self.0.key(),
            input.len()
        );
        let response = exchange(server.endpoint.address(), &[head.as_bytes(), input].concat()).await;
        let response = response.ok_or("no response")?;
        let status: String = String::from_utf8_lossy(&response).chars().skip("HTTP/1.1 ".len()).take(3).collect();
        if !EXPECTED_STATUSES.contains(&status.as_str()) {
            return Err(format!("status {status}"));
        }
        self.0.server.check_health(200)
    }
}

struct Handshakes(EventsServer);

impl Target for Handshakes {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let header = self.0.authorization.to_string();
        [
            protocols_with(&header),
            protocols_with(&json!({ "host": ["x"], "x-api-key": 1, "": "\r\n" }).to_string()),
            protocols_with(&"[".repeat(50_000)),
            "aws-appsync-event-ws".into(),
            "aws-appsync-event-ws, header-".into(),
            format!("header-{}, graphql-ws", "A".repeat(50_000)),
            "aws-appsync-event-ws,".repeat(4_000),
        ]
        .map(|protocols| EventsServer::upgrade(&protocols))
        .into()
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let header = match mutator.one_in(2) {
            true => mutator.mutate_json(&self.0.authorization).to_string(),
            false => mutator.mutate_text(&self.0.authorization.to_string()),
        };
        EventsServer::upgrade(&protocols_with(&header))
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let response = exchange(self.0.server.endpoint.address(), input).await;
        response.ok_or("the connection is neither refused nor closed")?;
        self.0.server.check_health(150)
    }
}

struct Sessions {
    server: EventsServer,
    /// The frames of a valid session.
    valid_frames: Vec<Value>,
}

impl Sessions {
    async fn new() -> Self {
        let server = EventsServer::start().await;
        let valid_frames = vec![
            json!({ "type": "connection_init" }),
            server.subscribe_frame("a", "/default/*"),
            server.subscribe_frame("b", "filtered/x"),
            server.publish_frame("c", "default/x", &["{\"a\":1}", "7"]),
            server.publish_frame("d", "filtered/x", &["\"keep\"", "\"drop\""]),
            json!({ "type": "unsubscribe", "id": "a" }),
        ];
        Self { server, valid_frames }
    }

    async fn open(&self) -> WebSocketStream<TcpStream> {
        let endpoint = &self.server.server.endpoint;
        let url = format!("ws://{}/event/realtime", endpoint.host());
        let mut request = url.into_client_request().expect("the URL is valid");
        let protocols = protocols_with(&self.server.authorization.to_string());
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("the header is valid"));
        let stream = TcpStream::connect(endpoint.address()).await.expect("the server accepts the connection");
        client_async(request, stream).await.expect("the server accepts the handshake").0
    }
}

/// The next frame; None once the server has closed the connection.
async fn receive(socket: &mut WebSocketStream<TcpStream>) -> Option<Value> {
    loop {
        let message = timeout(RESPONSE_TIMEOUT, socket.next()).await.expect("the server sends or closes in time");
        match message {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

impl Target for Sessions {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let many_subscriptions: Vec<_> =
            (0..250).map(|number| self.server.subscribe_frame(&format!("s{number}"), "/default/*")).collect();
        let publish = self.server.publish_frame("p", "default/x", &["1"]);
        let mut sessions = vec![
            session(&self.valid_frames),
            session(&self.valid_frames[1..]),
            session(&many_subscriptions),
            session(&vec![publish; 60]),
            session(&[json!([]), json!(1), json!({ "type": 1 }), json!({ "type": "subscribe" })]),
            session(&[self.server.subscribe_frame(&"i".repeat(300_000), "/default/x")]),
            session(&[self.server.subscribe_frame("s", &"a/".repeat(300_000))]),
            ["[".repeat(200_000).as_bytes(), SEPARATOR, b"{}"].concat(),
        ];
        sessions.extend(invalid_frames().map(<[u8]>::to_vec));
        sessions
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let mut frames = self.valid_frames.clone();
        for _ in 0..=mutator.below(4) {
            let position = mutator.below(frames.len());
            let frame = match mutator.one_in(3) {
                true => frames[mutator.below(frames.len())].clone(),
                false => mutator.mutate_json(&frames[position]),
            };
            frames.insert(position + 1, frame);
        }
        session(&frames)
    }

    /// Sends text as WebSocket frames. From the first frame on that is not text, everything is sent as raw
    /// bytes. After text alone the server still answers on the connection, or has closed it.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let mut socket = self.open().await;
        let mut is_valid = true;
        for frame in split_frames(input) {
            match std::str::from_utf8(frame) {
                Ok(text) if is_valid => drop(socket.send(Message::text(text)).await),
                _ => {
                    is_valid = false;
                    socket.get_mut().write_all(frame).await.ok();
                }
            }
        }
        if is_valid {
            let probe = json!({ "type": "unsubscribe", "id": "probe" }).to_string();
            socket.send(Message::text(probe)).await.ok();
            while receive(&mut socket).await.is_some_and(|frame| frame["id"] != "probe") {}
        } else {
            socket.get_mut().shutdown().await.ok();
        }
        socket.send(Message::Close(None)).await.ok();
        while receive(&mut socket).await.is_some() {}
        self.server.server.check_health(200)
    }
}

#[tokio::test]
async fn events_bodies() {
    fuzz("events bodies", 80, &mut Bodies(EventsServer::start().await)).await;
}

#[tokio::test]
async fn events_handshakes() {
    fuzz("events handshakes", 80, &mut Handshakes(EventsServer::start().await)).await;
}

#[tokio::test]
async fn events_sessions() {
    fuzz("events sessions", 60, &mut Sessions::new().await).await;
}
