//! Answers of one or several events, and the ends of turns.
use super::*;

#[test]
fn answer_of_several_events_is_one_text() {
    let mut harness = Harness::with_batches(&["aa"]);
    harness.drain_changes();
    let running = || json!({ "status": "RUNNING" });
    assert_eq!(harness.receive(1, 3, running(), event("AGENT", 2, "aab", None)), [appended("b")]);
    assert_eq!(harness.receive_text(1, 4, "cc"), [appended("cc")]);
    let end = harness.receive(1, 5, json!({ "status": "COMPLETED" }), event("AGENT", 3, "ccd", Some("END_TURN")));
    assert_eq!(end, [appended("d"), completed()]);
}

#[test]
fn events_published_after_all_batches_change_no_text() {
    let mut harness = Harness::with_batches(&["aab", "cc"]);
    harness.drain_changes();
    assert_eq!(harness.receive(1, 4, json!({ "status": "RUNNING" }), event("AGENT", 2, "aab", None)), []);
    let end = harness.receive(1, 5, json!({ "status": "COMPLETED" }), event("AGENT", 3, "ccd", Some("END_TURN")));
    assert_eq!(end, [appended("d"), completed()]);
}

#[test]
fn gap_in_batch_sequences_is_an_event_and_is_not_fetched() {
    let mut harness = Harness::with_batches(&["aa"]);
    harness.drain_changes();
    harness.receive_text(1, 5, "dd");
    harness.turn.poll_query();
    let changes = harness.respond(turn(1, "RUNNING", &[(4, "cc"), (5, "dd")], json!([event("AGENT", 2, "aab", None)])));
    assert_eq!(changes, [appended("b"), appended("cc"), appended("dd")]);
}

#[test]
fn failure_is_reported_and_the_text_is_kept() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.drain_changes();
    let mut failed = event("AGENT", 2, "Hel", None);
    failed["failure"] = json!({ "code": "THROTTLED", "message": "Busy.", "retryable": true });
    let changes = harness.receive(1, 3, json!({ "status": "FAILED" }), failed);
    let [Change::Ended(ending)] = &changes[..] else { panic!("only the end is new: {changes:?}") };
    assert_eq!(ending.status, TurnStatus::Failed);
    assert!(ending.failure.as_ref().is_some_and(|failure| failure.retryable));
}

#[test]
fn turn_that_died_without_last_event_keeps_stored_batches() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.drain_changes();
    harness.turn.mark_stale();
    harness.turn.poll_query();
    let mut died = turn(1, "FAILED", &[(3, "lo")], json!([]));
    died["failure"] = json!({ "code": "INTERRUPTED", "message": "Broken off.", "retryable": true });
    let changes = harness.respond(died);
    assert_eq!(changes[0], appended("lo"));
    assert!(matches!(&changes[1], Change::Ended(ending) if ending.failure.is_some()));
}

#[test]
fn stored_end_corrects_a_derived_end() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.turn.mark_stale();
    harness.turn.poll_query();
    let dead = harness.respond(turn(1, "CANCELLED", &[], json!([])));
    assert!(matches!(&dead[..], [Change::Ended(_)]));
    assert_eq!(harness.receive(1, 4, json!({ "status": "CANCELLED" }), event("AGENT", 2, "", Some("CANCELLED"))), []);
    assert_eq!(harness.turn.poll_query(), query(1, 2));
    let closed =
        harness.respond(turn(1, "CANCELLED", &[(3, "lo")], json!([event("AGENT", 2, "Hello", Some("CANCELLED"))])));
    assert_eq!(closed[0], appended("lo"));
    assert!(matches!(&closed[1..], [Change::Ended(ending)] if ending.stop_reason == Some(StopReason::Cancelled)));
    assert_eq!(harness.receive_text(1, 3, "lo"), []);
    assert_eq!(harness.turn.poll_query(), None);
}

#[test]
fn derived_end_is_rechecked_a_limited_number_of_times() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.turn.mark_stale();
    harness.turn.poll_query();
    harness.respond(turn(1, "CANCELLED", &[], json!([])));
    let mut rechecks = 0;
    while let Some(at) = harness.turn.wake_at() {
        harness.now = at;
        harness.turn.advance(at);
        assert_eq!(harness.turn.poll_query(), query(1, 2));
        assert_eq!(harness.respond(turn(1, "CANCELLED", &[], json!([]))), []);
        rechecks += 1;
    }
    assert_eq!(rechecks, RECHECKS);
}

#[test]
fn answer_written_directly_is_fetched_when_announced() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.drain_changes();
    assert_eq!(harness.receive(1, 5, json!({ "status": "COMPLETED" }), agent_event(1, 2, "", Some("END_TURN"))), []);
    assert_eq!(harness.turn.poll_query(), query(1, 2));
    let stored = json!([agent_event(1, 2, "Hello", Some("END_TURN"))]);
    assert_eq!(harness.respond(turn(1, "COMPLETED", &[], stored)), [appended("lo"), completed()]);
}

#[test]
fn updates_after_the_end_are_dropped() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.receive(1, 3, json!({ "status": "COMPLETED" }), last_event("Hello"));
    assert_eq!(harness.receive_text(1, 2, "Hel"), []);
    assert_eq!(harness.receive_text(1, 7, "late"), []);
    assert_eq!(harness.receive(1, 3, json!({ "status": "COMPLETED" }), last_event("")), []);
    assert_eq!(harness.turn.poll_query(), None);
}

#[test]
fn end_with_the_sequence_of_a_stored_batch_is_fetched() {
    let mut harness = Harness::with_batches(&["a"]);
    harness.receive_text(1, 4, "x");
    harness.turn.poll_query();
    harness.respond(turn(1, "RUNNING", &[(3, "b"), (4, "x")], json!([])));
    harness.drain_changes();
    assert_eq!(harness.receive(1, 4, json!({ "status": "FAILED" }), event("AGENT", 2, "ab", None)), []);
    assert_eq!(harness.turn.poll_query(), query(1, 4));
}

#[test]
fn turn_cancelled_before_any_text_ends_without_text() {
    let mut harness = Harness::new();
    let mut closed = agent_event(0, 2, "", Some("CANCELLED"));
    closed["text"] = Value::Null;
    harness.receive(0, 1, json!({ "status": "CANCELLED" }), closed.clone());
    assert_eq!(harness.turn.poll_query(), Some(TurnQuery { attempt: None, after_sequence: 0 }));
    let changes = harness.respond(turn(0, "CANCELLED", &[], json!([closed])));
    assert!(matches!(&changes[..], [Change::Question(_), Change::Ended(end)] if end.status == TurnStatus::Cancelled));
}

#[test]
fn end_without_question_waits_for_get_turn() {
    let mut harness = Harness::new();
    harness.receive(1, 1, json!({ "status": "FAILED" }), agent_event(1, 2, "", None));
    assert!(harness.turn.is_open());
    assert_eq!(harness.turn.poll_query(), query(1, 1));
}
