use std::time::Duration;

use api::types::TurnStatus;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use turn::mutation::{PublishFailure, StoredEvent, Update};

use crate::{
    aws::table::{CANCELLED, FAR, Item, NOW, batch, busy, number, said, text, turn, with},
    errors::HandlerError,
    test_support::TestInvocation,
};

#[tokio::test]
async fn a_dead_turn_is_closed_with_what_it_said_and_announced() {
    let invocation = rehearsing([turn("RUNNING", Some(NOW), FAR), busy(), batch(1, 2, "So "), batch(1, 3, "be")]).await;
    invocation.serve(record(1)).await.unwrap();
    let event = invocation.table.stored("EVENT#00000008").await;
    assert_eq!((&event["id"], &event["content"]), (&json!("t1-closed-1"), &json!([{ "text": "So be" }])));
    assert_eq!(event["failure"]["code"], "INTERRUPTED");
    assert_eq!(announced(&invocation), [(4, stored("t1-closed-1", TurnStatus::Failed))]);
}

#[tokio::test]
async fn a_turn_ends_as_its_user_wished_or_as_it_was_left() {
    for (left, expected) in [
        (turn("CANCELLING", Some(NOW), FAR), json!("CANCELLED")),
        (turn("RUNNING", Some(NOW), FAR), json!("FAILED")),
        (turn("QUEUED", None, FAR), json!("FAILED")),
    ] {
        let invocation = rehearsing([left, busy()]).await;
        invocation.serve(record(1)).await.unwrap();
        assert_eq!(invocation.table.stored("TURN#t1").await["status"], expected);
    }
}

#[tokio::test]
async fn a_living_handler_is_left_alone_until_its_lease_is_over() {
    let living = [turn("RUNNING", Some(NOW + 60_000), 1), busy()];
    let invocation = rehearsing(living.clone()).await;
    assert!(matches!(invocation.serve(record(1)).await, Err(HandlerError::Leased)));
    assert_eq!(invocation.table.all().await.len(), living.len());
    assert_eq!(invocation.published(), []);
}

#[tokio::test]
async fn an_order_that_is_not_the_turns_last_closes_nothing() {
    let invocation = rehearsing([with(turn("QUEUED", None, FAR), "run", number(2)), busy()]).await;
    invocation.serve(record(1)).await.unwrap();
    assert_eq!(invocation.table.stored("TURN#t1").await["status"], "QUEUED");
    assert_eq!(invocation.published(), []);
}

#[tokio::test]
async fn an_end_that_nobody_was_told_of_is_announced_under_its_number() {
    let invocation = rehearsing([ended(), said(8, 1)]).await;
    invocation.serve(record(1)).await.unwrap();
    assert_eq!(announced(&invocation), [(5, stored("t1-1-8", TurnStatus::Completed))]);
    invocation.table.put([with(ended(), "announced", AttributeValue::Bool(true))]).await;
    invocation.serve(record(1)).await.unwrap();
    assert_eq!(invocation.published(), []);
}

#[tokio::test]
async fn what_dead_attempts_have_left_is_marked_before_an_end_is_announced() {
    let cancelled = with(with(ended(), "lastPosition", number(9)), "attempt", number(2));
    let closing = with(said(9, 2), "id", text("t1-closed-1"));
    let invocation = rehearsing([cancelled, said(8, 1), closing]).await;
    invocation.serve(record(1)).await.unwrap();
    assert_eq!(invocation.table.stored("EVENT#00000008").await["superseded"], true);
    assert_eq!(invocation.table.stored("EVENT#00000009").await.get("superseded"), None);
    assert_eq!(invocation.published().len(), 1);
}

#[tokio::test]
async fn an_end_without_an_event_of_its_own_is_not_announced() {
    for newest in [with(said(8, 1), "turnId", text("t2")), with(said(8, 1), "sender", user())] {
        let invocation = rehearsing([ended(), newest]).await;
        invocation.serve(record(1)).await.unwrap();
        assert_eq!(invocation.published(), []);
    }
}

#[tokio::test]
async fn an_announcement_is_repeated_unchanged_until_it_is_taken() {
    let invocation = rehearsing([ended(), said(8, 1)]).await;
    invocation.answer([Err(PublishFailure::Again), Err(PublishFailure::Again)]);
    invocation.serve(record(1)).await.unwrap();
    let told = stored("t1-1-8", TurnStatus::Completed);
    assert_eq!(announced(&invocation), [(5, told.clone()), (5, told.clone()), (5, told)]);
}

