//! Batches that arrive in order, out of order or not at all.
use super::*;

#[test]
fn batches_append_and_last_event_brings_the_tail() {
    let mut harness = Harness::with_batches(&["Hel"]);
    assert_eq!(harness.receive_text(1, 3, "lo"), [appended("lo")]);
    let end = harness.receive(1, 4, json!({ "status": "COMPLETED" }), last_event("Hello!"));
    assert_eq!(end, [appended("!"), completed()]);
    assert_eq!(harness.turn.wake_at(), None);
}

#[test]
fn question_is_shown_once() {
    let mut harness = Harness::new();
    let changes = harness.receive(1, 1, json!({ "status": "RUNNING" }), question());
    assert!(matches!(&changes[..], [Change::Question(event)] if event.text_or_empty() == "Why?"));
    assert_eq!(harness.receive(2, 1, json!({ "status": "RUNNING" }), question()), []);
}

#[test]
fn stored_answer_that_differs_replaces_the_text() {
    let mut harness = Harness::with_batches(&["Hel", "lx"]);
    let end = harness.receive(1, 4, json!({ "status": "COMPLETED" }), last_event("Hello"));
    assert_eq!(end, [replaced("Hello"), completed()]);
}

#[test]
fn duplicate_update_is_applied_once() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.drain_changes();
    assert_eq!(harness.receive_text(1, 2, "Hel"), []);
    assert_eq!(harness.turn.poll_query(), None);
}

#[test]
fn gap_is_fetched_together_with_the_updates_after_it() {
    let mut harness = Harness::with_batches(&["a"]);
    harness.drain_changes();
    assert_eq!(harness.receive_text(1, 4, "c"), []);
    assert_eq!(harness.turn.poll_query(), query(1, 2));
    let changes = harness.respond(turn(1, "RUNNING", &[(3, "b"), (4, "c")], json!([])));
    assert_eq!(changes, [appended("b"), appended("c")]);
    assert_eq!(harness.turn.poll_query(), None);
    assert_eq!(harness.receive_text(1, 5, "d"), [appended("d")]);
}

#[test]
fn update_missing_from_the_response_is_fetched_again() {
    let mut harness = Harness::with_batches(&["a"]);
    harness.drain_changes();
    harness.receive_text(1, 4, "c");
    assert_eq!(harness.turn.poll_query(), query(1, 2));
    harness.receive_text(1, 6, "e");
    harness.respond(turn(1, "RUNNING", &[(3, "b"), (4, "c")], json!([])));
    assert_eq!(harness.turn.poll_query(), query(1, 4));
}

#[test]
fn get_turn_without_progress_is_repeated_after_a_second() {
    let mut harness = Harness::with_batches(&["a"]);
    harness.receive_text(1, 4, "c");
    harness.turn.poll_query();
    harness.respond(turn(1, "RUNNING", &[], json!([])));
    assert_eq!(harness.turn.poll_query(), None);
    assert_eq!(harness.advance(1), query(1, 2));
    harness.turn.on_turn_failed(harness.now);
    assert_eq!(harness.advance(0), None);
    assert_eq!(harness.advance(1), query(1, 2));
}

#[test]
fn next_page_of_batches_is_fetched_at_once() {
    let mut harness = Harness::with_batches(&[]);
    harness.turn.mark_stale();
    assert_eq!(harness.turn.poll_query(), query(1, 1));
    let mut page = turn(1, "RUNNING", &[(2, "a"), (3, "b")], json!([]));
    page["hasMoreBatches"] = true.into();
    harness.respond(page);
    assert_eq!(harness.turn.poll_query(), query(1, 3));
}

#[test]
fn open_turn_is_fetched_after_ten_seconds_of_silence() {
    let mut harness = Harness::new();
    assert_eq!(harness.advance(9), None);
    assert_eq!(harness.advance(1), Some(TurnQuery { attempt: None, after_sequence: 0 }));
    let queued = turn(0, "QUEUED", &[], json!([]));
    harness.respond(queued);
    assert_eq!(harness.advance(9), None);
    harness.receive(1, 1, json!({ "status": "RUNNING" }), question());
    assert_eq!(harness.advance(9), None);
    assert_eq!(harness.advance(1), query(1, 1));
    let end = harness.respond(turn(1, "COMPLETED", &[(2, "Hel")], json!([last_event("Hello")])));
    assert_eq!(end, [appended("Hello"), completed()]);
    assert_eq!(harness.advance(3600), None);
}
