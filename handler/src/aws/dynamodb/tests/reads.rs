use std::ops::RangeInclusive;

use api::types::{ContentBlock, SenderKind};
use turn::transcript::OlderEvents;

use super::{
    super::{NO_ANSWER, PASSING},
    *,
};

#[tokio::test]
async fn older_events_come_in_order_and_nothing_else_with_them() {
    let table = table().await;
    table.put((1..=40).map(|position| event("c1", position))).await;
    table.put([turn("QUEUED", None, FAR), item(&conversation_partition("c1"), "META"), event("c2", 9)]).await;
    for (before, at_most, expected) in [(31, 10, 21..=30), (3, 10, 1..=2), (41, 1000, 1..=40)] {
        let events = table.events_before("c1", OlderEvents { before, at_most }).await.unwrap();
        assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    let newest = table.events_before("c1", OlderEvents { before: 41, at_most: 1 }).await.unwrap().remove(0);
    assert_eq!((newest.id.as_str(), newest.turn_id.as_deref(), newest.attempt), ("e40", Some("t40"), Some(2)));
    assert_eq!((newest.sender.kind, newest.sender.name.as_deref()), (SenderKind::Agent, None));
    assert_eq!(newest.content, [ContentBlock::text("Said\r\n👩‍👩‍👧")]);
    assert_eq!((newest.superseded, newest.created_at.as_str()), (Some(true), "2026-11-21T09:00:00.000Z"));
}

#[tokio::test]
async fn events_of_a_range_come_whole_page_after_page() {
    let table = table().await;
    let long = AttributeValue::L(vec![AttributeValue::M(named([("text", text("x".repeat(300_000)))]))]);
    for position in 1..=9 {
        table.put([with(said(position, 1), "content", long.clone())]).await;
    }
    for (positions, expected) in
        [(3..=8, vec![3, 4, 5, 6, 7, 8]), (RangeInclusive::new(9, 8), vec![]), (9..=20, vec![9])]
    {
        let events = table.events_at("c1", positions).await.unwrap();
        assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), expected);
        assert!(events.iter().all(|event| event.texts().all(|text| text.len() == 300_000)));
    }
}

#[tokio::test]
async fn a_turn_that_says_nothing_of_its_answer_begins_it_after_its_question() {
    let table = table().await;
    assert_eq!(table.turn(&order(1)).await.unwrap(), None);
    let mut bare = turn("QUEUED", None, FAR);
    bare.retain(|name, _| !matches!(name.as_str(), "answerPosition" | "runPosition" | "lastEventSequence"));
    table.put([bare]).await;
    let turn = table.turn(&order(1)).await.unwrap().unwrap();
    assert_eq!((turn.answer_position, turn.run_position, turn.last_event_sequence), (7, 7, 0));
    assert!(!turn.announced && turn.lease_until.is_none());
}

#[tokio::test]
async fn an_event_is_read_by_its_position() {
    let table = table().await;
    table.put([said(8, 2)]).await;
    assert_eq!(table.event("c1", 7).await.unwrap(), None);
    assert_eq!(table.event("c1", 8).await.unwrap().unwrap().id, "t1-2-8");
}

#[tokio::test]
async fn a_reading_that_fails_for_a_moment_is_done_again() {
    let table = table().await;
    table.put([turn("QUEUED", None, FAR), said(8, 1), batch(1, 1, "So")]).await;
    for error in PASSING.into_iter().filter(|code| *code != NO_ANSWER) {
        let failing = |operation| table.answering(operation, error_of(error));
        assert!(failing("GetItem").turn(&order(1)).await.unwrap().is_some(), "{error}");
        assert_eq!(failing("Query").events_at("c1", 8..=8).await.unwrap().len(), 1, "{error}");
        let wanted = OlderEvents { before: 9, at_most: 1 };
        assert_eq!(failing("Query").events_before("c1", wanted).await.unwrap().len(), 1, "{error}");
    }
    let nothing = table.answering("GetItem", "");
    assert!(nothing.event("c1", 8).await.unwrap().is_some());
    let denied = table.answering("GetItem", error_of("AccessDeniedException"));
    assert!(denied.event("c1", 8).await.is_err());
}

fn error_of(code: &str) -> &'static str {
    format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}"}}"#).leak()
}

#[tokio::test]
async fn only_the_attempts_own_batches_after_its_last_event_are_read() {
    let table = table().await;
    table
        .put([batch(1, 3, "old"), batch(2, 1, "kept"), batch(2, 2, "So "), batch(2, 3, "be it."), batch(3, 1, "new")])
        .await;
    let second = with(turn("RUNNING", None, FAR), "attempt", number(2));
    table.put([with(second, "lastEventSequence", number(1))]).await;
    let turn = table.turn(&order(1)).await.unwrap().unwrap();
    let batches = table.batches(&order(1), &turn).await.unwrap();
    let said: Vec<_> = batches.iter().map(|batch| (batch.sequence, batch.text.as_deref())).collect();
    assert_eq!(said, [(2, Some("So ")), (3, Some("be it."))]);
}
