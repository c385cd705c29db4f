//! Cancelling, retrying and continuing turns, and messages that are sent again.
use std::time::Duration;

use client::{
    errors::ErrorType,
    requests::{ContinueTurn, DeleteConversation, RetryTurn, SendMessage},
    schema::{ConversationUpdate, FailureCode, StopReason, Turn, TurnStatus},
};
use jiff::Timestamp;
use serde_json::json;

use crate::backend::{Backend, Ear, Heard, draw, patiently, refusal, say};

#[tokio::test]
async fn a_cancel_while_text_flows_keeps_what_was_said() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.deltas-2000-20").await;
    let mut ear = Ear::open(&backend.api, &conversation).await;
    let turn = backend.say(&conversation, "Count.").await;
    let mut updates = Vec::new();
    while !updates.last().is_some_and(says_something) {
        updates.push(ear.next().await);
    }
    assert_eq!(backend.cancel(&conversation, &turn.id).await.status, TurnStatus::Cancelling);
    updates.extend(ear.until_end(&turn.id).await);

    let heard = Heard { turn: backend.turn(&conversation, &turn.id).await, updates };
    assert_eq!(
        (heard.turn.status, heard.last_event().stop_reason),
        (TurnStatus::Cancelled, Some(StopReason::Cancelled))
    );
    assert!(heard.stored().starts_with(&heard.streamed()), "nothing said is lost");
    assert!(!heard.streamed().is_empty());
    backend.say(&conversation, "And now something else.").await;
}

fn says_something(update: &ConversationUpdate) -> bool {
    update.metadata.as_ref().is_some_and(|metadata| metadata.agent_partial_message.is_some())
}

#[tokio::test]
async fn a_cancel_of_a_turn_that_nobody_answers_ends_it_at_once_and_frees_the_conversation() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.say(&conversation, "Hello!").await;
    let cancelled = backend.cancel(&conversation, &turn.id).await;
    assert_eq!(cancelled.status, TurnStatus::Cancelled);
    let answer = cancelled.answer.unwrap();
    let told: Vec<_> = answer.iter().map(|event| (event.position, event.text_or_empty(), event.stop_reason)).collect();
    assert_eq!(told, [(2, "", Some(StopReason::Cancelled))]);
    assert_eq!(backend.say(&conversation, "Hello again!").await.status, TurnStatus::Queued);
}

#[tokio::test]
async fn a_cancel_of_a_turn_whose_attempt_died_keeps_what_it_had_said() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.say(&conversation, "Hello!").await;
    backend.let_die(&turn, &["Hel", "lo."], in_a_minute()).await;
    assert_eq!(said(&backend.cancel(&conversation, &turn.id).await), ["Hello."]);
    assert_eq!(said(&backend.turn(&conversation, &turn.id).await), ["Hello."]);
}

#[tokio::test]
async fn a_cancel_of_a_turn_that_has_ended_returns_it_unchanged() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let heard = backend.converse(&conversation, "Hello!").await;
    let cancelled = backend.cancel(&conversation, &heard.turn.id).await;
    assert_eq!((cancelled.status, cancelled.answer), (TurnStatus::Completed, heard.turn.answer));
}

#[tokio::test]
async fn a_retry_replaces_the_answer_and_keeps_it_superseded() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.echo").await;
    let first = backend.converse(&conversation, "Hello!").await;
    let again = backend.retry(&conversation, &first.turn.id).await;
    assert_eq!((again.turn.status, again.turn.run), (TurnStatus::Completed, 2));
    assert!(again.turn.attempt > first.turn.attempt, "a retry begins a new attempt");
    assert_eq!(said(&again.turn), ["Hello!"]);
    assert_eq!(again.last_event().position, 3);
    let superseded: Vec<_> =
        backend.newest_events(&conversation).await.iter().map(|event| event.superseded == Some(true)).collect();
    assert_eq!(superseded, [false, true, false]);
}

#[tokio::test]
async fn a_failed_answer_can_be_retried() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.cut").await;
    let first = backend.converse(&conversation, "Tell me a story.").await;
    let again = backend.retry(&conversation, &first.turn.id).await;
    assert_eq!(again.turn.failure.and_then(|failure| failure.code), Some(FailureCode::ModelUnavailable));
    assert_eq!(again.turn.run, 2);
}

