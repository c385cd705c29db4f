//! Turns that wait for tool calls.
use super::*;

fn call(id: &str, status: &str) -> Value {
    json!({ "id": id, "name": "rename", "title": "Rename", "status": status, "note": null })
}

/// The agent's event with these calls.
fn calls_event(position: u32, ids: &[&str]) -> Value {
    let mut event = agent_event(1, position, "Let me.", None);
    let calls = ids.iter().map(|id| json!({ "toolUse": { "id": id, "name": "rename", "input": "{}" } }));
    event["content"] = std::iter::once(json!({ "text": "Let me." })).chain(calls).collect();
    event
}

fn waiting(calls: Value) -> Value {
    json!({ "status": "WAITING", "pending": calls })
}

fn waiting_turn(calls: Value) -> Value {
    let mut turn = turn(1, "WAITING", &[], json!([calls_event(2, &["a", "b"])]));
    turn["pending"] = calls;
    turn
}

fn waits_for(calls: Value) -> Change {
    Change::Waiting(serde_json::from_value(calls).unwrap())
}

/// A turn that waits for the calls a and b since its update 4.
fn waiting_harness() -> Harness {
    let mut harness = Harness::with_batches(&["Let me."]);
    harness.receive(1, 3, json!({ "status": "RUNNING" }), calls_event(2, &["a", "b"]));
    let calls = json!([call("a", "APPROVAL_NEEDED"), call("b", "APPROVAL_NEEDED")]);
    assert_eq!(harness.receive(1, 4, waiting(calls.clone()), Value::Null).last(), Some(&waits_for(calls)));
    harness
}

#[test]
fn waiting_turn_is_open_and_checked_every_minute() {
    let mut harness = waiting_harness();
    assert!(harness.turn.is_open());
    assert_eq!(harness.turn.poll_query(), None);
    for _ in 0..100 {
        assert_eq!(harness.advance(59), None);
        assert_eq!(harness.advance(1), query(1, 4));
        let calls = json!([call("a", "APPROVAL_NEEDED"), call("b", "APPROVAL_NEEDED")]);
        assert_eq!(harness.respond(waiting_turn(calls)), []);
    }
}

#[test]
fn answered_call_is_reported_and_no_older_response_takes_it_back() {
    let mut harness = waiting_harness();
    harness.turn.mark_stale();
    harness.turn.poll_query();
    let answered = json!({ "status": "WAITING", "toolCall": call("a", "DENIED") });
    let remaining = json!([call("a", "DENIED"), call("b", "APPROVAL_NEEDED")]);
    assert_eq!(harness.receive(1, 5, answered.clone(), Value::Null), [waits_for(remaining)]);
    let before = json!([call("a", "APPROVAL_NEEDED"), call("b", "APPROVAL_NEEDED")]);
    assert_eq!(harness.respond(waiting_turn(before)), []);
    assert_eq!(harness.receive(1, 5, answered, Value::Null), []);
    assert_eq!(harness.turn.poll_query(), None);
}

#[test]
fn calls_of_a_lost_update_come_from_get_turn_even_without_batches() {
    let mut harness = Harness::new();
    harness.turn.mark_stale();
    harness.turn.poll_query();
    let calls = json!([call("a", "RUNNING"), call("b", "CLIENT_NEEDED")]);
    let changes = harness.respond(waiting_turn(calls.clone()));
    assert!(
        matches!(&changes[..4], [Change::Question(_), Change::Appended(text), Change::ToolCalled(_), Change::ToolCalled(_)]
        if text == "Let me.")
    );
    assert_eq!(changes[4..], [waits_for(calls)]);
    assert_eq!(harness.turn.poll_query(), None);
}

#[test]
fn answer_after_a_gap_is_fetched_again_after_an_older_response() {
    let mut harness = Harness::with_batches(&["Let me."]);
    harness.turn.mark_stale();
    harness.turn.poll_query();
    harness.receive(1, 5, json!({ "status": "WAITING", "toolCall": call("a", "RUNNING") }), Value::Null);
    harness.respond(waiting_turn(json!([call("a", "APPROVAL_NEEDED"), call("b", "APPROVAL_NEEDED")])));
    assert_eq!(harness.turn.poll_query(), query(1, 5));
    let remaining = json!([call("a", "RUNNING"), call("b", "APPROVAL_NEEDED")]);
    assert_eq!(harness.respond(waiting_turn(remaining.clone())), [waits_for(remaining)]);
    assert_eq!(harness.turn.poll_query(), None);
}

