//! Answers of one event and of several, and every way in which a turn ends.
use super::*;

#[test]
fn an_answer_of_several_events_is_one_text() {
    let mut bench = Bench::hearing(&["aa"]);
    bench.changes();
    let running = || json!({ "status": "RUNNING" });
    assert_eq!(bench.hear(1, 3, running(), event("AGENT", 2, "aab", None)), [text("b")]);
    assert_eq!(bench.hear_text(1, 4, "cc"), [text("cc")]);
    let end = bench.hear(1, 5, json!({ "status": "COMPLETED" }), event("AGENT", 3, "ccd", Some("END_TURN")));
    assert_eq!(end, [text("d"), completed()]);
}

#[test]
fn several_events_published_after_all_batches_change_nothing_shown() {
    let mut bench = Bench::hearing(&["aab", "cc"]);
    bench.changes();
    assert_eq!(bench.hear(1, 4, json!({ "status": "RUNNING" }), event("AGENT", 2, "aab", None)), []);
    let end = bench.hear(1, 5, json!({ "status": "COMPLETED" }), event("AGENT", 3, "ccd", Some("END_TURN")));
    assert_eq!(end, [text("d"), completed()]);
}

#[test]
fn a_number_missing_among_stored_batches_is_that_of_an_event() {
    let mut bench = Bench::hearing(&["aa"]);
    bench.changes();
    bench.hear_text(1, 5, "dd");
    bench.rule.poll_refill();
    let changes = bench.refill(turn(1, "RUNNING", &[(4, "cc"), (5, "dd")], json!([event("AGENT", 2, "aab", None)])));
    assert_eq!(changes, [text("b"), text("cc"), text("dd")]);
}

#[test]
fn a_failure_tells_its_code_and_keeps_the_text() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.changes();
    let mut failed = event("AGENT", 2, "Hel", None);
    failed["failure"] = json!({ "code": "THROTTLED", "message": "Busy.", "retryable": true });
    let changes = bench.hear(1, 3, json!({ "status": "FAILED" }), failed);
    let [Change::Ended(ending)] = &changes[..] else { panic!("only the end is new: {changes:?}") };
    assert_eq!(ending.status, TurnStatus::Failed);
    assert!(ending.failure.as_ref().is_some_and(|failure| failure.retryable));
}

#[test]
fn a_turn_that_died_without_a_last_event_ends_with_what_had_arrived() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.changes();
    bench.rule.doubt();
    bench.rule.poll_refill();
    let mut died = turn(1, "FAILED", &[(3, "lo")], json!([]));
    died["failure"] = json!({ "code": "INTERRUPTED", "message": "Broken off.", "retryable": true });
    let changes = bench.refill(died);
    assert_eq!(changes[0], text("lo"));
    assert!(matches!(&changes[1], Change::Ended(ending) if ending.failure.is_some()));
}

#[test]
fn an_end_that_was_read_off_the_time_is_put_right_by_the_one_that_is_stored() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.rule.doubt();
    bench.rule.poll_refill();
    let dead = bench.refill(turn(1, "CANCELLED", &[], json!([])));
    assert!(matches!(&dead[..], [Change::Ended(_)]));
    assert_eq!(bench.hear(1, 4, json!({ "status": "CANCELLED" }), event("AGENT", 2, "", Some("CANCELLED"))), []);
    assert_eq!(bench.rule.poll_refill(), asks(1, 2));
    let closed =
        bench.refill(turn(1, "CANCELLED", &[(3, "lo")], json!([event("AGENT", 2, "Hello", Some("CANCELLED"))])));
    assert_eq!(closed[0], text("lo"));
    assert!(matches!(&closed[1..], [Change::Ended(ending)] if ending.stop_reason == Some(StopReason::Cancelled)));
    assert_eq!(bench.hear_text(1, 3, "lo"), []);
    assert_eq!(bench.rule.poll_refill(), None);
}

#[test]
fn an_end_that_nobody_writes_is_looked_at_for_a_while_and_then_believed() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.rule.doubt();
    bench.rule.poll_refill();
    bench.refill(turn(1, "CANCELLED", &[], json!([])));
    let mut looks = 0;
    while let Some(at) = bench.rule.wake() {
        bench.now = at;
        bench.rule.advance(at);
        assert_eq!(bench.rule.poll_refill(), asks(1, 2));
        assert_eq!(bench.refill(turn(1, "CANCELLED", &[], json!([]))), []);
        looks += 1;
    }
    assert_eq!(looks, SECOND_LOOKS);
}

#[test]
fn an_answer_finished_directly_is_read_when_it_is_announced() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.changes();
    assert_eq!(bench.hear(1, 5, json!({ "status": "COMPLETED" }), said_by(1, 2, "", Some("END_TURN"))), []);
    assert_eq!(bench.rule.poll_refill(), asks(1, 2));
    let stored = json!([said_by(1, 2, "Hello", Some("END_TURN"))]);
    assert_eq!(bench.refill(turn(1, "COMPLETED", &[], stored)), [text("lo"), completed()]);
}

#[test]
fn what_comes_after_the_end_is_dropped() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.hear(1, 3, json!({ "status": "COMPLETED" }), last("Hello"));
    assert_eq!(bench.hear_text(1, 2, "Hel"), []);
    assert_eq!(bench.hear_text(1, 7, "late"), []);
    assert_eq!(bench.hear(1, 3, json!({ "status": "COMPLETED" }), last("")), []);
    assert_eq!(bench.rule.poll_refill(), None);
}

#[test]
fn an_end_under_a_number_that_a_stored_batch_had_taken_is_asked_about() {
    let mut bench = Bench::hearing(&["a"]);
    bench.hear_text(1, 4, "x");
    bench.rule.poll_refill();
    bench.refill(turn(1, "RUNNING", &[(3, "b"), (4, "x")], json!([])));
    bench.changes();
    assert_eq!(bench.hear(1, 4, json!({ "status": "FAILED" }), event("AGENT", 2, "ab", None)), []);
    assert_eq!(bench.rule.poll_refill(), asks(1, 4));
}

#[test]
fn a_turn_cancelled_before_its_first_word_ends_without_text() {
    let mut bench = Bench::new();
    let mut closed = said_by(0, 2, "", Some("CANCELLED"));
    closed["text"] = Value::Null;
    bench.hear(0, 1, json!({ "status": "CANCELLED" }), closed.clone());
    assert_eq!(bench.rule.poll_refill(), Some(Refill { attempt: None, after_sequence: 0 }));
    let changes = bench.refill(turn(0, "CANCELLED", &[], json!([closed])));
    assert!(matches!(&changes[..], [Change::Question(_), Change::Ended(end)] if end.status == TurnStatus::Cancelled));
}

#[test]
fn an_end_that_comes_first_waits_for_its_question() {
    let mut bench = Bench::new();
    bench.hear(1, 1, json!({ "status": "FAILED" }), said_by(1, 2, "", None));
    assert!(bench.rule.is_open());
    assert_eq!(bench.rule.poll_refill(), asks(1, 1));
}
