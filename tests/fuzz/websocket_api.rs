//! The WebSocket API: what selects routes, answers of functions, handshakes, requests to `@connections`, and
//! sessions.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use futures::{
    SinkExt, StreamExt,
    future::{BoxFuture, ready},
};
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use local::{
    graphql::FunctionBackend,
    identity::Authenticator,
    lambda::{InvocationType, InvokeError},
    template::{Deployment, load},
    websocket_api::{
        IdentitySource, WebSocketApi, WebSocketSettings, connect_decision, evaluate_response,
        parse_selection_expression, route_key,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    sessions::{SEPARATOR, invalid_frames, split_frames},
    support::tcp::{RESPONSE_TIMEOUT, exchange},
};

const METHOD_ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:local-websocket/prod/$connect";

/// Pure parsers of what clients, templates and functions write.
struct Texts;

fn allowing_answer() -> Value {
    let statement = json!({ "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": METHOD_ARN });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    json!({ "principalId": "ada", "policyDocument": policy, "context": { "a": "b", "n": 1.5, "t": true } })
}

fn accepting_answer() -> Value {
    json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": "chat" }, "body": "x" })
}

impl Target for Texts {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut inputs = byte_inputs(&[
            r#"{"action":"send","text":"\ud800"}"#,
            r#"{"action":{"action":[]}}"#,
            "$request.body.action",
            "${request.body.a.b}",
            "route.request.header.Auth",
            "route.request.querystring.token",
            "context.identity.sourceIp",
            "stageVariables.a",
            &"[".repeat(200_000),
            &"{\"action\":".repeat(50_000),
        ]);
        inputs.extend([allowing_answer(), accepting_answer()].map(|answer| answer.to_string().into_bytes()));
        inputs
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        match mutator.below(4) {
            0 => mutator.mutate_json(&allowing_answer()).to_string().into(),
            1 => mutator.mutate_json(&accepting_answer()).to_string().into(),
            _ => mutator.mutate_any(corpus),
        }
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(input);
        if route_key(&["action".to_owned()], &text).is_some_and(|key| key.starts_with('$') || key.len() > 128) {
            return Err("a client selects a route that it may not".into());
        }
        parse_selection_expression(&text);
        IdentitySource::parse(&text);
        let Ok(answer) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
        connect_decision(&answer);
        match evaluate_response(&answer, METHOD_ARN) {
            Ok(context) if !context.values().all(Value::is_string) => Err("the context has other values".into()),
            Ok(_) if answer["policyDocument"]["Statement"].to_string().matches("Allow").count() == 0 => {
                Err("a policy without Allow allows".into())
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Functions whose authorizer and `$connect` return what the test has chosen. The others return the message.
#[derive(Clone, Default)]
struct Functions(Arc<Mutex<Option<Value>>>);

impl FunctionBackend for Functions {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        _kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        let chosen = self.0.lock().expect("no test panics").clone();
        let answer = match function.rsplit('-').next() {
            Some("Authorize") => chosen.unwrap_or_else(allowing_answer),
            Some("Connect") => chosen.unwrap_or_else(accepting_answer),
            _ => json!({ "statusCode": 200, "body": payload["body"] }),
        };
        Box::pin(ready(Ok(answer)))
    }
}

/// A server with the stack of tests/websocket.
struct WebSocketServer {
    address: SocketAddr,
    functions: Functions,
}

impl WebSocketServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let deployment = Deployment::at(&format!("http://localhost:{}", address.port()), BTreeMap::new());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/websocket/stack");
        let stack = load(&folder, &deployment).expect("the template is valid");
        let functions = Functions::default();
        let authenticator = Authenticator::new(Vec::new(), Vec::new());
        let api = stack.websocket_api.expect("the stack has a WebSocket API");
        let api = WebSocketApi::new(api, functions.clone(), authenticator, WebSocketSettings::default());
        let service = api.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, functions }
    }

    async fn open(&self) -> WebSocketStream<TcpStream> {
        let url = format!("ws://{}/ws/prod?token=t", self.address);
        let mut request = url.into_client_request().expect("the URL is valid");
        // The answer of `$connect` chooses it.
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("chat"));
        let stream = TcpStream::connect(self.address).await.expect("the server accepts the connection");
        client_async(request, stream).await.expect("the server accepts the handshake").0
    }
}