#[test]
fn stored_update_of_a_wait_that_never_began_is_no_wait() {
    let mut harness = Harness::with_batches(&["Let me."]);
    harness.turn.mark_stale();
    harness.turn.poll_query();
    let mut cancelling = turn(1, "CANCELLING", &[], json!([]));
    cancelling["batches"] =
        json!([{ "attempt": 1, "sequence": 3, "metadata": waiting(json!([call("a", "APPROVAL_NEEDED")])) }]);
    harness.respond(cancelling);
    assert_eq!(harness.advance(10), query(1, 3));
}

#[test]
fn next_run_appends_to_the_answer_that_waited() {
    let mut harness = waiting_harness();
    assert_eq!(harness.receive(3, 1, continuing_metadata(), question()), []);
    assert_eq!(harness.receive_text(3, 2, " Done."), [appended(" Done.")]);
    assert_eq!(harness.turn.poll_query(), query(3, 2));
    harness.respond(turn(3, "RUNNING", &[], json!([calls_event(2, &["a", "b"])])));
    assert_eq!(harness.advance(9), None);
    assert_eq!(harness.advance(1), query(3, 2));
    let end = harness.receive(3, 3, json!({ "status": "COMPLETED" }), agent_event(3, 4, " Done.", Some("END_TURN")));
    assert_eq!(end, [completed()]);
}

#[test]
fn text_of_a_second_wait_is_kept() {
    let mut harness = waiting_harness();
    harness.receive(3, 1, continuing_metadata(), question());
    harness.turn.poll_query();
    harness.respond(turn(3, "RUNNING", &[], json!([calls_event(2, &["a", "b"])])));
    let mut second = calls_event(4, &["c"]);
    second["attempt"] = 3.into();
    assert_eq!(harness.receive(3, 2, json!({ "status": "RUNNING" }), second)[0], appended("Let me."));
    harness.receive(3, 3, waiting(json!([call("c", "CLIENT_NEEDED")])), Value::Null);
    assert_eq!(harness.receive(5, 1, continuing_metadata(), question()), []);
    assert_eq!(harness.receive_text(5, 2, " Done."), [appended(" Done.")]);
}

#[test]
fn results_are_reported_after_the_calls_of_the_base() {
    let mut harness = Harness::new();
    harness.receive(3, 1, continuing_metadata(), question());
    let mut results = agent_event(3, 3, "", None);
    results["sender"]["kind"] = "TOOL".into();
    results["content"] = json!([{ "toolResult": { "toolUseId": "a", "status": "SUCCEEDED" } }]);
    assert_eq!(harness.receive(3, 2, json!({ "status": "RUNNING" }), results), []);
    harness.turn.poll_query();
    let changes = harness.respond(turn(3, "RUNNING", &[], json!([calls_event(2, &["a"])])));
    assert!(matches!(&changes[..], [Change::Appended(_), Change::ToolCalled(_), Change::ToolResult(_)]), "{changes:?}");
}

#[test]
fn closing_event_ends_a_wait_with_its_results() {
    let mut harness = waiting_harness();
    let mut closed = agent_event(1, 3, "", Some("CANCELLED"));
    closed["sender"]["kind"] = "TOOL".into();
    closed["content"] = json!([{ "toolResult": { "toolUseId": "a", "status": "CANCELLED" } }]);
    let changes = harness.receive(1, 5, json!({ "status": "CANCELLED" }), closed);
    assert!(matches!(&changes[..], [Change::ToolResult(_), Change::Ended(end)] if end.status == TurnStatus::Cancelled));
    assert_eq!(harness.turn.wake_at(), None);
}

#[test]
fn wait_that_nobody_ends_has_failed_at_the_next_check() {
    let mut harness = waiting_harness();
    assert_eq!(harness.advance(60), query(1, 4));
    let mut expired = turn(1, "FAILED", &[], json!([calls_event(2, &["a", "b"])]));
    expired["failure"] = json!({ "code": "PENDING_EXPIRED", "message": "Nobody answered.", "retryable": true });
    let changes = harness.respond(expired);
    assert!(matches!(&changes[..], [Change::Ended(end)] if end.failure.is_some()), "{changes:?}");
    let retried = harness.receive(3, 1, json!({ "status": "RUNNING" }), question());
    assert_eq!(retried, [Change::Reopened, replaced("")]);
    assert_eq!(harness.advance(10), query(3, 1));
}
