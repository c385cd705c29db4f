//! A fake API on a free port: GraphQL responses that a test sets, and sockets that a test can cut.
use std::sync::{Arc, Mutex, MutexGuard};

use futures::{
    SinkExt, StreamExt,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

#[derive(Clone)]
pub struct FakeApi {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// The first response whose pattern occurs in the request body is sent.
    responses: Vec<CannedResponse>,
    /// The frame that answers `connection_init` in place of `connection_ack`.
    connection_error: Option<Value>,
    sockets: Vec<UnboundedSender<SocketCommand>>,
    /// The sub-protocols that each socket's handshake carried.
    protocols: Vec<String>,
    /// Every frame that clients have sent.
    frames: Vec<Value>,
}

struct CannedResponse {
    /// A part of the request body, such as the name of its operation.
    pattern: &'static str,
    status: u16,
    body: Value,
}

#[derive(Clone)]
enum SocketCommand {
    Publish(Value),
    Cut,
}

impl FakeApi {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let server = Self { url, shared: Arc::default() };
        tokio::spawn(server.clone().listen(listener));
        server
    }

    /// Sets the response to requests whose body contains the pattern, in place of an earlier response.
    pub fn respond(&self, pattern: &'static str, status: u16, body: Value) {
        let mut shared = self.shared();
        shared.responses.retain(|response| response.pattern != pattern);
        shared.responses.push(CannedResponse { pattern, status, body });
    }

    /// Answers every `connection_init` with this frame.
    pub fn refuse_connections(&self, frame: Value) {
        self.shared().connection_error = Some(frame);
    }

    /// Sends an update to every subscription on every socket.
    pub fn publish(&self, update: &Value) {
        self.command(&SocketCommand::Publish(json!({ "data": { "onConversationUpdate": update } })));
    }

    pub fn cut_sockets(&self) {
        self.command(&SocketCommand::Cut);
        self.shared().sockets.clear();
    }

    pub fn protocols(&self) -> Vec<String> {
        self.shared().protocols.clone()
    }

    pub fn frames(&self, kind: &str) -> Vec<Value> {
        self.shared().frames.iter().filter(|frame| frame["type"] == kind).cloned().collect()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn command(&self, command: &SocketCommand) {
        self.shared().sockets.retain(|socket| socket.unbounded_send(command.clone()).is_ok());
    }

    async fn listen(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(self.clone().serve(stream));
        }
    }

    async fn serve(self, stream: TcpStream) {
        let mut first = [0; 1];
        stream.peek(&mut first).await.unwrap();
        if first == *b"G" { self.serve_socket(stream).await } else { self.serve_http(stream).await }
    }

    async fn serve_http(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let (status, response) = self.response_to(&String::from_utf8(body).unwrap());
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", response.len());
        stream.write_all((head + &response).as_bytes()).await.unwrap();
    }

    fn response_to(&self, body: &str) -> (u16, String) {
        let shared = self.shared();
        let response = shared.responses.iter().find(|response| body.contains(response.pattern));
        let response = response.unwrap_or_else(|| panic!("no response is set for {body}"));
        (response.status, response.body.to_string())
    }

    async fn serve_socket(self, stream: TcpStream) {
        let shared = self.shared.clone();
        #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let accept_protocol = move |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let protocols = request.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
            shared.lock().unwrap().protocols.push(protocols);
            response.headers_mut().insert("sec-websocket-protocol", "graphql-ws".parse().unwrap());
            Ok(response)
        };
        let socket = accept_hdr_async(stream, accept_protocol).await.unwrap();
        let (sender, commands) = unbounded();
        self.shared().sockets.push(sender);
        self.run_socket(socket, commands).await;
    }

    async fn run_socket(self, mut socket: WebSocketStream<TcpStream>, mut commands: UnboundedReceiver<SocketCommand>) {
        let mut subscriptions = Vec::new();
        loop {
            let frames = tokio::select! {
                command = commands.next() => match command {
                    Some(SocketCommand::Publish(payload)) => data_frames(&subscriptions, &payload),
                    Some(SocketCommand::Cut) | None => return,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.handle_frame(&text, &mut subscriptions),
                    Some(Ok(_)) => Vec::new(),
                    Some(Err(_)) | None => return,
                },
            };
            for frame in frames {
                socket.send(Message::text(frame.to_string())).await.unwrap();
            }
        }
    }

    fn handle_frame(&self, text: &str, subscriptions: &mut Vec<Value>) -> Vec<Value> {
        let frame: Value = serde_json::from_str(text).unwrap();
        let mut shared = self.shared();
        shared.frames.push(frame.clone());
        let id = &frame["id"];
        match frame["type"].as_str().unwrap() {
            "connection_init" => {
                let ack = json!({ "type": "connection_ack", "payload": { "connectionTimeoutMs": 300_000 } });
                vec![shared.connection_error.clone().unwrap_or(ack), json!({ "type": "ka" })]
            }
            "start" => {
                subscriptions.push(id.clone());
                vec![json!({ "type": "start_ack", "id": id })]
            }
            "stop" => {
                subscriptions.retain(|subscription| subscription != id);
                vec![json!({ "type": "complete", "id": id })]
            }
            other => panic!("a client does not send {other} frames"),
        }
    }
}

fn data_frames(subscriptions: &[Value], payload: &Value) -> Vec<Value> {
    subscriptions.iter().map(|id| json!({ "type": "data", "id": id, "payload": payload })).collect()
}
