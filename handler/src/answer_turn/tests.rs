use std::time::Duration;

use api::types::{SenderKind, TurnStatus};
use serde_json::{Value, json};
use turn::mutation::{PublishFailure, Update};

use crate::{
    aws::table::{AttributeValue, FAR, Item, NOW, busy, day_key, named, number, said, text, turn, with},
    errors::HandlerError,
    test_support::TestInvocation,
};

#[tokio::test]
async fn an_order_is_claimed_asked_and_published() {
    let invocation = rehearsing([turn("QUEUED", None, FAR), busy()]).await;
    invocation.serve(order(json!({ "question": asked("Why?") }))).await.unwrap();
    assert_eq!(transcript(&invocation), [(SenderKind::User, vec!["Why?".to_owned()])]);
    let published = invocation.published();
    assert!(matches!(&published[0].update, Update::Began { continues: false, .. }));
    let last = published.last().unwrap();
    assert!(last.closes_turn() && last.claim.attempt == 2);
    assert_eq!(invocation.table.stored("TURN#t1").await["status"], "RUNNING");
}

#[tokio::test]
async fn a_question_that_the_order_does_not_carry_is_read() {
    let invocation = rehearsing([turn("QUEUED", None, FAR), busy(), question()]).await;
    invocation.serve(order(json!({ "question": null, "historyCut": true }))).await.unwrap();
    assert_eq!(transcript(&invocation), [(SenderKind::User, vec!["Why not?".to_owned()])]);
}

#[tokio::test]
async fn an_answer_that_goes_on_is_given_to_the_model_as_it_stands() {
    let second = with(with(turn("QUEUED", None, FAR), "runPosition", number(10)), "lastPosition", number(10));
    let replaced = with(said(8, 1), "superseded", AttributeValue::Bool(true));
    let invocation = rehearsing([second, busy(), question(), replaced, says(9, "So "), says(10, "it")]).await;
    invocation.serve(order(json!({ "question": null, "continues": true }))).await.unwrap();
    let transcript = transcript(&invocation);
    assert_eq!(
        transcript[..2],
        [(SenderKind::User, vec!["Why not?".to_owned()]), (SenderKind::Agent, vec!["So ".to_owned(), "it".to_owned()]),]
    );
    assert_eq!((transcript[2].0, transcript.len()), (SenderKind::User, 3));
    assert!(matches!(&invocation.published()[0].update, Update::Began { continues: true, .. }));
}

#[tokio::test]
async fn what_a_dead_attempt_of_the_run_left_is_marked_before_the_next_begins() {
    let left = with(turn("RUNNING", Some(NOW), FAR), "lastPosition", number(8));
    let invocation = rehearsing([left, with(busy(), "eventCount", number(8)), said(8, 1)]).await;
    invocation.answer([Err(PublishFailure::Stale)]);
    invocation.serve(order(json!({ "question": asked("Why?") }))).await.unwrap();
    assert_eq!(invocation.table.stored("EVENT#00000008").await["superseded"], true);
    assert_eq!(invocation.published().len(), 1);
}

#[tokio::test]
async fn a_delivery_that_meets_a_living_handler_asks_nothing_and_is_looked_at_again() {
    let invocation = rehearsing([turn("RUNNING", Some(NOW + 60_000), FAR), busy()]).await;
    let met = invocation.serve(order(json!({ "question": asked("Why?") }))).await;
    assert!(matches!(met, Err(HandlerError::Leased)));
    assert!(invocation.asked().is_empty() && invocation.published().is_empty());
}

#[tokio::test]
async fn a_delivery_that_comes_for_nothing_says_nothing() {
    let announced = with(turn("COMPLETED", Some(NOW), FAR), "announced", AttributeValue::Bool(true));
    let other_run = with(turn("QUEUED", None, FAR), "run", number(2));
    for items in [vec![], vec![announced, busy()], vec![other_run, busy()], vec![turn("QUEUED", None, FAR), busy()]] {
        let invocation = rehearsing(items).await;
        invocation.serve(order(json!({ "question": null }))).await.unwrap();
        assert!(invocation.asked().is_empty() && invocation.published().is_empty());
    }
}

#[tokio::test]
async fn a_turn_that_may_not_be_answered_any_more_is_closed_without_the_model() {
    for (left, expected) in [
        (turn("CANCELLING", Some(NOW), FAR), TurnStatus::Cancelled),
        (turn("RUNNING", Some(NOW), NOW), TurnStatus::Failed),
        (turn("QUEUED", None, NOW), TurnStatus::Failed),
    ] {
        let invocation = rehearsing([left, busy()]).await;
        invocation.serve(order(json!({ "question": asked("Why?") }))).await.unwrap();
        assert!(invocation.asked().is_empty());
        let [told] = invocation.published().try_into().unwrap();
        assert!(matches!(&told.update, Update::Stored(event) if event.status == expected), "{told:?}");
        assert_eq!(invocation.table.stored("META").await.get("activeTurnId"), None);
    }
}

#[tokio::test]
async fn an_end_that_a_former_delivery_could_not_announce_is_announced_without_the_model() {
    let ended = with(turn("COMPLETED", Some(NOW), FAR), "lastPosition", number(8));
    let invocation = rehearsing([ended, said(8, 1)]).await;
    invocation.serve(order(json!({ "question": asked("Why?") }))).await.unwrap();
    assert!(invocation.asked().is_empty());
    assert!(matches!(&invocation.published()[0].update, Update::Stored(event) if event.id == "t1-1-8"));
}

