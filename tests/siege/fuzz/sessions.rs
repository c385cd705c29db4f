//! Whole sessions over a WebSocket: frames of clients, in any order, and bytes that are no frames.
use futures::SinkExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use super::{Target, besiege};
use crate::{besieged::Besieged, dice::Dice, fuzz::documents::Documents, wire::Socket};

/// Stands between frames: no text has it.
const BETWEEN: &[u8] = b"\n\xff\n";

struct Sessions {
    besieged: Besieged,
    documents: Documents,
    /// What a client says in a session without a fault.
    fair: Vec<Value>,
}

impl Sessions {
    async fn new() -> Self {
        let besieged = Besieged::start().await;
        let socket = Socket::open(&besieged.endpoint).await;
        let init = json!({ "type": "connection_init" });
        let starts = ["a", "b", "a"].map(|id| socket.start_frame(id, "c1"));
        let fair = [vec![init], starts.into(), vec![json!({ "id": "a", "type": "stop" })]].concat();
        Self { besieged, documents: Documents::new(), fair }
    }

    fn start_of(&self, id: &str, query: &str) -> Value {
        let mut frame = self.fair[1].clone();
        frame["id"] = json!(id);
        frame["payload"]["data"] = json!(json!({ "query": query }).to_string());
        frame
    }
}

fn session(frames: &[Value]) -> Vec<u8> {
    frames.iter().map(|frame| frame.to_string().into_bytes()).collect::<Vec<_>>().join(BETWEEN)
}

fn pieces(mut session: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = session.windows(BETWEEN.len()).position(|bytes| bytes == BETWEEN) {
        pieces.push(&session[..at]);
        session = &session[at + BETWEEN.len()..];
    }
    pieces.push(session);
    pieces
}

impl Target for Sessions {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let init = self.fair[0].clone();
        let mut sessions = vec![
            session(&self.fair),
            session(&self.fair[1..]),
            session(&[init.clone(), init.clone(), json!({ "type": "stop", "id": "never" }), json!({ "type": "ka" })]),
            session(&[init.clone(), json!([]), json!(1), json!({ "type": 1 }), json!({ "type": "start", "id": "x" })]),
            session(&[init.clone(), self.start_of(&"i".repeat(500_000), "{ a }")]),
            session(&[init.clone(), self.start_of("m", "mutation { publish(id: 1) { id } }")]),
            session(&vec![init.clone(); 300]),
            [session(std::slice::from_ref(&init)), BETWEEN.to_vec(), "[".repeat(200_000).into_bytes()].concat(),
            // No frames: a reserved opcode, a text that is none, a length that nobody has, an unmasked one, half of one.
            b"\x83\x80\0\0\0\0".to_vec(),
            b"\x81\x82\0\0\0\0\xc3\x28".to_vec(),
            b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(),
            b"\x81\xff\0\0\0\0\0\x90\0\0\0\0\0\0".to_vec(),
            b"\x81\x01a".to_vec(),
            b"\x01\x81\0\0\0\0a\x01\x81\0\0\0\0b".to_vec(),
            b"\x89\xfe\x10\0\0\0\0\0".to_vec(),
        ];
        sessions
            .extend(self.documents.hostile().iter().map(|query| session(&[init.clone(), self.start_of("h", query)])));
        sessions
    }

    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(3) {
            return dice.mutated(corpus);
        }
        let mut frames = self.fair.clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(frames.len());
            let frame = match dice.below(3) {
                0 => self.start_of("d", &self.documents.composed(dice)),
                1 => frames[dice.below(frames.len())].clone(),
                _ => dice.mutated_json(&frames[at]),
            };
            frames.insert(at + 1, frame);
        }
        session(&frames)
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let mut socket = Socket::open(&self.besieged.endpoint).await;
        let mut is_fair = true;
        for piece in pieces(input) {
            match std::str::from_utf8(piece) {
                Ok(text) if is_fair => socket.say_text(text.to_owned()).await,
                _ => {
                    is_fair = false;
                    socket.stream.get_mut().write_all(piece).await.ok();
                }
            }
        }
        if is_fair {
            self.probe(&mut socket).await?;
        } else {
            socket.stream.get_mut().shutdown().await.ok();
        }
        socket.stream.send(Message::Close(None)).await.ok();
        while socket.hear().await.is_some() {}
        self.besieged.holds(200)
    }
}

impl Sessions {
    /// The connection serves on, unless it has been closed.
    async fn probe(&mut self, socket: &mut Socket) -> Result<(), String> {
        socket.say(&self.fair[0]).await;
        socket.say(&json!({ "id": "probe", "type": "stop" })).await;
        while let Some(frame) = socket.hear().await {
            if frame["type"] == "complete" && frame["id"] == "probe" {
                break;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn sessions_of_sockets() {
    besiege("sessions", 40, &mut Sessions::new().await).await;
}
