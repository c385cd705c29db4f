use serde_json::{Value, json};

use super::*;
use crate::reassembly::turn::TurnQuery;

/// A followed conversation and its clock.
struct Harness {
    reassembly: ConversationReassembly,
    now: Instant,
}

impl Harness {
    /// Subscribed, with the first fetch in flight.
    fn awaiting_first_response() -> Self {
        let mut harness = Self { reassembly: ConversationReassembly::new(), now: Instant::now() };
        harness.reassembly.on_subscribed();
        assert_eq!(harness.drain_fetches(), [Fetch::Events { after: None }]);
        harness
    }

    /// Subscribed to a conversation without events.
    fn following() -> Self {
        let mut harness = Self::awaiting_first_response();
        harness.respond(json!([]));
        harness
    }

    fn respond(&mut self, items: Value) {
        let page = json!({ "activeTurn": null, "events": { "items": items, "hasMore": false } });
        self.reassembly.on_events(&serde_json::from_value(page).unwrap(), self.now);
    }

    fn receive_question(&mut self, turn_id: &str, position: u32) {
        let update = json!({ "conversationId": "c", "turnId": turn_id, "attempt": 1, "sequence": 1,
            "metadata": { "status": "RUNNING" }, "event": event(turn_id, position) });
        self.reassembly.on_update(&serde_json::from_value(update).unwrap(), self.now);
    }

    fn receive_end(&mut self, turn_id: &str, position: u32) {
        let mut event = event(turn_id, position);
        event["sender"]["kind"] = "AGENT".into();
        event["stopReason"] = "END_TURN".into();
        let update = json!({ "conversationId": "c", "turnId": turn_id, "attempt": 1, "sequence": 2,
            "metadata": { "status": "COMPLETED" }, "event": event });
        self.reassembly.on_update(&serde_json::from_value(update).unwrap(), self.now);
    }

    fn advance(&mut self, time: Duration) -> Vec<Fetch> {
        self.now += time;
        self.reassembly.advance(self.now);
        self.drain_fetches()
    }

    fn drain_changed_turns(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.reassembly.poll_change()).map(|change| change.turn_id).collect()
    }

    fn drain_fetches(&mut self) -> Vec<Fetch> {
        std::iter::from_fn(|| self.reassembly.poll_fetch()).collect()
    }
}

fn event(turn_id: &str, position: u32) -> Value {
    json!({ "id": turn_id, "conversationId": "c", "position": position, "turnId": turn_id,
        "sender": { "kind": "USER" }, "content": [{ "text": "Why?" }], "text": "Why?",
        "createdAt": "2026-01-01T00:00:00Z" })
}

fn fetch_turn(turn_id: &str) -> Fetch {
    Fetch::Turn { turn_id: turn_id.into(), query: TurnQuery { attempt: None, after_sequence: 0 } }
}

#[test]
fn turn_whose_updates_were_all_lost_is_found_by_the_periodic_check() {
    let mut harness = Harness::following();
    assert_eq!(harness.advance(CHECK_INTERVAL.checked_sub(Duration::from_secs(1)).unwrap()), []);
    assert_eq!(harness.reassembly.wake_at(), Some(harness.now + Duration::from_secs(1)));
    assert_eq!(harness.advance(Duration::from_secs(1)), [Fetch::Events { after: Some(0) }]);
    harness.respond(json!([event("t1", 1), event("t1", 2)]));
    assert_eq!(harness.drain_fetches(), [fetch_turn("t1")]);
    assert_eq!(harness.reassembly.wake_at(), Some(harness.now + CHECK_INTERVAL));
}

#[test]
fn events_are_fetched_from_the_first_update_seen() {
    let mut harness = Harness::awaiting_first_response();
    harness.receive_question("t2", 4);
    harness.respond(json!([event("t3", 9)]));
    let fetches = harness.drain_fetches();
    assert!(fetches.contains(&Fetch::Events { after: Some(3) }), "events between 4 and 9 may have been missed");
}

#[test]
fn follower_without_updates_starts_at_the_newest_event() {
    let mut harness = Harness::awaiting_first_response();
    harness.respond(json!([event("t3", 9)]));
    assert_eq!(harness.drain_fetches(), []);
    harness.receive_question("t4", 10);
    assert_eq!(harness.drain_fetches(), [], "no event lies between 9 and 10");
}

#[test]
fn removed_turn_is_not_displayed_again() {
    let mut harness = Harness::following();
    harness.receive_question("first", 1);
    harness.receive_end("first", 2);
    assert!(harness.drain_changed_turns().contains(&"first".to_owned()));
    harness.reassembly.on_subscribed();
    assert!(
        harness.drain_fetches().contains(&Fetch::Turn {
            turn_id: "first".into(),
            query: TurnQuery { attempt: Some(1), after_sequence: 2 }
        })
    );
    // The response with the missed events comes before the turn's.
    let missed = (2..=MAX_TURNS as u32 + 1).map(|number| event(&format!("t{number}"), 2 * number - 1));
    harness.respond(missed.collect());
    harness.drain_fetches();
    let first = json!({ "id": "first", "conversationId": "c", "status": "COMPLETED", "run": 1, "attempt": 1 });
    harness.reassembly.on_turn(&serde_json::from_value(first).unwrap(), harness.now);
    harness.receive_end("first", 2);
    harness.reassembly.on_turn_failed("first", harness.now);
    let is_fetch_of_first = |fetch: &Fetch| matches!(fetch, Fetch::Turn { turn_id, .. } if turn_id == "first");
    assert!(!harness.advance(Duration::from_secs(60)).iter().any(is_fetch_of_first));
    assert!(!harness.drain_changed_turns().contains(&"first".to_owned()));
}

#[test]
fn newest_turn_is_the_one_with_the_highest_position() {
    let mut harness = Harness::following();
    for (turn_id, position) in [("t2", 4), ("t1", 2)] {
        harness.receive_question(turn_id, position);
        harness.receive_end(turn_id, position + 1);
    }
    harness.reassembly.on_subscribed();
    let newest = |fetch: &Fetch| matches!(fetch, Fetch::Turn { turn_id, .. } if turn_id == "t2");
    assert!(harness.drain_fetches().iter().any(newest), "only t2 can have been reopened");
}
