use serde_json::{Value, json};

use super::*;
use crate::rule::turn::Refill;

/// A rule that was answered with an empty conversation, or is still waiting for its first answer.
struct Bench {
    rule: ConversationRule,
    now: Instant,
}

impl Bench {
    fn waiting() -> Self {
        let mut bench = Self { rule: ConversationRule::new(), now: Instant::now() };
        bench.rule.subscribed();
        assert_eq!(bench.asks(), [Ask::Events { after: None }]);
        bench
    }

    fn standing() -> Self {
        let mut bench = Self::waiting();
        bench.answer(json!([]));
        bench
    }

    fn answer(&mut self, items: Value) {
        let page = json!({ "activeTurn": null, "events": { "items": items, "hasMore": false } });
        self.rule.caught_up(&serde_json::from_value(page).unwrap(), self.now);
    }

    fn hear(&mut self, turn_id: &str, position: u32) {
        let update = json!({ "conversationId": "c", "turnId": turn_id, "attempt": 1, "sequence": 1,
            "metadata": { "status": "RUNNING" }, "event": event(turn_id, position) });
        self.rule.update(&serde_json::from_value(update).unwrap(), self.now);
    }

    fn end(&mut self, turn_id: &str, position: u32) {
        let mut event = event(turn_id, position);
        event["sender"]["kind"] = "AGENT".into();
        event["stopReason"] = "END_TURN".into();
        let update = json!({ "conversationId": "c", "turnId": turn_id, "attempt": 1, "sequence": 2,
            "metadata": { "status": "COMPLETED" }, "event": event });
        self.rule.update(&serde_json::from_value(update).unwrap(), self.now);
    }

    fn pass(&mut self, time: Duration) -> Vec<Ask> {
        self.now += time;
        self.rule.advance(self.now);
        self.asks()
    }

    fn asks(&mut self) -> Vec<Ask> {
        std::iter::from_fn(|| self.rule.poll_ask()).collect()
    }
}

fn event(turn_id: &str, position: u32) -> Value {
    json!({ "id": turn_id, "conversationId": "c", "position": position, "turnId": turn_id,
        "sender": { "kind": "USER" }, "content": [{ "text": "Why?" }], "text": "Why?",
        "createdAt": "2026-01-01T00:00:00Z" })
}

fn about(turn_id: &str) -> Ask {
    Ask::Turn { turn_id: turn_id.into(), refill: Refill { attempt: None, after_sequence: 0 } }
}

#[test]
fn a_turn_whose_every_update_was_lost_is_found_within_minutes() {
    let mut bench = Bench::standing();
    assert_eq!(bench.pass(LOOK.checked_sub(Duration::from_secs(1)).unwrap()), []);
    assert_eq!(bench.rule.wake(), Some(bench.now + Duration::from_secs(1)));
    assert_eq!(bench.pass(Duration::from_secs(1)), [Ask::Events { after: Some(0) }]);
    bench.answer(json!([event("t1", 1), event("t1", 2)]));
    assert_eq!(bench.asks(), [about("t1")]);
    assert_eq!(bench.rule.wake(), Some(bench.now + LOOK), "and so on");
}

#[test]
fn what_was_heard_before_the_first_answer_is_where_to_look_from() {
    let mut bench = Bench::waiting();
    bench.hear("t2", 4);
    bench.answer(json!([event("t3", 9)]));
    assert!(bench.asks().contains(&Ask::Events { after: Some(3) }), "between 4 and 9 something may have been missed");
}

#[test]
fn a_first_answer_that_nothing_was_heard_before_is_where_to_follow_from() {
    let mut bench = Bench::waiting();
    bench.answer(json!([event("t3", 9)]));
    assert_eq!(bench.asks(), []);
    bench.hear("t4", 10);
    assert_eq!(bench.asks(), [], "nothing lies between");
}

#[test]
fn the_newest_turn_is_the_one_furthest_on_in_whatever_order_they_were_heard_of() {
    let mut bench = Bench::standing();
    for (turn_id, position) in [("t2", 4), ("t1", 2)] {
        bench.hear(turn_id, position);
        bench.end(turn_id, position + 1);
    }
    bench.rule.subscribed();
    let newest = |ask: &Ask| matches!(ask, Ask::Turn { turn_id, .. } if turn_id == "t2");
    assert!(bench.asks().iter().any(newest), "t2 alone can have been reopened");
}
