use api::types::{FailureCode, StopReason};
use turn::{closing_decision::ClosingEvent, failures::Failure, mutation::EndReason};

use super::*;

#[tokio::test]
async fn a_closing_keeps_what_was_said_ends_the_turn_and_frees_the_conversation() {
    let table = table().await;
    table.put([turn("CANCELLING", Some(1), FAR), busy(), batch(1, 2, "So "), batch(1, 3, "be it.")]).await;
    close(&table, EndReason::Stopped(StopReason::Cancelled)).await.unwrap();
    let expected = json!({
        "id": "t1-closed-1", "conversationId": "c1", "turnId": "t1", "attempt": 1, "position": 8,
        "sender": { "kind": "AGENT", "id": "default" }, "content": [{ "text": "So be it." }],
        "stopReason": "CANCELLED", "createdAt": "2026-11-18T11:06:40.000Z",
    });
    assert_eq!(table.stored("EVENT#00000008").await, expected);
    let turn = table.stored("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["announced"]), (&json!("CANCELLED"), &json!(false)));
    assert_eq!(
        (&turn["lastPosition"], &turn["lastSequence"], &turn["lastEventSequence"]),
        (&json!(8), &json!(4), &json!(4))
    );
    let meta = table.stored("META").await;
    assert_eq!((&meta["eventCount"], meta.get("activeTurnId")), (&json!(8), None));
}

#[tokio::test]
async fn a_failed_closing_says_why_on_its_event_and_its_turn() {
    let table = table().await;
    table.put([turn("QUEUED", None, FAR), busy()]).await;
    let failure = Failure::new(FailureCode::NotStarted);
    close(&table, EndReason::Failed(failure)).await.unwrap();
    let expected = json!({ "code": "NOT_STARTED", "message": failure.text, "retryable": true });
    assert_eq!(table.stored("EVENT#00000008").await["failure"], expected);
    assert_eq!(table.stored("TURN#t1").await["failure"], expected);
}

#[tokio::test]
async fn nothing_is_closed_that_has_changed_since_it_was_read() {
    for (read, changed) in [
        (turn("RUNNING", Some(1), FAR), with(turn("RUNNING", Some(1), FAR), "run", number(2))),
        (turn("RUNNING", Some(1), FAR), with(turn("RUNNING", Some(1), FAR), "attempt", number(2))),
        (turn("RUNNING", Some(1), FAR), turn("CANCELLING", Some(1), FAR)),
        (turn("RUNNING", Some(1), FAR), turn("RUNNING", Some(2), FAR)),
        (turn("QUEUED", None, FAR), turn("QUEUED", Some(1), FAR)),
        (turn("QUEUED", None, FAR), with(busy(), "eventCount", number(8))),
        (turn("QUEUED", None, FAR), with(busy(), "activeTurnId", text("t2"))),
        (turn("QUEUED", None, FAR), with(busy(), "deletedAt", text("2026-11-21T09:00:00.000Z"))),
        (turn("QUEUED", None, FAR), said(8, 1)),
    ] {
        let table = table().await;
        table.put([read.clone(), busy()]).await;
        let turn = table.turn(&order(1)).await.unwrap().unwrap();
        table.put([changed.clone()]).await;
        let before = sorted(table.all().await);
        let event = ClosingEvent::new("t1", &turn, EndReason::Stopped(StopReason::Cancelled), &[]);
        let refused = table.close(&order(1), &turn, &event, "default", at(NOW)).await.unwrap_err();
        assert!(refused.is_passing(), "{refused}");
        assert_eq!(sorted(table.all().await), before, "{changed:?}");
    }
}

#[tokio::test]
async fn what_dead_attempts_of_the_run_have_said_is_marked_and_nothing_else() {
    let table = table().await;
    let third = with(with(turn("RUNNING", None, FAR), "attempt", number(3)), "lastPosition", number(11));
    table
        .put([with(third, "runPosition", number(8)), said(8, 1), said(9, 2), said(10, 2), said(11, 3), said(12, 2)])
        .await;
    table.put([with(said(7, 2), "sender", AttributeValue::M(named([("kind", text("USER"))])))]).await;
    let turn = table.turn(&order(1)).await.unwrap().unwrap();
    for _ in 0..2 {
        table
            .answering("UpdateItem", replaced_responses::CONFLICT)
            .supersede_leftovers(&order(1), &turn, 7)
            .await
            .unwrap();
        let mut marked = Vec::new();
        for position in 7..=12 {
            marked.push(table.stored(&format!("EVENT#{position:08}")).await["superseded"] == true);
        }
        assert_eq!(marked, [false, false, true, true, false, false]);
    }
}

#[tokio::test]
async fn an_event_that_another_turn_has_put_there_meanwhile_is_not_marked() {
    let table = table().await;
    let second = with(with(turn("RUNNING", None, FAR), "attempt", number(2)), "lastPosition", number(8));
    table.put([second, said(8, 1)]).await;
    let turn = table.turn(&order(1)).await.unwrap().unwrap();
    table.put([with(said(8, 1), "turnId", text("t9"))]).await;
    table.supersede_leftovers(&order(1), &turn, 7).await.unwrap();
    assert_eq!(table.stored("EVENT#00000008").await["superseded"], Value::Null);
}

async fn close(table: &Table, why: EndReason) -> Result<(), super::super::TableError> {
    let turn = table.turn(&order(1)).await?.unwrap();
    let batches = table.batches(&order(1), &turn).await?;
    let event = ClosingEvent::new("t1", &turn, why, &batches);
    table.close(&order(1), &turn, &event, "default", at(NOW)).await
}