#[tokio::test]
async fn an_announcement_that_is_never_taken_fails_and_one_that_is_too_late_does_not() {
    let mut invocation = rehearsing([ended(), said(8, 1)]).await;
    invocation.answer([Err(PublishFailure::Refused)]);
    assert!(matches!(invocation.serve(record(1)).await, Err(HandlerError::Unannounced)));
    invocation.answer([Err(PublishFailure::Stale)]);
    invocation.serve(record(1)).await.unwrap();
    invocation.left = Duration::from_millis(1_100);
    invocation.answer(std::iter::repeat_n(Err(PublishFailure::Again), 100_000));
    assert!(matches!(invocation.serve(record(1)).await, Err(HandlerError::Unannounced)));
}

#[tokio::test]
async fn a_closing_whose_answer_was_lost_is_done_once() {
    let mut invocation = rehearsing([turn("RUNNING", Some(NOW), FAR), busy()]).await;
    invocation.table = invocation.table.answering("TransactWriteItems", CANCELLED);
    invocation.serve(record(1)).await.unwrap();
    assert_eq!(invocation.table.stored("META").await["eventCount"], 8);
    assert_eq!(announced(&invocation), [(1, stored("t1-closed-1", TurnStatus::Failed))]);
}

#[tokio::test]
async fn a_turn_that_does_not_fit_its_conversation_is_given_up() {
    let invocation = rehearsing([turn("RUNNING", Some(NOW), FAR), with(busy(), "eventCount", number(9))]).await;
    assert!(matches!(invocation.serve(record(1)).await, Err(HandlerError::Table(_))));
    assert_eq!(invocation.table.stored("TURN#t1").await["status"], "RUNNING");
    assert_eq!(invocation.published(), []);
}

#[tokio::test]
async fn what_is_deleted_stays_as_it_is() {
    for items in [vec![], vec![turn("QUEUED", None, FAR), with(busy(), "deletedAt", text("2026-11-21"))]] {
        let invocation = rehearsing(items.clone()).await;
        invocation.serve(record(1)).await.unwrap();
        assert_eq!(invocation.table.all().await.len(), items.len());
        assert_eq!(invocation.published(), []);
    }
}

#[tokio::test]
async fn a_failed_purge_is_taken_note_of_and_other_records_are_refused() {
    let invocation = rehearsing([busy()]).await;
    let purge = json!({ "type": "purge", "conversationId": "c1" });
    invocation.serve(json!({ "requestContext": {}, "requestPayload": purge })).await.unwrap();
    for payload in [json!({ "type": "other" }), json!({ "type": "turn", "conversationId": "c1" }), json!("turn")] {
        let refused = invocation.serve(json!({ "requestContext": {}, "requestPayload": payload })).await;
        assert!(matches!(refused, Err(HandlerError::Payload)));
    }
}

async fn rehearsing(items: impl IntoIterator<Item = Item>) -> TestInvocation {
    let invocation = TestInvocation::new().await;
    invocation.table.put(items).await;
    invocation
}

fn record(run: u32) -> Value {
    json!({
        "version": "1.0",
        "timestamp": "2026-11-21T09:05:00.000Z",
        "requestContext": { "requestId": "r1", "condition": "RetriesExhausted", "approximateInvokeCount": 3 },
        "requestPayload": {
            "type": "turn", "conversationId": "c1", "turnId": "t1", "run": run, "agent": null, "history": [],
            "question": { "id": "t1", "content": [{ "text": "Why?" }] },
        },
        "responseContext": { "statusCode": 200, "functionError": "Unhandled" },
        "responsePayload": { "errorType": "Handler.OutOfTime" },
    })
}

fn ended() -> Item {
    with(with(turn("COMPLETED", Some(NOW), FAR), "lastPosition", number(8)), "lastSequence", number(5))
}

fn user() -> AttributeValue {
    AttributeValue::M([("kind".to_owned(), text("USER"))].into())
}

fn stored(id: &str, status: TurnStatus) -> Update {
    Update::Stored(StoredEvent { id: id.into(), position: 8, status })
}

fn announced(invocation: &TestInvocation) -> Vec<(u32, Update)> {
    let published = invocation.published();
    assert!(published.iter().all(|mutation| (mutation.claim.run, mutation.claim.attempt) == (1, 1)));
    published.iter().map(|mutation| (mutation.sequence, mutation.update.clone())).collect()
}
