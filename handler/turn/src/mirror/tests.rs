#![expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    backoff::Backoff,
    types::{ContentBlock, StopReason, TurnStatus},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    mutation::{AgentEvent, AnswerEnd, EndReason},
    request::Agent,
};

pub fn claim() -> Claim {
    Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 2, last_position: 7 }
}

pub fn events() -> ReplyTo {
    ReplyTo { listener: Listener::Events("/chat/responses/ann".into()), stream: true, request_id: None }
}

pub fn websocket() -> ReplyTo {
    let connection = Connection { connection_id: "abc=".into(), user_id: "ann".into() };
    ReplyTo { listener: Listener::Websocket(connection), stream: true, request_id: None }
}

fn mirror(reply_to: ReplyTo) -> Mirror {
    Mirror::new(reply_to, claim(), Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(1)), 0)
}

pub fn run_end(sequence: u32, text: &str) -> RunEnd {
    RunEnd {
        sequence,
        status: TurnStatus::Completed,
        text: text.to_owned(),
        citations: Vec::new(),
        failure: None,
        pending: Vec::new(),
        is_truncated: false,
    }
}

fn sequences(request: &MirrorRequest) -> Vec<u32> {
    request.messages.iter().map(|message| message.sequence).collect()
}

/// Sends everything that waits and returns the sequences of each request.
fn drain(mirror: &mut Mirror, now: Instant) -> Vec<Vec<u32>> {
    let mut requests = Vec::new();
    while let Some(request) = mirror.next_request(now) {
        requests.push(sequences(&request));
        mirror.on_result(Ok(()), now);
    }
    requests
}

/// An update whose message has this size.
fn update_of_size(reply_to: &ReplyTo, bytes: usize) -> String {
    let writer = MessageWriter::new(reply_to.clone(), claim());
    let head = writer.delta(1, r#"{"text":""}"#).text.len();
    json!({ "text": "x".repeat(bytes - head) }).to_string()
}

fn event(content: Vec<ContentBlock>, author: Author, reason: Option<StopReason>) -> Update {
    let agent = json!({ "id": "default", "version": 0, "modelId": "any", "contextBytes": 10_000 });
    let agent: Agent = serde_json::from_value(agent).unwrap();
    Update::Event(AgentEvent {
        id: "e".into(),
        position: 8,
        agent: Arc::new(agent),
        author,
        content,
        step_usage: None,
        end: reason.map(|reason| AnswerEnd { reason: EndReason::Stopped(reason), usage: None }),
    })
}

fn deliver(mirror: &mut Mirror, sequence: u32, update: Update) {
    let mutation = Mutation { claim: claim(), sequence, update };
    let keeps_update = mirror.keeps_update(&mutation);
    mirror.on_delivery(&mutation);
    if keeps_update {
        mirror.push_update(sequence, &json!({ "sequence": sequence }).to_string());
    }
}

#[test]
fn one_request_at_a_time_has_at_most_five_events() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    mirror.push_update(1, "{}");
    assert_eq!(sequences(&mirror.next_request(now).unwrap()), [1]);
    (2..=8).for_each(|sequence| mirror.push_update(sequence, "{}"));
    assert_eq!(mirror.next_request(now), None, "one request is in flight");
    mirror.on_result(Ok(()), now);
    assert_eq!(drain(&mut mirror, now), [vec![2, 3, 4, 5, 6], vec![7, 8]]);
    assert_eq!((mirror.is_idle(), mirror.skipped()), (true, 0));
}

