//! What is written down of a run beside what the table keeps.
use std::collections::BTreeMap;

use api::types::SenderKind;
use local::stack::Function;
use serde_json::Value;
use turn::{
    mutation::{Mutation, Update},
    types::ModelRequest,
};

use crate::{checker, evidence::Transcript, world::World};

#[derive(Default)]
pub struct Record {
    pub streams: Vec<Stream>,
    pub chains: Vec<Chain>,
    /// By turn, attempt and sequence: every update that left a handler.
    pub sent: BTreeMap<Number, Vec<u8>>,
    /// The texts of messages whose sending was acknowledged, by turn.
    pub acknowledged: BTreeMap<String, String>,
    /// The most writes that one published update took.
    pub most_writes: u32,
    pub violations: Vec<String>,
}

pub type Number = (String, u32, u32);

/// One answer of the model.
pub struct Stream {
    pub transcript: Transcript,
    pub heard: String,
    /// Answers that a retry had replaced by then.
    pub replaced: Vec<String>,
    /// Whose it was, known from what its handler published.
    pub attempt: Option<(String, u32)>,
}

/// An order to Lambda with its retries.
pub struct Chain {
    pub turn_id: String,
    pub run: u64,
    pub closes: bool,
    /// Whether its last try succeeded.
    pub ended: Option<bool>,
}

impl Record {
    pub fn ordered(&mut self, function: &Function, payload: &Value) -> usize {
        let closes = function.event_invoke.on_failure.is_none();
        let order = if closes { &payload["requestPayload"] } else { payload };
        self.chains.push(Chain {
            turn_id: order["turnId"].as_str().unwrap_or_default().to_owned(),
            run: order["run"].as_u64().unwrap_or_default(),
            closes,
            ended: None,
        });
        self.chains.len() - 1
    }

    pub fn asked(&mut self, world: &World, request: &ModelRequest) -> usize {
        let transcript = request.transcript.iter().map(|said| (said.role == SenderKind::User, said.texts.clone()));
        let items = world.stage.items(&format!("CONVERSATION#{}", world.conversation()));
        self.streams.push(Stream {
            transcript: transcript.collect(),
            heard: String::new(),
            replaced: checker::replaced(&items),
            attempt: None,
        });
        self.streams.len() - 1
    }

    /// The bytes of a number never change once sent.
    pub fn sends(&mut self, mutation: &Mutation, body: &[u8], streams: &[usize]) {
        let claim = &mutation.claim;
        for stream in streams {
            self.streams[*stream].attempt = Some((claim.turn_id.clone(), claim.attempt));
        }
        if let Update::Stored(_) = mutation.update {
            return; // tells what is stored, with its bytes left out
        }
        let number = (claim.turn_id.clone(), claim.attempt, mutation.sequence);
        let sent = self.sent.entry(number.clone()).or_insert_with(|| body.to_vec());
        if sent != body {
            self.violations.push(format!("invariant 7: number {number:?} was sent with two contents"));
        }
    }

    pub fn published(&mut self, body: &str, writes: u32) {
        if body.contains("agentPublishMetadata") {
            self.most_writes = self.most_writes.max(writes);
        }
    }

    /// The turn's id, if Lambda has carried out every order of its last run, to the closer's.
    pub fn attended(&self, turn: &Value) -> Option<String> {
        let (id, run) = (turn["id"].as_str()?, turn["run"].as_u64());
        let of_run = || self.chains.iter().filter(|chain| chain.turn_id == id && Some(chain.run) == run);
        let done = of_run().all(|chain| chain.ended == Some(true) || !chain.closes && chain.ended == Some(false));
        (of_run().count() > 0 && done).then(|| id.to_owned())
    }
}
