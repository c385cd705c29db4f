use std::{iter::repeat_n, time::Duration};

use api::types::{SenderKind, TurnStatus};
use serde_json::{Value, json};
use turn::mutation::{PublishFailure, Update};

use crate::{
    aws::dynamodb::test_support::{
        AttributeValue, FAR, Item, NOW, answer_item, boolean, content, conversation_item, map, number, string,
        turn_item, usage_key, with,
    },
    errors::HandlerError,
    test_support::TestInvocation,
};

#[tokio::test]
async fn queued_turn_is_claimed_answered_and_published() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
    assert_eq!(transcript(&invocation), [(SenderKind::User, vec!["Why?".to_owned()])]);
    let published = invocation.take_published();
    assert!(matches!(&published[0].update, Update::Started { continues: false, .. }));
    let last = published.last().unwrap();
    assert!(last.closes_turn() && last.claim.attempt == 2);
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "RUNNING");
}

#[tokio::test]
async fn question_missing_from_the_payload_is_loaded() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item(), question_item()]).await;
    invocation.serve(turn_payload(json!({ "question": null, "historyCut": true }))).await.unwrap();
    assert_eq!(transcript(&invocation), [(SenderKind::User, vec!["Why not?".to_owned()])]);
}

#[tokio::test]
async fn continued_answer_is_part_of_the_transcript() {
    let turn = with(queued_turn(), "runPosition", number(10));
    let turn = with(turn, "lastPosition", number(10));
    let superseded = with(answer_item(8, 1), "superseded", boolean(true));
    let kept_events =
        [with(answer_item(9, 1), "content", content("So ")), with(answer_item(10, 1), "content", content("it"))];
    let items = [turn, conversation_item(), question_item(), superseded].into_iter().chain(kept_events);
    let invocation = TestInvocation::with_items(items).await;
    invocation.serve(turn_payload(json!({ "question": null, "continues": true }))).await.unwrap();
    let transcript = transcript(&invocation);
    assert_eq!(
        transcript[..2],
        [(SenderKind::User, vec!["Why not?".to_owned()]), (SenderKind::Agent, vec!["So ".to_owned(), "it".to_owned()])]
    );
    assert_eq!((transcript[2].0, transcript.len()), (SenderKind::User, 3));
    assert!(matches!(&invocation.take_published()[0].update, Update::Started { continues: true, .. }));
}

#[tokio::test]
async fn events_of_a_dead_attempt_are_superseded_before_the_next_starts() {
    let turn = with(turn_item("RUNNING", Some(NOW), FAR), "lastPosition", number(8));
    let conversation = with(conversation_item(), "eventCount", number(8));
    let invocation = TestInvocation::with_items([turn, conversation, answer_item(8, 1)]).await;
    invocation.script_publish_results([Err(PublishFailure::Stale)]);
    drop(invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await);
    assert_eq!(invocation.table.stored_json("EVENT#00000008").await["superseded"], true);
    assert_eq!(invocation.take_published().len(), 1);
}

#[tokio::test]
async fn leased_turn_fails_the_invocation_without_a_model_call() {
    let leased = turn_item("RUNNING", Some(NOW + 60_000), FAR);
    let invocation = TestInvocation::with_items([leased, conversation_item()]).await;
    let result = invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await;
    assert!(matches!(result, Err(HandlerError::Leased)));
    assert!(invocation.take_model_requests().is_empty() && invocation.take_published().is_empty());
}

#[tokio::test]
async fn invocation_for_ended_turn_succeeds_without_action() {
    let announced = with(turn_item("COMPLETED", Some(NOW), FAR), "announced", boolean(true));
    let other_run = with(queued_turn(), "run", number(2));
    for items in [
        vec![],
        vec![announced, conversation_item()],
        vec![other_run, conversation_item()],
        // The question has been purged.
        vec![queued_turn(), conversation_item()],
    ] {
        let invocation = TestInvocation::with_items(items).await;
        invocation.serve(turn_payload(json!({ "question": null }))).await.unwrap();
        assert!(invocation.take_model_requests().is_empty() && invocation.take_published().is_empty());
    }
}

#[tokio::test]
async fn cancelled_or_expired_turn_is_closed_without_a_model_call() {
    for (turn, expected) in [
        (turn_item("CANCELLING", Some(NOW), FAR), TurnStatus::Cancelled),
        (turn_item("RUNNING", Some(NOW), NOW), TurnStatus::Failed),
        (turn_item("QUEUED", None, NOW), TurnStatus::Failed),
    ] {
        let invocation = TestInvocation::with_items([turn, conversation_item()]).await;
        invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
        assert!(invocation.take_model_requests().is_empty());
        let [published] = invocation.take_published().try_into().unwrap();
        assert!(matches!(&published.update, Update::Stored(event) if event.status == expected), "{published:?}");
        assert_eq!(invocation.table.stored_json("META").await.get("activeTurnId"), None);
    }
}

