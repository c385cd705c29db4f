mod attempts;
mod ends;
mod gaps;

use serde_json::{Value, json};

use super::*;

/// A rule and its clock.
struct Bench {
    rule: TurnRule,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self { rule: TurnRule::new(now), now }
    }

    /// Hears the first update and these batches after it.
    fn hearing(batches: &[&str]) -> Self {
        let mut bench = Self::new();
        bench.hear(1, 1, json!({ "status": "RUNNING" }), question());
        for (text, sequence) in batches.iter().zip(2..) {
            bench.hear_text(1, sequence, text);
        }
        bench
    }

    fn hear(&mut self, attempt: u32, sequence: u32, metadata: Value, event: Value) -> Vec<Change> {
        let update = json!({ "conversationId": "c", "turnId": "t", "attempt": attempt, "sequence": sequence,
            "metadata": metadata, "event": event });
        self.rule.update(&serde_json::from_value(update).unwrap(), self.now);
        self.changes()
    }

    fn hear_text(&mut self, attempt: u32, sequence: u32, text: &str) -> Vec<Change> {
        self.hear(attempt, sequence, json!({ "status": "RUNNING", "agentPartialMessage": text }), Value::Null)
    }

    fn refill(&mut self, turn: Value) -> Vec<Change> {
        self.rule.refilled(&serde_json::from_value(turn).unwrap(), self.now);
        self.changes()
    }

    fn pass(&mut self, seconds: u64) -> Option<Refill> {
        self.now += Duration::from_secs(seconds);
        self.rule.advance(self.now);
        self.rule.poll_refill()
    }

    fn changes(&mut self) -> Vec<Change> {
        std::iter::from_fn(|| self.rule.poll_change()).collect()
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

fn last(text: &str) -> Value {
    event("AGENT", 2, text, Some("END_TURN"))
}

/// An agent's event of an earlier run or of this one.
fn said_by(attempt: u32, position: u32, text: &str, stop_reason: Option<&str>) -> Value {
    let mut said = event("AGENT", position, text, stop_reason);
    said["attempt"] = attempt.into();
    said
}

fn continuing() -> Value {
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

fn text(text: &str) -> Change {
    Change::Text(text.to_owned())
}

fn replaced(text: &str) -> Change {
    Change::Replaced(text.to_owned())
}

fn completed() -> Change {
    let stop_reason = Some(StopReason::EndTurn);
    Change::Ended(Ending { status: TurnStatus::Completed, stop_reason, failure: None, usage: None })
}

fn asks(attempt: u32, after_sequence: u32) -> Option<Refill> {
    Some(Refill { attempt: Some(attempt), after_sequence })
}