#[test]
fn request_has_at_most_240_kb() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    for (sequence, bytes) in [(1, 120_000), (2, 120_000), (3, 100), (4, 240_000), (5, 240_000)] {
        mirror.push_update(sequence, &update_of_size(&events(), bytes));
    }
    assert_eq!(drain(&mut mirror, now), [vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[test]
fn connection_gets_one_update_a_request() {
    let now = Instant::now();
    let mut mirror = mirror(websocket());
    (1..=3).for_each(|sequence| mirror.push_update(sequence, "{}"));
    assert_eq!(drain(&mut mirror, now), [[1], [2], [3]]);
}

#[test]
fn larger_update_is_replaced_by_a_reference() {
    let now = Instant::now();
    for (reply_to, limit) in [(events(), 240_000), (websocket(), 32_000)] {
        let mut mirror = mirror(reply_to.clone());
        mirror.push_update(1, &update_of_size(&reply_to, limit));
        mirror.push_update(2, &update_of_size(&reply_to, limit + 1));
        let first = mirror.next_request(now).unwrap();
        assert_eq!((first.messages[0].text.len(), first.messages[0].kind), (limit, MessageKind::Delta));
        mirror.on_result(Ok(()), now);
        let [message] = mirror.next_request(now).unwrap().messages.clone().try_into().unwrap();
        let text: Value = serde_json::from_str(&message.text).unwrap();
        let mut expected = json!({
            "type": "delta", "conversationId": "c1", "turnId": "t1", "attempt": 2, "sequence": 2, "truncated": true,
        });
        if reply_to == events() {
            expected["sessionId"] = json!("c1");
        }
        assert_eq!((text, message.kind), (expected, MessageKind::Reference));
    }
}

#[test]
fn failed_request_is_sent_three_times_and_then_skipped() {
    let mut now = Instant::now();
    let mut mirror = mirror(events());
    mirror.push_update(1, "{}");
    let first = mirror.next_request(now).unwrap();
    mirror.push_update(2, "{}");
    for _ in 1..MAX_TRIES {
        mirror.on_result(Err(MirrorFailure::Retryable), now);
        assert_eq!(mirror.next_request(now), None, "a failed request waits");
        now = mirror.wake_at().unwrap();
        assert_eq!(mirror.next_request(now), Some(Arc::clone(&first)), "the same request is sent again");
    }
    mirror.on_result(Err(MirrorFailure::Retryable), now);
    assert_eq!(drain(&mut mirror, now), [[2]]);
    assert_eq!(mirror.skipped(), 1);
}

#[test]
fn refused_request_is_skipped_at_once() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    mirror.push_update(1, "{}");
    mirror.next_request(now).unwrap();
    mirror.push_update(2, "{}");
    mirror.on_result(Err(MirrorFailure::Refused), now);
    assert_eq!(drain(&mut mirror, now), [[2]]);
    assert_eq!(mirror.skipped(), 1);
}

#[test]
fn gone_client_gets_nothing_more() {
    let now = Instant::now();
    let mut mirror = mirror(websocket());
    mirror.push_update(1, "{}");
    mirror.push_update(2, "{}");
    mirror.next_request(now).unwrap();
    mirror.on_result(Err(MirrorFailure::Gone), now);
    mirror.push_answer(&run_end(3, "So."));
    assert_eq!((mirror.next_request(now), mirror.wake_at()), (None, None));
    assert_eq!((mirror.is_idle(), mirror.skipped()), (true, 3));
}

#[test]
fn oldest_updates_are_skipped_where_too_many_wait() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    mirror.push_update(1, "{}");
    mirror.next_request(now).unwrap();
    let newest = MAX_QUEUED_MESSAGES as u32 + 4;
    (2..=newest).for_each(|sequence| mirror.push_update(sequence, "{}"));
    mirror.on_result(Ok(()), now);
    let sent: Vec<u32> = drain(&mut mirror, now).concat();
    assert_eq!(sent, (5..=newest).collect::<Vec<_>>());
    assert_eq!(mirror.skipped(), 3);
}

#[test]
fn oldest_updates_are_skipped_where_too_many_bytes_wait() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    (1..=6).for_each(|sequence| mirror.push_update(sequence, &update_of_size(&events(), 200_000)));
    assert_eq!(drain(&mut mirror, now), [[2], [3], [4], [5], [6]]);
    assert_eq!(mirror.skipped(), 1);
}

