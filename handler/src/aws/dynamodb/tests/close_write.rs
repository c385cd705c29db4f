use api::types::{FailureCode, StopReason};
use serde_json::{Value, json};
use turn::{closing_decision::ClosingEvent, failures::Failure, mutation::EndReason};

use crate::aws::dynamodb::{
    Table, TableError,
    test_support::{
        AttributeValue, ConversationCase, FAR, NOW, answer_item, batch_item, conversation_item, embedded_table,
        interceptors::TRANSACTION_CONFLICT, map, number, run_id, sorted_by_key, string, time, turn_item, with,
    },
};

const CANCELLED: EndReason = EndReason::Stopped(StopReason::Cancelled);

#[tokio::test]
async fn close_keeps_batch_text_ends_the_turn_and_frees_the_conversation() {
    let table = embedded_table().await;
    let turn = with(turn_item("CANCELLING", Some(1), FAR), "callerCredential", string("sealed"));
    table.put_items([turn, conversation_item(), batch_item(1, 2, "So "), batch_item(1, 3, "be it.")]).await;
    close(&table, CANCELLED).await.unwrap();
    let expected = json!({
        "id": "t1-closed-1", "conversationId": "c1", "turnId": "t1", "attempt": 1, "position": 8,
        "sender": { "kind": "AGENT", "id": "default" }, "content": [{ "text": "So be it." }],
        "stopReason": "CANCELLED", "createdAt": "2026-11-18T11:06:40.000Z",
    });
    assert_eq!(table.stored_json("EVENT#00000008").await, expected);
    let turn = table.stored_json("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["announced"]), (&json!("CANCELLED"), &json!(false)));
    assert_eq!(turn.get("callerCredential"), None);
    assert_eq!(
        (&turn["lastPosition"], &turn["lastSequence"], &turn["lastEventSequence"]),
        (&json!(8), &json!(4), &json!(4))
    );
    let conversation = table.stored_json("META").await;
    assert_eq!((&conversation["eventCount"], conversation.get("activeTurnId")), (&json!(8), None));
}

#[tokio::test]
async fn close_joins_alternating_blocks_and_stores_their_text() {
    let table = embedded_table().await;
    let in_block = |item, block| with(item, "contentBlockIndex", number(block));
    table.put_items([turn_item("CANCELLING", Some(1), FAR), conversation_item()]).await;
    table
        .put_items([
            in_block(batch_item(1, 2, "So "), 0),
            in_block(batch_item(1, 3, "Or "), 1),
            in_block(batch_item(1, 4, "be it."), 0),
        ])
        .await;
    close(&table, CANCELLED).await.unwrap();
    let event = table.stored_json("EVENT#00000008").await;
    assert_eq!(event["content"], json!([{ "text": "So be it." }, { "text": "Or " }]));
    assert_eq!(event["text"], "So be it.Or ");
}

#[tokio::test]
async fn close_stores_the_failure_with_the_event_and_the_turn() {
    let table = embedded_table().await;
    table.put_items([turn_item("QUEUED", None, FAR), conversation_item()]).await;
    let failure = Failure::new(FailureCode::NotStarted);
    close(&table, EndReason::Failed(failure)).await.unwrap();
    let expected = json!({ "code": "NOT_STARTED", "message": failure.message, "retryable": true });
    assert_eq!(table.stored_json("EVENT#00000008").await["failure"], expected);
    assert_eq!(table.stored_json("TURN#t1").await["failure"], expected);
}

#[tokio::test]
async fn close_is_refused_if_the_turn_has_changed() {
    let running = || turn_item("RUNNING", Some(1), FAR);
    let queued = || turn_item("QUEUED", None, FAR);
    for (read, changed) in [
        (running(), with(running(), "run", number(2))),
        (running(), with(running(), "attempt", number(2))),
        (running(), turn_item("CANCELLING", Some(1), FAR)),
        (running(), turn_item("RUNNING", Some(2), FAR)),
        (queued(), turn_item("QUEUED", Some(1), FAR)),
        (queued(), answer_item(8, 1)),
    ] {
        let table = embedded_table().await;
        table.put_items([read, conversation_item()]).await;
        let turn = table.load_turn(&run_id(1)).await.unwrap().unwrap();
        table.put_items([changed.clone()]).await;
        let before = sorted_by_key(table.all_items().await);
        let event = ClosingEvent::new("t1", &turn, CANCELLED, &[]);
        let error = table.close_turn(&run_id(1), &turn, &event, "default".into(), time(NOW)).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(sorted_by_key(table.all_items().await), before, "{changed:?}");
    }
}

#[tokio::test]
async fn turn_is_closed_only_if_the_conversation_awaits_it() {
    let table = embedded_table().await;
    for case in ConversationCase::all() {
        table.clear().await;
        table.put_items([turn_item("QUEUED", None, FAR)].into_iter().chain(case.conversation_item())).await;
        let before = sorted_by_key(table.all_items().await);
        let result = close(&table, CANCELLED).await;
        assert_eq!(result.is_ok(), case.awaits, "{}: {result:?}", case.name);
        if let Err(error) = result {
            assert!(error.is_retryable(), "{}: {error}", case.name);
            assert_eq!(sorted_by_key(table.all_items().await), before, "{}", case.name);
        }
    }
}

#[tokio::test]
async fn only_events_of_earlier_attempts_of_the_run_are_superseded() {
    let table = embedded_table().await;
    let turn = turn_item("RUNNING", None, FAR);
    let turn = with(turn, "attempt", number(3));
    let turn = with(turn, "runPosition", number(8));
    let turn = with(turn, "lastPosition", number(11));
    let user = AttributeValue::M(map([("kind", string("USER"))]));
    table
        .put_items([
            turn,
            with(answer_item(7, 2), "sender", user),
            answer_item(8, 1),
            answer_item(9, 2),
            answer_item(10, 2),
            answer_item(11, 3),
            answer_item(12, 2),
        ])
        .await;
    let turn = table.load_turn(&run_id(1)).await.unwrap().unwrap();
    for _ in 0..2 {
        let faulty_table = table.replacing_first_response("UpdateItem", TRANSACTION_CONFLICT);
        faulty_table.supersede_orphaned_events(&run_id(1), &turn, 7).await.unwrap();
        let mut superseded = Vec::new();
        for position in 7..=12 {
            if table.stored_json(&format!("EVENT#{position:08}")).await["superseded"] == true {
                superseded.push(position);
            }
        }
        assert_eq!(superseded, [9, 10]);
    }
}

#[tokio::test]
async fn event_of_another_turn_at_the_same_position_is_not_superseded() {
    let table = embedded_table().await;
    let turn = turn_item("RUNNING", None, FAR);
    let turn = with(turn, "attempt", number(2));
    table.put_items([with(turn, "lastPosition", number(8)), answer_item(8, 1)]).await;
    let turn = table.load_turn(&run_id(1)).await.unwrap().unwrap();
    table.put_items([with(answer_item(8, 1), "turnId", string("t9"))]).await;
    table.supersede_orphaned_events(&run_id(1), &turn, 7).await.unwrap();
    assert_eq!(table.stored_json("EVENT#00000008").await["superseded"], Value::Null);
}

async fn close(table: &Table, reason: EndReason) -> Result<(), TableError> {
    let turn = table.load_turn(&run_id(1)).await?.unwrap();
    let batches = table.load_batches(&run_id(1), &turn).await?;
    let event = ClosingEvent::new("t1", &turn, reason, &batches);
    table.close_turn(&run_id(1), &turn, &event, "default".into(), time(NOW)).await
}