#[tokio::test]
async fn an_answer_that_continues_grows_by_what_an_instruction_brings_that_is_not_stored() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.echo").await;
    let first = backend.converse(&conversation, "Hello!").await;
    let more = backend.go_on(&conversation, &first.turn.id).await;
    assert_eq!((more.turn.status, more.turn.run), (TurnStatus::Completed, 2));
    assert_eq!(more.updates[0].metadata.as_ref().and_then(|metadata| metadata.continues), Some(true));
    let answer = said(&more.turn);
    assert_eq!((answer.len(), answer[0].as_str()), (2, "Hello!"));
    assert_ne!(answer[1], "Hello!", "the model heard an instruction");

    let events = backend.newest_events(&conversation).await;
    assert_eq!(events.len(), 3, "one question, and what was answered twice");
    assert!(events.iter().all(|event| event.superseded != Some(true)));
    let third = backend.go_on(&conversation, &first.turn.id).await;
    assert_eq!((third.turn.run, said(&third.turn).len()), (3, 3));
    let anew = backend.retry(&conversation, &first.turn.id).await;
    assert_eq!((anew.turn.run, said(&anew.turn)), (4, vec!["Hello!".to_owned()]));
}

#[tokio::test]
async fn only_the_last_turn_is_answered_again() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let first = backend.converse(&conversation, "Hello!").await.turn;
    backend.converse(&conversation, "And again.").await;
    let retry = RetryTurn { conversation_id: conversation.clone(), id: first.id.clone() };
    let go_on = ContinueTurn { conversation_id: conversation.clone(), id: first.id };
    assert_eq!(refusal(&backend.api, &retry).await.0, ErrorType::NotLatestTurn);
    assert_eq!(refusal(&backend.api, &go_on).await.0, ErrorType::NotLatestTurn);
}

#[tokio::test]
async fn a_turn_that_is_being_answered_is_not_answered_again() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.say(&conversation, "Hello!").await;
    let busy = (ErrorType::ConversationBusy, json!({ "turnId": turn.id }));
    let retry = RetryTurn { conversation_id: conversation.clone(), id: turn.id.clone() };
    let go_on = ContinueTurn { conversation_id: conversation.clone(), id: turn.id.clone() };
    assert_eq!(refusal(&backend.api, &retry).await, busy);
    assert_eq!(refusal(&backend.api, &go_on).await, busy);
}

#[tokio::test]
async fn what_a_dead_attempt_said_stands_before_the_next_message() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let dead = backend.say(&conversation, "Hello!").await;
    backend.let_die(&dead, &["Hel", "lo."], Timestamp::UNIX_EPOCH).await;
    backend.say(&conversation, "Are you there?").await;
    let events = backend.newest_events(&conversation).await;
    let told: Vec<_> = events.iter().map(|event| (event.position, event.text_or_empty())).collect();
    assert_eq!(told, [(1, "Hello!"), (2, "Hello."), (3, "Are you there?")]);
    let turn = backend.turn(&conversation, &dead.id).await;
    assert_eq!((turn.status, said(&turn)), (TurnStatus::Failed, vec!["Hello.".to_owned()]));
    assert_eq!(turn.failure.and_then(|failure| failure.code), Some(FailureCode::Interrupted));
}

#[tokio::test]
async fn what_a_dead_attempt_said_is_continued_or_superseded() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let dead = backend.say(&conversation, "Hello!").await;
    backend.let_die(&dead, &["Hel", "lo."], Timestamp::UNIX_EPOCH).await;
    let request = ContinueTurn { conversation_id: conversation.clone(), id: dead.id.clone() };
    let reopened = backend.api.call(&request).await.unwrap();
    assert_eq!((reopened.status, reopened.run, reopened.attempt), (TurnStatus::Queued, 2, 2));
    assert_eq!(said(&backend.turn(&conversation, &dead.id).await), ["Hello."]);

    backend.cancel(&conversation, &dead.id).await;
    let request = RetryTurn { conversation_id: conversation.clone(), id: dead.id.clone() };
    assert_eq!(backend.api.call(&request).await.unwrap().run, 3);
    assert!(said(&backend.turn(&conversation, &dead.id).await).is_empty());
    let superseded = backend.newest_events(&conversation).await.into_iter().skip(1);
    assert_eq!(superseded.map(|event| event.superseded).collect::<Vec<_>>(), [Some(true), Some(true)]);
}