#[test]
fn updates_make_room_for_the_answer() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    (1..=5).for_each(|sequence| mirror.push_update(sequence, &update_of_size(&events(), 200_000)));
    mirror.push_answer(&run_end(6, &"x".repeat(700_000)));
    assert_eq!(drain(&mut mirror, now), [[5], [6], [6], [6]]);
    assert_eq!(mirror.skipped(), 4);
    mirror.push_answer(&run_end(7, &"x".repeat(MAX_QUEUE_BYTES + 1)));
    assert_eq!(drain(&mut mirror, now), [[7]; 5], "no part of an answer is skipped");
    assert_eq!(mirror.skipped(), 4);
}

#[test]
fn update_that_was_taken_before_is_ignored() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    for sequence in [1, 3, 3, 2] {
        mirror.push_update(sequence, "{}");
    }
    assert_eq!(drain(&mut mirror, now), [[1, 3]]);
    assert_eq!(mirror.skipped(), 0);
}

#[test]
fn hurried_mirror_sends_the_answer_alone() {
    let now = Instant::now();
    let mut mirror = mirror(websocket());
    (1..=3).for_each(|sequence| mirror.push_update(sequence, "{}"));
    mirror.push_answer(&run_end(4, "So."));
    mirror.next_request(now).unwrap();
    mirror.skip_updates(now);
    mirror.on_result(Err(MirrorFailure::Retryable), now);
    assert_eq!(mirror.skipped(), 3, "an update in flight is not sent again");
    assert_eq!(sequences(&mirror.next_request(now).unwrap()), [4]);
    mirror.on_result(Err(MirrorFailure::Retryable), now);
    let retry_at = mirror.wake_at().unwrap();
    assert_eq!(sequences(&mirror.next_request(retry_at).unwrap()), [4], "the answer is");
}

#[test]
fn hurried_mirror_does_not_wait_for_another_try() {
    let now = Instant::now();
    for (pushes_update, skipped) in [(true, 1), (false, 0)] {
        let mut mirror = mirror(websocket());
        if pushes_update {
            mirror.push_update(1, "{}");
        }
        mirror.push_answer(&run_end(2, "So."));
        mirror.next_request(now).unwrap();
        mirror.on_result(Err(MirrorFailure::Retryable), now);
        assert_eq!(mirror.next_request(now), None);
        mirror.skip_updates(now);
        assert_eq!(sequences(&mirror.next_request(now).unwrap()), [2]);
        assert_eq!(mirror.skipped(), skipped);
    }
}

#[test]
fn update_that_ends_the_run_is_replaced_by_the_answer() {
    let now = Instant::now();
    let text = |text: &str, reason| event(vec![ContentBlock::text(text)], Author::Agent, reason);
    for (stream, expected) in [(true, vec![vec![1, 2]]), (false, vec![vec![2]])] {
        let mut mirror = mirror(ReplyTo { stream, ..events() });
        deliver(&mut mirror, 1, text("So ", None));
        deliver(&mut mirror, 2, text("be it.", Some(StopReason::EndTurn)));
        mirror.push_wait();
        mirror.push_end();
        mirror.push_end();
        let request = mirror.next_request(now).unwrap();
        let answer: Value = serde_json::from_str(&request.messages.last().unwrap().text).unwrap();
        assert_eq!(answer["result"]["text"], "So be it.");
        mirror.on_result(Ok(()), now);
        assert_eq!([vec![sequences(&request)], drain(&mut mirror, now)].concat(), expected, "the end is told once");
    }
}

#[test]
fn update_after_the_answer_is_skipped() {
    let now = Instant::now();
    let mut mirror = mirror(events());
    mirror.push_answer(&run_end(2, "So."));
    mirror.push_update(1, "{}");
    assert_eq!((drain(&mut mirror, now), mirror.skipped()), (vec![vec![2]], 1));
}

#[test]
fn nothing_is_sent_without_a_stream_before_the_end() {
    let mut mirror = mirror(ReplyTo { stream: false, ..events() });
    mirror.push_update(1, "{}");
    assert!(mirror.is_idle());
}