#[tokio::test]
async fn unannounced_end_is_announced_without_a_model_call() {
    let ended = with(turn_item("COMPLETED", Some(NOW), FAR), "lastPosition", number(8));
    let invocation = TestInvocation::with_items([ended, answer_item(8, 1)]).await;
    invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
    assert!(invocation.take_model_requests().is_empty());
    assert!(matches!(&invocation.take_published()[0].update, Update::Stored(event) if event.id == "t1-1-8"));
}

#[tokio::test]
async fn answer_refused_by_appsync_is_stored_unannounced() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.script_publish_results(repeat_n(Err(PublishFailure::Refused), 100));
    let result = invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await;
    assert!(matches!(result, Err(HandlerError::Unannounced)));
    let event = invocation.table.stored_json("EVENT#00000008").await;
    assert_eq!(event["content"], json!([{ "text": "So be it." }]));
    let turn = invocation.table.stored_json("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["announced"]), (&json!("COMPLETED"), &json!(false)));
}

#[tokio::test]
async fn attempt_with_expired_lease_closes_its_turn_unless_another_owns_it() {
    for (attempt, expected) in [(2, "CANCELLED"), (3, "CANCELLING")] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        let cancelling = turn_item("CANCELLING", Some(NOW), FAR);
        invocation.write_before_next_publish(with(cancelling, "attempt", number(attempt)));
        invocation.script_publish_results([Err(PublishFailure::Stale)]);
        invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
        assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], expected, "attempt {attempt}");
    }
}

#[tokio::test]
async fn lease_that_the_attempt_itself_renewed_fails_the_invocation() {
    for (attempt, is_own) in [(2, true), (3, false)] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        let leased = turn_item("RUNNING", Some(NOW + 60_000), FAR);
        invocation.write_before_next_publish(with(leased, "attempt", number(attempt)));
        invocation.script_publish_results([Err(PublishFailure::Stale)]);
        let result = invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await;
        assert_eq!(matches!(result, Err(HandlerError::Leased)), is_own, "attempt {attempt}: {result:?}");
    }
}

#[tokio::test]
async fn tokens_are_counted_for_the_user_and_day() {
    let used = with(usage_key("ann", "2026-11-18"), "tokens", number(5));
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item(), used]).await;
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }))).await.unwrap();
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 12);
}

#[tokio::test]
async fn tokens_are_estimated_if_the_model_reports_no_usage() {
    let mut invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.usage = None;
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }))).await.unwrap();
    let bytes = "Why?".len() + "So be it.".len();
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], bytes.div_ceil(4));
}

#[tokio::test]
async fn tokens_of_an_unannounced_answer_are_counted_once() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.script_publish_results(repeat_n(Err(PublishFailure::Refused), 100));
    let payload = turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }));
    assert!(matches!(invocation.serve(payload.clone()).await, Err(HandlerError::Unannounced)));
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 7);
    drop(invocation.serve(payload).await);
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 7);
}

#[tokio::test]
async fn tokens_are_not_counted_without_user_or_for_a_superseded_attempt() {
    for (asked_by, first_result) in [(json!(null), Ok(TurnStatus::Running)), (json!("ann"), Err(PublishFailure::Stale))]
    {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        invocation.script_publish_results([first_result]);
        let payload = turn_payload(json!({ "question": question("Why?"), "askedBy": asked_by }));
        drop(invocation.serve(payload).await);
        let items = invocation.table.all_items().await;
        assert!(!items.iter().any(|item| item.contains_key("tokens")), "{items:?}");
    }
}

#[tokio::test]
async fn failed_token_count_does_not_fail_the_invocation() {
    let mut invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.table = invocation.table.throttling_calls_with("ADD tokens");
    invocation.limits.bookkeeping_timeout = Duration::from_millis(50);
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }))).await.unwrap();
    assert!(invocation.take_published().last().is_some_and(|last| last.closes_turn()));
}

fn queued_turn() -> Item {
    turn_item("QUEUED", None, FAR)
}

fn question_item() -> Item {
    let user = AttributeValue::M(map([("kind", string("USER"))]));
    let item = with(answer_item(7, 1), "sender", user);
    with(item, "content", content("Why not?"))
}

/// The payload of an invocation for turn t1, with further members.
fn turn_payload(members: Value) -> Value {
    let agent = json!({ "id": "default", "version": 1, "modelId": "any", "contextBytes": 400_000 });
    let mut payload = json!({ "type": "turn", "conversationId": "c1", "turnId": "t1", "run": 1, "agent": agent });
    payload.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    payload
}

fn question(text: &str) -> Value {
    json!({
        "id": "t1", "conversationId": "c1", "position": 7, "turnId": "t1", "sender": { "kind": "USER" },
        "content": [{ "text": text }], "createdAt": "2026-11-21T09:00:00.000Z",
    })
}

/// The transcript of the only request to the model.
fn transcript(invocation: &TestInvocation) -> Vec<(SenderKind, Vec<String>)> {
    let [request] = invocation.take_model_requests().try_into().unwrap();
    request.transcript.iter().map(|message| (message.role, message.texts.clone())).collect()
}
