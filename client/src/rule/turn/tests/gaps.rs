//! Batches in order, out of order, lost, and asked for.
use super::*;

#[test]
fn batches_append_and_the_last_event_brings_the_tail() {
    let mut bench = Bench::hearing(&["Hel"]);
    assert_eq!(bench.hear_text(1, 3, "lo"), [text("lo")]);
    let end = bench.hear(1, 4, json!({ "status": "COMPLETED" }), last("Hello!"));
    assert_eq!(end, [text("!"), completed()]);
    assert_eq!(bench.rule.wake(), None);
}

#[test]
fn the_first_update_shows_the_question_once() {
    let mut bench = Bench::new();
    let changes = bench.hear(1, 1, json!({ "status": "RUNNING" }), question());
    assert!(matches!(&changes[..], [Change::Question(event)] if event.said() == "Why?"));
    assert_eq!(bench.hear(2, 1, json!({ "status": "RUNNING" }), question()), []);
}

#[test]
fn a_stored_answer_that_differs_replaces_what_was_shown() {
    let mut bench = Bench::hearing(&["Hel", "lx"]);
    let end = bench.hear(1, 4, json!({ "status": "COMPLETED" }), last("Hello"));
    assert_eq!(end, [replaced("Hello"), completed()]);
}

#[test]
fn an_update_heard_twice_counts_once() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.changes();
    assert_eq!(bench.hear_text(1, 2, "Hel"), []);
    assert_eq!(bench.rule.poll_refill(), None);
}

#[test]
fn a_gap_is_asked_for_and_what_lies_beyond_comes_with_the_answer() {
    let mut bench = Bench::hearing(&["a"]);
    bench.changes();
    assert_eq!(bench.hear_text(1, 4, "c"), []);
    assert_eq!(bench.rule.poll_refill(), asks(1, 2));
    let changes = bench.refill(turn(1, "RUNNING", &[(3, "b"), (4, "c")], json!([])));
    assert_eq!(changes, [text("b"), text("c")]);
    assert_eq!(bench.rule.poll_refill(), None);
    assert_eq!(bench.hear_text(1, 5, "d"), [text("d")]);
}

#[test]
fn what_arrives_during_a_refill_is_asked_for_again_if_the_answer_lacks_it() {
    let mut bench = Bench::hearing(&["a"]);
    bench.changes();
    bench.hear_text(1, 4, "c");
    assert_eq!(bench.rule.poll_refill(), asks(1, 2));
    bench.hear_text(1, 6, "e");
    bench.refill(turn(1, "RUNNING", &[(3, "b"), (4, "c")], json!([])));
    assert_eq!(bench.rule.poll_refill(), asks(1, 4));
}

#[test]
fn a_refill_that_brings_nothing_is_repeated_after_a_second() {
    let mut bench = Bench::hearing(&["a"]);
    bench.hear_text(1, 4, "c");
    bench.rule.poll_refill();
    bench.refill(turn(1, "RUNNING", &[], json!([])));
    assert_eq!(bench.rule.poll_refill(), None);
    assert_eq!(bench.pass(1), asks(1, 2));
    bench.rule.refill_failed(bench.now);
    assert_eq!(bench.pass(0), None);
    assert_eq!(bench.pass(1), asks(1, 2));
}

#[test]
fn more_pages_are_asked_for_at_once() {
    let mut bench = Bench::hearing(&[]);
    bench.rule.doubt();
    assert_eq!(bench.rule.poll_refill(), asks(1, 1));
    let mut page = turn(1, "RUNNING", &[(2, "a"), (3, "b")], json!([]));
    page["hasMoreBatches"] = true.into();
    bench.refill(page);
    assert_eq!(bench.rule.poll_refill(), asks(1, 3));
}

#[test]
fn ten_seconds_of_silence_are_asked_about_while_the_turn_is_open() {
    let mut bench = Bench::new();
    assert_eq!(bench.pass(9), None);
    assert_eq!(bench.pass(1), Some(Refill { attempt: None, after_sequence: 0 }));
    let queued = turn(0, "QUEUED", &[], json!([]));
    bench.refill(queued);
    assert_eq!(bench.pass(9), None);
    bench.hear(1, 1, json!({ "status": "RUNNING" }), question());
    assert_eq!(bench.pass(9), None);
    assert_eq!(bench.pass(1), asks(1, 1));
    let end = bench.refill(turn(1, "COMPLETED", &[(2, "Hel")], json!([last("Hello")])));
    assert_eq!(end, [text("Hello"), completed()]);
    assert_eq!(bench.pass(3600), None);
}
