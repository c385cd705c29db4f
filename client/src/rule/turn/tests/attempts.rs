//! Attempts that follow one another: deliveries, retries and continuations.
use super::*;

#[test]
fn a_lower_attempt_is_dropped_and_a_higher_one_begins_anew() {
    let mut bench = Bench::hearing(&["old"]);
    bench.changes();
    let first = bench.hear(3, 1, json!({ "status": "RUNNING" }), question());
    assert_eq!(first, [replaced("")]);
    assert_eq!(bench.hear_text(1, 3, " text"), []);
    assert_eq!(bench.hear_text(3, 2, "new"), [text("new")]);
}

#[test]
fn a_higher_attempt_met_in_its_middle_is_asked_for_from_its_start() {
    let mut bench = Bench::hearing(&["old"]);
    bench.hear_text(2, 3, "late");
    assert_eq!(bench.rule.poll_refill(), asks(2, 0));
}

#[test]
fn an_attempt_that_a_refill_reveals_is_asked_for_on_its_own() {
    let mut bench = Bench::hearing(&["old"]);
    bench.changes();
    bench.rule.doubt();
    assert_eq!(bench.rule.poll_refill(), asks(1, 2));
    let mut answer = turn(1, "RUNNING", &[], json!([]));
    answer["attempt"] = 2.into();
    assert_eq!(bench.refill(answer), [replaced("")]);
    assert_eq!(bench.rule.poll_refill(), asks(2, 0));
}

#[test]
fn a_turn_ended_under_a_higher_attempt_keeps_the_text_that_was_kept() {
    let mut bench = Bench::hearing(&["Hel"]);
    bench.changes();
    bench.rule.doubt();
    bench.rule.poll_refill();
    let end = bench.refill(turn(2, "COMPLETED", &[], json!([last("Hello")])));
    assert_eq!(end, [text("lo"), completed()]);
}

#[test]
fn a_retry_opens_an_ended_turn_again() {
    let mut bench = Bench::hearing(&["old"]);
    bench.hear(1, 3, json!({ "status": "COMPLETED" }), last("old"));
    assert!(!bench.rule.is_open());
    assert_eq!(bench.hear(2, 1, json!({ "status": "RUNNING" }), question()), [Change::Reopened, replaced("")]);
    assert!(bench.rule.is_open());
}

#[test]
fn a_continuation_goes_on_after_what_stands() {
    let mut bench = Bench::hearing(&["Once"]);
    bench.hear(1, 3, json!({ "status": "CANCELLED" }), event("AGENT", 2, "Once", Some("CANCELLED")));
    assert_eq!(bench.hear(3, 1, continuing(), question()), [Change::Reopened]);
    assert_eq!(bench.hear_text(3, 2, " upon"), [text(" upon")]);
    assert_eq!(bench.rule.poll_refill(), asks(3, 2));
    let standing = json!([said_by(1, 2, "Once", Some("CANCELLED"))]);
    assert_eq!(bench.refill(turn(3, "RUNNING", &[], standing)), []);
    let end = bench.hear(3, 3, json!({ "status": "COMPLETED" }), said_by(3, 3, " upon a time.", Some("END_TURN")));
    assert_eq!(end, [text(" a time."), completed()]);
}

#[test]
fn what_stands_is_put_right_under_what_was_said_since() {
    let mut bench = Bench::hearing(&["Onc"]);
    bench.hear(4, 1, continuing(), question());
    bench.hear_text(4, 2, " upon");
    bench.rule.poll_refill();
    let standing = json!([said_by(1, 2, "Once", None), said_by(2, 3, " more", Some("MAX_TOKENS"))]);
    assert_eq!(bench.refill(turn(4, "RUNNING", &[], standing)), [replaced("Once more upon")]);
    assert_eq!(bench.hear_text(4, 3, " a"), [text(" a")]);
}

#[test]
fn an_end_waits_for_what_stands() {
    let mut bench = Bench::new();
    bench.hear(3, 1, continuing(), question());
    let end = said_by(3, 3, " upon", Some("END_TURN"));
    assert_eq!(bench.hear(3, 2, json!({ "status": "COMPLETED" }), end.clone()), []);
    assert_eq!(bench.rule.poll_refill(), asks(3, 2));
    let whole = json!([said_by(1, 2, "Once", Some("CANCELLED")), end]);
    assert_eq!(bench.refill(turn(3, "COMPLETED", &[], whole)), [text("Once upon"), completed()]);
}

#[test]
fn a_continuing_attempt_that_dies_takes_its_text_with_it() {
    let mut bench = Bench::hearing(&["Once"]);
    bench.hear(1, 3, json!({ "status": "COMPLETED" }), last("Once"));
    bench.hear(3, 1, continuing(), question());
    bench.hear_text(3, 2, " lost");
    assert_eq!(bench.hear(4, 1, continuing(), question()), [replaced("Once")]);
    assert_eq!(bench.hear_text(4, 2, " upon"), [text(" upon")]);
}

#[test]
fn a_continuation_that_dies_unsaid_ends_by_its_own_reason() {
    let mut bench = Bench::new();
    bench.rule.doubt();
    bench.rule.poll_refill();
    let standing = json!([said_by(1, 2, "Once", Some("MAX_TOKENS"))]);
    let changes = bench.refill(turn(3, "FAILED", &[(1, ""), (2, " upon")], standing));
    let failed = Ending { status: TurnStatus::Failed, stop_reason: None, failure: None, usage: None };
    assert_eq!(changes[1..], [text("Once"), text(" upon"), Change::Ended(failed)]);
}

#[test]
fn a_turn_reopened_but_not_begun_is_open() {
    let mut bench = Bench::hearing(&["old"]);
    bench.hear(1, 3, json!({ "status": "COMPLETED" }), last("old"));
    bench.rule.doubt();
    bench.rule.poll_refill();
    assert_eq!(bench.refill(turn(2, "QUEUED", &[], json!([]))), [Change::Reopened, replaced("")]);
    assert!(bench.rule.is_open());
}
