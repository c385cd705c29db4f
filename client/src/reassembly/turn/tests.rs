mod attempts;
mod ends;
mod gaps;
mod waiting;

use serde_json::{Value, json};

use super::*;

/// A turn and its clock.
struct Harness {
    turn: TurnReassembly,
    now: Instant,
}

impl Harness {
    fn new() -> Self {
        let now = Instant::now();
        Self { turn: TurnReassembly::new(now), now }
    }

    /// A turn that received its first update and then these batches.
    fn with_batches(batches: &[&str]) -> Self {
        let mut harness = Self::new();
        harness.receive(1, 1, json!({ "status": "RUNNING" }), question());
        for (text, sequence) in batches.iter().zip(2..) {
            harness.receive_text(1, sequence, text);
        }
        harness
    }

    fn receive(&mut self, attempt: u32, sequence: u32, metadata: Value, event: Value) -> Vec<Change> {
        let update = json!({ "conversationId": "c", "turnId": "t", "attempt": attempt, "sequence": sequence,
            "metadata": metadata, "event": event });
        self.turn.on_update(&serde_json::from_value(update).unwrap(), self.now);
        self.drain_changes()
    }

    fn receive_text(&mut self, attempt: u32, sequence: u32, text: &str) -> Vec<Change> {
        self.receive(attempt, sequence, json!({ "status": "RUNNING", "agentPartialMessage": text }), Value::Null)
    }

    fn respond(&mut self, turn: Value) -> Vec<Change> {
        self.turn.on_turn(&serde_json::from_value(turn).unwrap(), self.now);
        self.drain_changes()
    }

    fn advance(&mut self, seconds: u64) -> Option<TurnQuery> {
        self.now += Duration::from_secs(seconds);
        self.turn.advance(self.now);
        self.turn.poll_query()
    }

    fn drain_changes(&mut self) -> Vec<Change> {
        std::iter::from_fn(|| self.turn.poll_change()).collect()
    }
}

fn event(kind: &str, position: u32, text: &str, stop_reason: Option<&str>) -> Value {
    json!({ "id": format!("e{position}"), "conversationId": "c", "position": position, "turnId": "t",
        "sender": { "kind": kind }, "content": [{ "text": text }], "text": text, "stopReason": stop_reason,
        "createdAt": "2026-01-01T00:00:00Z" })
}

fn question() -> Value {
    event("USER", 1, "Why?", None)
}

fn last_event(text: &str) -> Value {
    event("AGENT", 2, text, Some("END_TURN"))
}

/// An agent's event, which may be of an earlier attempt.
fn agent_event(attempt: u32, position: u32, text: &str, stop_reason: Option<&str>) -> Value {
    let mut event = event("AGENT", position, text, stop_reason);
    event["attempt"] = attempt.into();
    event
}

fn continuing_metadata() -> Value {
    json!({ "status": "RUNNING", "continues": true })
}

fn turn(attempt: u32, status: &str, batches: &[(u32, &str)], answer: Value) -> Value {
    let batches = batches.iter().map(|(sequence, text)| {
        let metadata = json!({ "status": "RUNNING", "agentPartialMessage": text });
        json!({ "attempt": attempt, "sequence": sequence, "metadata": metadata })
    });
    json!({ "id": "t", "conversationId": "c", "status": status, "run": 1, "attempt": attempt, "question": question(),
        "answer": answer, "batches": batches.collect::<Vec<_>>(), "hasMoreBatches": false })
}

fn appended(text: &str) -> Change {
    Change::Appended(text.to_owned())
}

fn replaced(text: &str) -> Change {
    Change::Replaced(text.to_owned())
}

fn completed() -> Change {
    let stop_reason = Some(StopReason::EndTurn);
    Change::Ended(TurnEnd { status: TurnStatus::Completed, stop_reason, failure: None, usage: None })
}

fn query(attempt: u32, after_sequence: u32) -> Option<TurnQuery> {
    Some(TurnQuery { attempt: Some(attempt), after_sequence })
}