/// Handshakes with mutated heads and mutated answers of the functions.
struct Handshakes(WebSocketServer);

fn upgrade(path: &str, protocol: &str) -> Vec<u8> {
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {protocol}\r\n\r\n"
    );
    // A Close frame follows.
    [head.as_bytes(), b"\x88\x80\0\0\0\0"].concat()
}

impl Target for Handshakes {
    fn corpus(&self) -> Vec<Vec<u8>> {
        vec![
            upgrade("/ws/prod?token=t", "chat"),
            upgrade("/ws/prod?token=%ff&token=%00&=&&a", "chat,,"),
            upgrade(&format!("/ws/prod?{}", "token=t&".repeat(500)), ""),
            upgrade("/ws/%ff?token=t", "chat"),
            upgrade("/ws/", "chat"),
            upgrade("/prod/@connections/Qyi07eCbtjMCJKw%3D", "chat"),
            b"POST /prod/@connections/%ff HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx".to_vec(),
            b"POST /prod/%40connections/Qyi07eCbtjMCJKw= HTTP/1.1\r\nhost: h\r\nauthorization: AWS4-HMAC-SHA256 \
              Credential=A/20240101/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=0\r\n\
              connection: close\r\n\r\n"
                .to_vec(),
        ]
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        let answer = match mutator.below(3) {
            0 => Some(mutator.mutate_json(&allowing_answer())),
            1 => Some(mutator.mutate_json(&accepting_answer())),
            _ => None,
        };
        *self.0.functions.0.lock().expect("no function panics") = answer;
        mutator.mutate_any(corpus)
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let response = exchange(self.0.address, input).await.ok_or("the connection is not closed")?;
        let is_http = response.is_empty() || response.starts_with(b"HTTP/1.");
        if is_http { Ok(()) } else { Err("the response is not HTTP".into()) }
    }
}

/// Messages of a connection, and bytes that are no frames.
struct Sessions(WebSocketServer);

/// The next text; None once the server has closed the connection.
async fn receive(socket: &mut WebSocketStream<TcpStream>) -> Option<String> {
    loop {
        let message = timeout(RESPONSE_TIMEOUT, socket.next()).await.expect("the server sends or closes in time");
        match message {
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

impl Target for Sessions {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let messages: [&[u8]; 5] =
            [br#"{"action":"ping"}"#, br#"{"action":"$connect"}"#, b"", b"hello", br#"{"action":[1e400]}"#];
        let mut sessions = vec![
            messages.join(SEPARATOR),
            vec![messages[0]; 100].join(SEPARATOR),
            "[".repeat(30_000).into_bytes(),
            "x".repeat(40_000).into_bytes(),
        ];
        sessions.extend(invalid_frames().map(<[u8]>::to_vec));
        sessions
    }

    /// Sends text as WebSocket messages. From the first part on that is not text, everything is sent as raw
    /// bytes. After text alone the server still answers on the connection, or has closed it.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let mut socket = self.0.open().await;
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
            let probe = r#"{"action":"ping","probe":true}"#;
            socket.send(Message::text(probe)).await.ok();
            while receive(&mut socket).await.is_some_and(|text| text != probe) {}
        } else {
            socket.get_mut().shutdown().await.ok();
        }
        socket.send(Message::Close(None)).await.ok();
        while receive(&mut socket).await.is_some() {}
        Ok(())
    }

    /// The server still accepts connections.
    async fn finish(&mut self) -> Result<(), String> {
        let mut socket = self.0.open().await;
        socket.send(Message::text(r#"{"action":"ping"}"#)).await.map_err(|error| error.to_string())?;
        receive(&mut socket).await.map(drop).ok_or_else(|| "the server does not answer".to_owned())
    }
}

#[tokio::test]
async fn websocket_texts() {
    fuzz("websocket texts", 400, &mut Texts).await;
}

#[tokio::test]
async fn websocket_handshakes() {
    fuzz("websocket handshakes", 80, &mut Handshakes(WebSocketServer::start().await)).await;
}

#[tokio::test]
async fn websocket_sessions() {
    fuzz("websocket sessions", 80, &mut Sessions(WebSocketServer::start().await)).await;
}
