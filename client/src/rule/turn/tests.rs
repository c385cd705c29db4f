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
