//! Successive attempts: redeliveries, retries and continuations.
use super::*;

#[test]
fn lower_attempt_is_dropped_and_higher_one_starts_anew() {
    let mut harness = Harness::with_batches(&["old"]);
    harness.drain_changes();
    let first = harness.receive(3, 1, json!({ "status": "RUNNING" }), question());
    assert_eq!(first, [replaced("")]);
    assert_eq!(harness.receive_text(1, 3, " text"), []);
    assert_eq!(harness.receive_text(3, 2, "new"), [appended("new")]);
}

#[test]
fn higher_attempt_joined_midway_is_fetched_from_its_start() {
    let mut harness = Harness::with_batches(&["old"]);
    harness.receive_text(2, 3, "late");
    assert_eq!(harness.turn.poll_query(), query(2, 0));
}

#[test]
fn attempt_first_seen_in_get_turn_is_fetched_from_its_start() {
    let mut harness = Harness::with_batches(&["old"]);
    harness.drain_changes();
    harness.turn.mark_stale();
    assert_eq!(harness.turn.poll_query(), query(1, 2));
    let mut answer = turn(1, "RUNNING", &[], json!([]));
    answer["attempt"] = 2.into();
    assert_eq!(harness.respond(answer), [replaced("")]);
    assert_eq!(harness.turn.poll_query(), query(2, 0));
}

#[test]
fn end_under_higher_attempt_keeps_the_displayed_text() {
    let mut harness = Harness::with_batches(&["Hel"]);
    harness.drain_changes();
    harness.turn.mark_stale();
    harness.turn.poll_query();
    let end = harness.respond(turn(2, "COMPLETED", &[], json!([last_event("Hello")])));
    assert_eq!(end, [appended("lo"), completed()]);
}

#[test]
fn retry_reopens_an_ended_turn() {
    let mut harness = Harness::with_batches(&["old"]);
    harness.receive(1, 3, json!({ "status": "COMPLETED" }), last_event("old"));
    assert!(!harness.turn.is_open());
    assert_eq!(harness.receive(2, 1, json!({ "status": "RUNNING" }), question()), [Change::Reopened, replaced("")]);
    assert!(harness.turn.is_open());
}

#[test]
fn continuation_appends_to_the_base_text() {
    let mut harness = Harness::with_batches(&["Once"]);
    harness.receive(1, 3, json!({ "status": "CANCELLED" }), event("AGENT", 2, "Once", Some("CANCELLED")));
    assert_eq!(harness.receive(3, 1, continuing_metadata(), question()), [Change::Reopened]);
    assert_eq!(harness.receive_text(3, 2, " upon"), [appended(" upon")]);
    assert_eq!(harness.turn.poll_query(), query(3, 2));
    let base = json!([agent_event(1, 2, "Once", Some("CANCELLED"))]);
    assert_eq!(harness.respond(turn(3, "RUNNING", &[], base)), []);
    let end =
        harness.receive(3, 3, json!({ "status": "COMPLETED" }), agent_event(3, 3, " upon a time.", Some("END_TURN")));
    assert_eq!(end, [appended(" a time."), completed()]);
}

#[test]
fn get_turn_replaces_the_base_text_before_streamed_text() {
    let mut harness = Harness::with_batches(&["Onc"]);
    harness.receive(4, 1, continuing_metadata(), question());
    harness.receive_text(4, 2, " upon");
    harness.turn.poll_query();
    let base = json!([agent_event(1, 2, "Once", None), agent_event(2, 3, " more", Some("MAX_TOKENS"))]);
    assert_eq!(harness.respond(turn(4, "RUNNING", &[], base)), [replaced("Once more upon")]);
    assert_eq!(harness.receive_text(4, 3, " a"), [appended(" a")]);
}

#[test]
fn end_waits_until_the_base_is_confirmed() {
    let mut harness = Harness::new();
    harness.receive(3, 1, continuing_metadata(), question());
    let end = agent_event(3, 3, " upon", Some("END_TURN"));
    assert_eq!(harness.receive(3, 2, json!({ "status": "COMPLETED" }), end.clone()), []);
    assert_eq!(harness.turn.poll_query(), query(3, 2));
    let whole = json!([agent_event(1, 2, "Once", Some("CANCELLED")), end]);
    assert_eq!(harness.respond(turn(3, "COMPLETED", &[], whole)), [appended("Once upon"), completed()]);
}

#[test]
fn text_of_a_continuing_attempt_that_died_is_dropped() {
    let mut harness = Harness::with_batches(&["Once"]);
    harness.receive(1, 3, json!({ "status": "COMPLETED" }), last_event("Once"));
    harness.receive(3, 1, continuing_metadata(), question());
    harness.receive_text(3, 2, " lost");
    assert_eq!(harness.receive(4, 1, continuing_metadata(), question()), [replaced("Once")]);
    assert_eq!(harness.receive_text(4, 2, " upon"), [appended(" upon")]);
}

#[test]
fn continuation_that_died_without_event_has_no_stop_reason() {
    let mut harness = Harness::new();
    harness.turn.mark_stale();
    harness.turn.poll_query();
    let base = json!([agent_event(1, 2, "Once", Some("MAX_TOKENS"))]);
    let changes = harness.respond(turn(3, "FAILED", &[(1, ""), (2, " upon")], base));
    let failed = TurnEnd { status: TurnStatus::Failed, stop_reason: None, failure: None, usage: None };
    assert_eq!(changes[1..], [appended("Once"), appended(" upon"), Change::Ended(failed)]);
}

#[test]
fn reopened_turn_without_an_attempt_is_open() {
    let mut harness = Harness::with_batches(&["old"]);
    harness.receive(1, 3, json!({ "status": "COMPLETED" }), last_event("old"));
    harness.turn.mark_stale();
    harness.turn.poll_query();
    assert_eq!(harness.respond(turn(2, "QUEUED", &[], json!([]))), [Change::Reopened, replaced("")]);
    assert!(harness.turn.is_open());
}