#[tokio::test]
async fn a_message_is_known_again_beyond_the_newest_events() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let heard = backend.converse(&conversation, "Hello!").await;
    backend.seed_events_at(&conversation, 3..=300, "An event").await;
    let again = say(&backend.api, &conversation, &heard.turn.id, "Hello!").await.unwrap();
    assert_eq!((again.id, again.status, again.run), (heard.turn.id.clone(), TurnStatus::Completed, 1));
    let other = message(Some(&conversation), &heard.turn.id, "Goodbye!");
    assert_eq!(refusal(&backend.api, &other).await.0, ErrorType::IdConflict);
}

#[tokio::test]
async fn a_first_message_is_known_again_beyond_the_newest_events() {
    let backend = Backend::without_handler().await;
    let id = draw();
    let first = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    backend.cancel(&first.conversation_id, &id).await;
    backend.seed_events_at(&first.conversation_id, 3..=300, "An event").await;
    let again = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    assert_eq!(
        (again.id, again.conversation_id, again.status),
        (id.clone(), first.conversation_id.clone(), TurnStatus::Cancelled)
    );
    assert_eq!(refusal(&backend.api, &message(None, &id, "Goodbye!")).await.0, ErrorType::IdConflict);

    backend.api.call(&DeleteConversation { id: first.conversation_id }).await.unwrap();
    assert_eq!(refusal(&backend.api, &message(None, &id, "Hello!")).await.0, ErrorType::IdConflict, "it is deleted");
}

#[tokio::test]
async fn a_first_message_whose_work_died_is_known_again_as_it_stands_now() {
    let backend = Backend::without_handler().await;
    let id = draw();
    let first = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    backend.let_die(&first, &["Hal"], Timestamp::UNIX_EPOCH).await;
    let again = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    assert_eq!((again.status, again.conversation_id), (TurnStatus::Failed, first.conversation_id));
    assert_eq!(again.failure.and_then(|failure| failure.code), Some(FailureCode::Interrupted));
}

#[tokio::test]
async fn a_message_whose_order_was_lost_is_answered_once_it_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let before = Backend::without_handler_in(&folder).await;
    let conversation = before.conversation().await;
    let turn = before.say(&conversation, "Hello!").await;
    patiently(before.server.stop()).await;

    let after = Backend::kept_in(&folder).await;
    let mut ear = Ear::open(&after.api, &conversation).await;
    let again = say(&after.api, &conversation, &turn.id, "Hello!").await.unwrap();
    assert_eq!((again.status, again.run, again.attempt), (TurnStatus::Queued, 1, 0));
    let updates = ear.until_end(&turn.id).await;
    assert_eq!(updates[0].event.as_ref().map(|event| (event.position, event.text_or_empty())), Some((1, "Hello!")));
    assert_eq!(after.turn(&conversation, &turn.id).await.status, TurnStatus::Completed);
    patiently(after.server.stop()).await;
}

#[tokio::test]
async fn the_same_message_twice_at_once_is_one_turn() {
    let backend = Backend::without_handler().await;
    let id = draw();
    let message = message(None, &id, "Hello!");
    let (one, two) = tokio::join!(backend.api.call(&message), backend.api.call(&message));
    let told =
        [one, two].map(|answer| answer.map_err(|error| error.api_error().and_then(|named| named.error_type.clone())));
    assert!(told.iter().any(Result::is_ok), "one of them is taken");
    for answer in told {
        match answer {
            Ok(turn) => assert_eq!(turn.id, id),
            Err(refused) => assert_eq!(refused, Some(ErrorType::TryAgain)),
        }
    }
    let conversation = backend.api.call(&message).await.unwrap().conversation_id;
    assert_eq!(backend.newest_events(&conversation).await.len(), 1);
    assert_eq!(backend.count_items("USER#API_KEY").await, 1);
}

fn message(conversation_id: Option<&str>, id: &str, text: &str) -> SendMessage {
    SendMessage { conversation_id: conversation_id.map(str::to_owned), id: Some(id.into()), text: text.into() }
}

fn in_a_minute() -> Timestamp {
    Timestamp::now() + Duration::from_secs(60)
}

/// The texts of a turn's answer.
fn said(turn: &Turn) -> Vec<String> {
    turn.answer.iter().flatten().map(|event| event.text_or_empty().to_owned()).collect()
}
