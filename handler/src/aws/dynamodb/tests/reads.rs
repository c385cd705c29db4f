use std::{collections::HashMap, ops::RangeInclusive};

use api::types::{ContentBlock, SenderKind};
use turn::{tool::CallAnswer, transcript::OlderEvents};

use crate::aws::dynamodb::{
    StoredAnswer,
    error::{NO_RESPONSE, RETRYABLE},
    test_support::{
        FAR, Item, answer_item, batch_item, boolean, content, embedded_table, key, map, number, other_event_item,
        run_id, string, turn_item, with,
    },
};

#[tokio::test]
async fn older_events_are_loaded_in_order() {
    let table = embedded_table().await;
    table.put_items((1..=40).map(|position| other_event_item("c1", position))).await;
    let conversation = key("CONVERSATION#c1", "META");
    table.put_items([turn_item("QUEUED", None, FAR), conversation, other_event_item("c2", 9)]).await;
    for (before, at_most, expected) in [(31, 10, 21..=30), (3, 10, 1..=2), (41, 1000, 1..=40)] {
        let events = table.load_older_events("c1", OlderEvents { before, at_most }).await.unwrap();
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        assert_eq!(positions, expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn every_attribute_of_an_event_is_parsed() {
    let table = embedded_table().await;
    table.put_items([other_event_item("c1", 40)]).await;
    let event = table.load_event("c1", 40).await.unwrap().unwrap();
    assert_eq!((event.id.as_str(), event.turn_id.as_deref(), event.attempt), ("e40", Some("t40"), Some(2)));
    assert_eq!((event.sender.kind, event.sender.name.as_deref()), (SenderKind::Agent, None));
    assert_eq!(event.content, [ContentBlock::text("Answer\r\n👩‍👩‍👧")]);
    assert_eq!((event.superseded, event.created_at.as_str()), (Some(true), "2026-11-21T09:00:00.000Z"));
}

#[tokio::test]
async fn range_of_events_is_loaded_page_by_page() {
    let table = embedded_table().await;
    for position in 1..=9 {
        table.put_items([with(answer_item(position, 1), "content", content(&"x".repeat(300_000)))]).await;
    }
    for (positions, expected) in
        [(3..=8, vec![3, 4, 5, 6, 7, 8]), (RangeInclusive::new(9, 8), vec![]), (9..=20, vec![9])]
    {
        let events = table.load_events("c1", positions).await.unwrap();
        assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), expected);
        assert!(events.iter().all(|event| event.texts().all(|text| text.len() == 300_000)));
    }
}

#[tokio::test]
async fn missing_positions_of_a_turn_default_to_its_question() {
    let table = embedded_table().await;
    assert_eq!(table.load_turn(&run_id(1)).await.unwrap(), None);
    let mut item = turn_item("QUEUED", None, FAR);
    for name in ["answerPosition", "runPosition", "lastEventSequence"] {
        item.remove(name);
    }
    table.put_items([item]).await;
    let turn = table.load_turn(&run_id(1)).await.unwrap().unwrap();
    assert_eq!((turn.answer_position, turn.run_position, turn.last_event_sequence), (7, 7, 0));
    assert!(!turn.announced && turn.lease_until.is_none());
}

#[tokio::test]
async fn event_is_loaded_by_its_position() {
    let table = embedded_table().await;
    table.put_items([answer_item(8, 2)]).await;
    assert_eq!(table.load_event("c1", 7).await.unwrap(), None);
    assert_eq!(table.load_event("c1", 8).await.unwrap().unwrap().id, "t1-2-8");
}

#[tokio::test]
async fn incomplete_item_is_an_error_that_names_its_kind() {
    let table = embedded_table().await;
    let mut item = answer_item(8, 2);
    item.remove("sender");
    table.put_items([item]).await;
    let error = table.load_event("c1", 8).await.unwrap_err();
    assert_eq!(error.to_string(), "the event item cannot be read");
}

#[tokio::test]
async fn reads_are_repeated_after_retryable_errors_only() {
    let table = embedded_table().await;
    table.put_items([turn_item("QUEUED", None, FAR), answer_item(8, 1), batch_item(1, 1, "So")]).await;
    for code in RETRYABLE.into_iter().filter(|code| *code != NO_RESPONSE) {
        let faulty_table = |operation| table.replacing_first_response(operation, error_body(code));
        assert!(faulty_table("GetItem").load_turn(&run_id(1)).await.unwrap().is_some(), "{code}");
        assert_eq!(faulty_table("Query").load_events("c1", 8..=8).await.unwrap().len(), 1, "{code}");
        let page = OlderEvents { before: 9, at_most: 1 };
        assert_eq!(faulty_table("Query").load_older_events("c1", page).await.unwrap().len(), 1, "{code}");
    }
    let without_response = table.replacing_first_response("GetItem", "");
    assert!(without_response.load_event("c1", 8).await.unwrap().is_some());
    let denied = table.replacing_first_response("GetItem", error_body("AccessDeniedException"));
    assert!(denied.load_event("c1", 8).await.is_err());
}

#[tokio::test]
async fn only_the_answer_to_the_call_of_the_event_is_loaded() {
    let table = embedded_table().await;
    let answer = |sort: &str, members: Item| -> Item { key("TURN#c1#t1", sort).into_iter().chain(members).collect() };
    let result = map([("result", string("{\"a\": 1}")), ("isError", boolean(true))]);
    let approval = map([
        ("approved", boolean(true)),
        ("answeredBy", string("u1")),
        ("agentId", string("clerk")),
        ("agentVersion", number(3)),
    ]);
    let denial = map([("approved", boolean(false)), ("reason", string("No."))]);
    table
        .put_items([
            answer("ANSWER#a#00000008", approval),
            answer("ANSWER#b.1:z_#00000008", denial),
            answer("ANSWER#c#00000008", result),
            answer("ANSWER#d#00000007", map([("approved", boolean(true))])),
            answer("ANSWER#a#00000080", map([("approved", boolean(false))])),
            answer("ANSWER#a.1#00000008", map([("approved", boolean(false))])),
            answer("TOOL#00000008#a", Item::new()),
        ])
        .await;
    let ids = ["a", "b", "b.1:z_", "c", "d"];
    let mut loaded = table.load_call_answers(&run_id(1), 8, ids).await.unwrap();
    let approval = StoredAnswer {
        answer: CallAnswer::Approved,
        answered_by: Some("u1".into()),
        agent_id: Some("clerk".into()),
        agent_version: Some(3),
    };
    assert_eq!(loaded.remove("a"), Some(approval));
    let denied = CallAnswer::Denied { reason: Some("No.".into()) };
    assert_eq!(loaded.remove("b.1:z_").map(|stored| stored.answer), Some(denied));
    let result = CallAnswer::Result { json: "{\"a\": 1}".into(), is_error: true };
    assert_eq!(loaded.remove("c").map(|stored| stored.answer), Some(result));
    assert_eq!(loaded, HashMap::new(), "those of other calls and events are not loaded");
    assert_eq!(table.load_call_answers(&run_id(1), 9, ids).await.unwrap(), HashMap::new());
}

fn error_body(code: &str) -> &'static str {
    format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}"}}"#).leak()
}

#[tokio::test]
async fn only_batches_of_the_attempt_after_its_last_event_are_loaded() {
    let table = embedded_table().await;
    table
        .put_items([
            batch_item(1, 3, "of an earlier attempt"),
            batch_item(2, 1, "in an event"),
            batch_item(2, 2, "So "),
            batch_item(2, 3, "be it."),
            batch_item(3, 1, "of a later attempt"),
        ])
        .await;
    let turn = with(turn_item("RUNNING", None, FAR), "attempt", number(2));
    table.put_items([with(turn, "lastEventSequence", number(1))]).await;
    let turn = table.load_turn(&run_id(1)).await.unwrap().unwrap();
    let batches = table.load_batches(&run_id(1), &turn).await.unwrap();
    let batches: Vec<_> = batches.iter().map(|batch| (batch.sequence, batch.text.as_deref())).collect();
    assert_eq!(batches, [(2, Some("So ")), (3, Some("be it."))]);
}