#[tokio::test]
async fn an_answer_that_appsync_refuses_is_stored_and_left_for_another_delivery_to_announce() {
    let invocation = rehearsing([turn("QUEUED", None, FAR), busy()]).await;
    invocation.answer(std::iter::repeat_n(Err(PublishFailure::Refused), 100));
    let ended = invocation.serve(order(json!({ "question": asked("Why?") }))).await;
    assert!(matches!(ended, Err(HandlerError::Unannounced)));
    assert_eq!(invocation.table.stored("EVENT#00000008").await["content"], json!([{ "text": "So be it." }]));
    let turn = invocation.table.stored("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["announced"]), (&json!("COMPLETED"), &json!(false)));
}

#[tokio::test]
async fn an_attempt_that_overslept_its_lease_closes_its_turn_unless_another_owns_it() {
    for (attempt, expected) in [(2, "CANCELLED"), (3, "CANCELLING")] {
        let invocation = rehearsing([turn("QUEUED", None, FAR), busy()]).await;
        invocation.meanwhile(with(turn("CANCELLING", Some(NOW), FAR), "attempt", number(attempt)));
        invocation.answer([Err(PublishFailure::Stale)]);
        invocation.serve(order(json!({ "question": asked("Why?") }))).await.unwrap();
        assert_eq!(invocation.table.stored("TURN#t1").await["status"], expected, "attempt {attempt}");
    }
}

#[tokio::test]
async fn what_an_answer_has_cost_is_added_to_the_day_of_whoever_asked() {
    let spent = with(day_key("ann", "2026-11-18"), "tokens", number(5));
    let invocation = rehearsing([turn("QUEUED", None, FAR), busy(), spent]).await;
    invocation.serve(order(json!({ "question": asked("Why?"), "askedBy": "ann" }))).await.unwrap();
    assert_eq!(invocation.table.stored("DAY#2026-11-18").await["tokens"], 12);
}

#[tokio::test]
async fn an_answer_whose_cost_the_model_never_tells_is_counted_by_its_size() {
    let mut invocation = rehearsing([turn("QUEUED", None, FAR), busy()]).await;
    invocation.usage = None;
    invocation.serve(order(json!({ "question": asked("Why?"), "askedBy": "ann" }))).await.unwrap();
    let bytes = "Why?".len() + "So be it.".len();
    assert_eq!(invocation.table.stored("DAY#2026-11-18").await["tokens"], bytes.div_ceil(4));
}

#[tokio::test]
async fn an_answer_that_is_stored_is_counted_once_though_it_is_announced_later() {
    let invocation = rehearsing([turn("QUEUED", None, FAR), busy()]).await;
    invocation.answer(std::iter::repeat_n(Err(PublishFailure::Refused), 100));
    let order = order(json!({ "question": asked("Why?"), "askedBy": "ann" }));
    assert!(matches!(invocation.serve(order.clone()).await, Err(HandlerError::Unannounced)));
    assert_eq!(invocation.table.stored("DAY#2026-11-18").await["tokens"], 7);
    drop(invocation.serve(order).await);
    assert_eq!(invocation.table.stored("DAY#2026-11-18").await["tokens"], 7);
}

#[tokio::test]
async fn what_nobody_is_to_be_counted_for_is_not_counted() {
    for (asked_by, answer) in [(json!(null), Ok(TurnStatus::Running)), (json!("ann"), Err(PublishFailure::Stale))] {
        let invocation = rehearsing([turn("QUEUED", None, FAR), busy()]).await;
        invocation.answer([answer]);
        invocation.serve(order(json!({ "question": asked("Why?"), "askedBy": asked_by }))).await.unwrap();
        let items = invocation.table.all().await;
        assert!(!items.iter().any(|item| item.contains_key("tokens")), "{items:?}");
    }
}

#[tokio::test]
async fn a_table_that_does_not_count_changes_nothing_about_the_end() {
    let mut invocation = rehearsing([turn("QUEUED", None, FAR), busy()]).await;
    invocation.table = invocation.table.throttling("ADD tokens");
    invocation.limits.counting = Duration::from_millis(50);
    invocation.serve(order(json!({ "question": asked("Why?"), "askedBy": "ann" }))).await.unwrap();
    assert!(invocation.published().last().is_some_and(|last| last.closes_turn()));
}

async fn rehearsing(items: impl IntoIterator<Item = Item>) -> TestInvocation {
    let invocation = TestInvocation::new().await;
    invocation.table.put(items).await;
    invocation
}

fn order(members: Value) -> Value {
    let agent = json!({ "id": "default", "version": 1, "modelId": "any", "contextBytes": 400_000 });
    let mut order = json!({ "type": "turn", "conversationId": "c1", "turnId": "t1", "run": 1, "agent": agent });
    order.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    order
}

fn asked(text: &str) -> Value {
    json!({
        "id": "t1", "conversationId": "c1", "position": 7, "turnId": "t1", "sender": { "kind": "USER" },
        "content": [{ "text": text }], "createdAt": "2026-11-21T09:00:00.000Z",
    })
}

fn question() -> Item {
    with(says(7, "Why not?"), "sender", AttributeValue::M(named([("kind", text("USER"))])))
}

fn says(position: u32, words: &str) -> Item {
    let block = AttributeValue::M(named([("text", text(words))]));
    with(said(position, 1), "content", AttributeValue::L(vec![block]))
}

/// What the model was asked, once.
fn transcript(invocation: &TestInvocation) -> Vec<(SenderKind, Vec<String>)> {
    let [request] = invocation.asked().try_into().unwrap();
    request.transcript.iter().map(|message| (message.side, message.texts.clone())).collect()
}
