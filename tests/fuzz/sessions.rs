//! Whole sessions over a WebSocket: valid frames in any order, mutated frames, and bytes that are no frames.
use futures::SinkExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    documents::DocumentGenerator,
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    support::{hostile_documents::hostile_documents, server_under_test::ServerUnderTest, websocket::WebSocket},
};

/// Separates the frames of an input. It is not valid UTF-8, so no text frame contains it.
pub const SEPARATOR: &[u8] = b"\n\xff\n";

struct Sessions {
    server: ServerUnderTest,
    documents: DocumentGenerator,
    /// The frames of a valid session, `connection_init` first.
    valid_frames: Vec<Value>,
}

impl Sessions {
    async fn new() -> Self {
        let server = ServerUnderTest::start().await;
        let socket = WebSocket::open(&server.endpoint).await;
        let mut valid_frames = vec![json!({ "type": "connection_init" })];
        valid_frames.extend(["a", "b", "a"].map(|id| socket.start_frame(id, "c1")));
        valid_frames.push(json!({ "id": "a", "type": "stop" }));
        Self { server, documents: DocumentGenerator::new(), valid_frames }
    }

    fn start_frame(&self, id: &str, document: &str) -> Value {
        let mut frame = self.valid_frames[1].clone();
        frame["id"] = json!(id);
        frame["payload"]["data"] = json!(json!({ "query": document }).to_string());
        frame
    }
}

pub fn session(frames: &[Value]) -> Vec<u8> {
    frames.iter().map(|frame| frame.to_string().into_bytes()).collect::<Vec<_>>().join(SEPARATOR)
}

pub fn split_frames(mut session: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some(position) = session.windows(SEPARATOR.len()).position(|bytes| bytes == SEPARATOR) {
        frames.push(&session[..position]);
        session = &session[position + SEPARATOR.len()..];
    }
    frames.push(session);
    frames
}

/// Bytes that violate the WebSocket protocol.
pub fn invalid_frames() -> [&'static [u8]; 7] {
    [
        b"\x83\x80\0\0\0\0",                                 // reserved opcode
        b"\x81\x82\0\0\0\0\xc3\x28",                         // text that is not UTF-8
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", // giant length
        b"\x81\xff\0\0\0\0\0\x90\0\0\0\0\0\0",               // incomplete frame
        b"\x81\x01a",                                        // unmasked
        b"\x01\x81\0\0\0\0a\x01\x81\0\0\0\0b",               // two first fragments
        b"\x89\xfe\x10\0\0\0\0\0",                           // long ping
    ]
}

impl Target for Sessions {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let init = self.valid_frames[0].clone();
        let mut sessions = vec![
            session(&self.valid_frames),
            session(&self.valid_frames[1..]),
            session(&[init.clone(), init.clone(), json!({ "type": "stop", "id": "never" }), json!({ "type": "ka" })]),
            session(&[init.clone(), json!([]), json!(1), json!({ "type": 1 }), json!({ "type": "start", "id": "x" })]),
            session(&[init.clone(), self.start_frame(&"i".repeat(500_000), "{ a }")]),
            session(&[init.clone(), self.start_frame("m", "mutation { publish(id: 1) { id } }")]),
            session(&vec![init.clone(); 300]),
            [init.to_string().as_bytes(), SEPARATOR, "[".repeat(200_000).as_bytes()].concat(),
        ];
        sessions.extend(invalid_frames().map(<[u8]>::to_vec));
        let hostile_sessions = hostile_documents();
        sessions
            .extend(hostile_sessions.iter().map(|document| session(&[init.clone(), self.start_frame("h", document)])));
        sessions
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let mut frames = self.valid_frames.clone();
        for _ in 0..=mutator.below(4) {
            let position = mutator.below(frames.len());
            let frame = match mutator.below(3) {
                0 => self.start_frame("d", &self.documents.generate(mutator)),
                1 => frames[mutator.below(frames.len())].clone(),
                _ => mutator.mutate_json(&frames[position]),
            };
            frames.insert(position + 1, frame);
        }
        session(&frames)
    }

    /// Sends text as WebSocket frames. From the first frame on that is not text, everything is sent as raw
    /// bytes.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let mut socket = WebSocket::open(&self.server.endpoint).await;
        let mut is_valid = true;
        for frame in split_frames(input) {
            match std::str::from_utf8(frame) {
                Ok(text) if is_valid => socket.send_text(text.to_owned()).await,
                _ => {
                    is_valid = false;
                    socket.stream.get_mut().write_all(frame).await.ok();
                }
            }
        }
        if is_valid {
            self.check_connection(&mut socket).await;
        } else {
            socket.stream.get_mut().shutdown().await.ok();
        }
        socket.stream.send(Message::Close(None)).await.ok();
        while socket.receive().await.is_some() {}
        self.server.check_health(200)
    }
}

impl Sessions {
    /// The server still responds on the connection, or has closed it.
    async fn check_connection(&mut self, socket: &mut WebSocket) {
        socket.send(&self.valid_frames[0]).await;
        socket.send(&json!({ "id": "probe", "type": "stop" })).await;
        while let Some(frame) = socket.receive().await {
            if frame["type"] == "complete" && frame["id"] == "probe" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn websocket_sessions() {
    fuzz("sessions", 40, &mut Sessions::new().await).await;
}
