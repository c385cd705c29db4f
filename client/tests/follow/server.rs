//! A small API on a free port: GraphQL answers that a test sets, and sockets that a test can cut.
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
pub struct Server {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// By a piece of the request, such as the name of its operation: an HTTP status and a body.
    answers: Vec<(&'static str, u16, Value)>,
    /// The first frame in place of an acknowledgement.
    refusal: Option<Value>,
    sockets: Vec<UnboundedSender<Order>>,
    /// The sub-protocols of every socket.
    protocols: Vec<String>,
    /// Everything that clients sent over sockets.
    frames: Vec<Value>,
}

#[derive(Clone)]
enum Order {
    Publish(Value),
    Cut,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let server = Self { url, shared: Arc::default() };
        tokio::spawn(server.clone().listen(listener));
        server
    }

    pub fn answer(&self, piece: &'static str, status: u16, body: Value) {
        let mut shared = self.shared();
        shared.answers.retain(|(known, ..)| *known != piece);
        shared.answers.push((piece, status, body));
    }

    pub fn refuse_sockets(&self, frame: Value) {
        self.shared().refusal = Some(frame);
    }

    /// Sends to every subscription on every socket.
    pub fn publish(&self, update: &Value) {
        self.order(&Order::Publish(json!({ "data": { "onConversationUpdate": update } })));
    }

    pub fn cut_sockets(&self) {
        self.order(&Order::Cut);
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

    fn order(&self, order: &Order) {
        self.shared().sockets.retain(|socket| socket.unbounded_send(order.clone()).is_ok());
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
        let (status, answer) = self.answer_to(&String::from_utf8(body).unwrap());
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).await.unwrap();
    }

    fn answer_to(&self, body: &str) -> (u16, String) {
        let shared = self.shared();
        let known = shared.answers.iter().find(|(piece, ..)| body.contains(piece));
        let (_, status, answer) = known.unwrap_or_else(|| panic!("no answer is set for {body}"));
        (*status, answer.to_string())
    }

    async fn serve_socket(self, stream: TcpStream) {
        let shared = self.shared.clone();
        #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let greet = move |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let protocols = request.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
            shared.lock().unwrap().protocols.push(protocols);
            response.headers_mut().insert("sec-websocket-protocol", "graphql-ws".parse().unwrap());
            Ok(response)
        };
        let socket = accept_hdr_async(stream, greet).await.unwrap();
        let (sender, orders) = unbounded();
        self.shared().sockets.push(sender);
        self.talk(socket, orders).await;
    }

    async fn talk(self, mut socket: WebSocketStream<TcpStream>, mut orders: UnboundedReceiver<Order>) {
        let mut subscriptions = Vec::new();
        loop {
            let frames = tokio::select! {
                order = orders.next() => match order {
                    Some(Order::Publish(payload)) => data_frames(&subscriptions, &payload),
                    Some(Order::Cut) | None => return,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.reply(&text, &mut subscriptions),
                    Some(Ok(_)) => Vec::new(),
                    Some(Err(_)) | None => return,
                },
            };
            for frame in frames {
                socket.send(Message::text(frame.to_string())).await.unwrap();
            }
        }
    }

    fn reply(&self, text: &str, subscriptions: &mut Vec<Value>) -> Vec<Value> {
        let frame: Value = serde_json::from_str(text).unwrap();
        let mut shared = self.shared();
        shared.frames.push(frame.clone());
        let id = &frame["id"];
        match frame["type"].as_str().unwrap() {
            "connection_init" => {
                let ack = json!({ "type": "connection_ack", "payload": { "connectionTimeoutMs": 300_000 } });
                vec![shared.refusal.clone().unwrap_or(ack), json!({ "type": "ka" })]
            }
            "start" => {
                subscriptions.push(id.clone());
                vec![json!({ "type": "start_ack", "id": id })]
            }
            "stop" => {
                subscriptions.retain(|known| known != id);
                vec![json!({ "type": "complete", "id": id })]
            }
            other => panic!("{other} is no frame of a client"),
        }
    }
}

fn data_frames(subscriptions: &[Value], payload: &Value) -> Vec<Value> {
    subscriptions.iter().map(|id| json!({ "type": "data", "id": id, "payload": payload })).collect()
}
