//! Records what happens in a run and leaves no trace in the table.
use std::collections::{BTreeMap, BTreeSet};

use local::stack::{FailureDestination, Function};
use serde_json::Value;
use tokio::time::Instant;
use turn::{
    knowledge::Passage,
    model::{ModelRequest, TranscriptMessage},
    mutation::{Mutation, Update},
};

use crate::{
    checker::{self, Violation},
    environment::Environment,
    observations::{Sizes, SupersededText},
    tools::ToolCounters,
    users::ToolAnswers,
};

#[derive(Default)]
pub struct Recorder {
    pub model_calls: Vec<ModelCall>,
    pub events: Vec<EventDelivery>,
    /// The body of every update that left a handler.
    pub sent_updates: BTreeMap<UpdateId, Vec<u8>>,
    /// The texts of messages whose sending was acknowledged, by turn.
    pub acknowledged: BTreeMap<String, String>,
    /// The turn that each message was to replace, by the id of the message.
    pub replacements: BTreeMap<String, String>,
    /// What searches have found.
    pub passages: Vec<Passage>,
    /// When the database of the documents is no longer paused, if it was.
    pub resumed_at: Option<Instant>,
    /// What has happened in tools.
    pub tool_counters: ToolCounters,
    /// What users have answered to tool calls.
    pub tool_answers: ToolAnswers,
    /// The most writes of one published batch.
    pub max_writes_per_batch: u32,
    /// When each batch was last written, by partition and sort key, in milliseconds since 1970.
    pub batch_writes: BTreeMap<(String, String), u64>,
    /// When the first purge began, in milliseconds since 1970.
    pub first_purge_ms: Option<u64>,
    /// How many clients of the table were made.
    pub tables: u64,
    /// The number of killed invocations.
    pub kills: u32,
    /// What the run has reached before the conversation was deleted.
    pub sizes: Sizes,
    /// How often the run's mutant has changed something.
    pub mutations: u64,
    /// Violations that show while the run is in progress.
    pub violations: Vec<Violation>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpdateId {
    turn_id: String,
    attempt: u32,
    sequence: u32,
}

pub struct ModelCall {
    pub transcript: Vec<TranscriptMessage>,
    /// The text that the handler received, each delta with its block.
    pub received_deltas: Vec<(u32, String)>,
    /// What was superseded by then.
    pub superseded_texts: Vec<SupersededText>,
    /// Turn and attempt of the caller, known once its handler publishes.
    pub attempt: Option<(String, u32)>,
}

/// The delivery of an event to a function, with its retries.
pub struct EventDelivery {
    turn_id: String,
    run: u64,
    pub is_purge: bool,
    is_for_closer: bool,
    pub state: DeliveryState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Pending,
    Succeeded,
    /// Discarded after its last retry.
    Discarded,
}

impl Recorder {
    /// Returns the index of the delivery.
    pub fn record_event(&mut self, function: &Function, payload: &Value) -> usize {
        let is_for_closer = !matches!(function.event_invoke.on_failure, Some(FailureDestination::Function(_)));
        let event = if is_for_closer { &payload["requestPayload"] } else { payload };
        self.events.push(EventDelivery {
            turn_id: event["turnId"].as_str().unwrap_or_default().to_owned(),
            run: event["run"].as_u64().unwrap_or_default(),
            is_purge: payload["type"] == "purge",
            is_for_closer,
            state: DeliveryState::Pending,
        });
        self.events.len() - 1
    }

    /// Returns the index of the model call.
    pub fn record_model_call(&mut self, environment: &Environment, request: &ModelRequest) -> usize {
        let items = environment.fixture.items(&format!("CONVERSATION#{}", environment.conversation_id()));
        self.model_calls.push(ModelCall {
            transcript: request.transcript.clone(),
            received_deltas: Vec::new(),
            superseded_texts: checker::superseded_texts(&items),
            attempt: None,
        });
        self.model_calls.len() - 1
    }

    /// Records an update that leaves a handler. An update must have the same body whenever it is sent.
    pub fn record_update(&mut self, mutation: &Mutation, body: &[u8], model_calls: &[usize]) {
        let claim = &mutation.claim;
        for model_call in model_calls {
            self.model_calls[*model_call].attempt = Some((claim.turn_id.clone(), claim.attempt));
        }
        if let Update::Stored(_) = mutation.update {
            // An update about a stored event leaves the event's text out.
            return;
        }
        let id = UpdateId { turn_id: claim.turn_id.clone(), attempt: claim.attempt, sequence: mutation.sequence };
        let first_body = self.sent_updates.entry(id.clone()).or_insert_with(|| body.to_vec());
        if first_body != body {
            self.violations.push(Violation::new(7, format!("{id:?} was sent with two different bodies")));
        }
    }

    pub fn record_publish(&mut self, body: &str, writes: u32) {
        if body.contains("agentPublishMetadata") {
            self.max_writes_per_batch = self.max_writes_per_batch.max(writes);
        }
    }

    /// The turns about which events were sent.
    pub fn turn_ids(&self) -> BTreeSet<String> {
        self.events.iter().filter(|event| !event.is_purge).map(|event| event.turn_id.clone()).collect()
    }

    /// When the first purge began, in milliseconds since 1970, if one has succeeded.
    pub fn successful_purge_ms(&self) -> Option<u64> {
        let mut purges = self.events.iter().filter(|event| event.is_purge);
        let is_purged = purges.any(|event| event.state == DeliveryState::Succeeded);
        self.first_purge_ms.filter(|_| is_purged)
    }

    /// Whether every event of the turn's last run succeeded, or was discarded and passed to the closer.
    pub fn is_settled(&self, turn: &Value) -> bool {
        let is_of_last_run = |event: &&EventDelivery| turn["id"] == event.turn_id.as_str() && turn["run"] == event.run;
        let mut events = self.events.iter().filter(is_of_last_run).peekable();
        events.peek().is_some() && events.all(EventDelivery::is_settled)
    }
}

impl EventDelivery {
    fn is_settled(&self) -> bool {
        match self.state {
            DeliveryState::Pending => false,
            DeliveryState::Succeeded => true,
            DeliveryState::Discarded => !self.is_for_closer,
        }
    }
}
