//! Retrying and continuing turns, and the text of attempts that died.
use client::{
    errors::ErrorType,
    requests::{ContinueTurn, RetryTurn},
    schema::{FailureCode, TurnStatus},
};
use jiff::Timestamp;
use serde_json::json;

use crate::backend::{Backend, answer_texts, expect_api_error};

fn retry_request(conversation_id: &str, id: &str) -> RetryTurn {
    RetryTurn { conversation_id: conversation_id.into(), id: id.into() }
}

fn continue_request(conversation_id: &str, id: &str) -> ContinueTurn {
    ContinueTurn { conversation_id: conversation_id.into(), id: id.into() }
}

#[tokio::test]
async fn retry_replaces_the_answer_and_keeps_the_old_one_superseded() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.echo").await;
    let first = backend.send_and_wait(&conversation, "Hello!").await;
    let retried = backend.retry_and_wait(&conversation, &first.turn.id).await;
    assert_eq!((retried.turn.status, retried.turn.run), (TurnStatus::Completed, 2));
    let attempts = (first.turn.attempt, retried.turn.attempt);
    assert_eq!(attempts, (1, 3), "the retry and the claim each raise the attempt");
    assert_eq!(answer_texts(&retried.turn), ["Hello!"]);
    assert_eq!(retried.final_event().position, 3);
    let events = backend.newest_events(&conversation).await;
    let superseded: Vec<_> = events.iter().map(|event| event.superseded == Some(true)).collect();
    assert_eq!(superseded, [false, true, false]);
}

#[tokio::test]
async fn failed_turn_can_be_retried() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.cut").await;
    let first = backend.send_and_wait(&conversation, "Tell me a story.").await;
    let retried = backend.retry_and_wait(&conversation, &first.turn.id).await;
    assert_eq!(retried.turn.failure.and_then(|failure| failure.code), Some(FailureCode::ModelUnavailable));
    assert_eq!(retried.turn.run, 2);
}

#[tokio::test]
async fn continued_answer_grows_and_the_instruction_is_not_stored() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.echo").await;
    let first = backend.send_and_wait(&conversation, "Hello!").await;
    let continued = backend.continue_and_wait(&conversation, &first.turn.id).await;
    assert_eq!((continued.turn.status, continued.turn.run), (TurnStatus::Completed, 2));
    let first_metadata = continued.updates[0].metadata.as_ref();
    assert_eq!(first_metadata.and_then(|metadata| metadata.continues), Some(true));
    let answer = answer_texts(&continued.turn);
    assert_eq!((answer.len(), answer[0].as_str()), (2, "Hello!"));
    assert_ne!(answer[1], "Hello!", "the model echoes the instruction");

    let events = backend.newest_events(&conversation).await;
    assert_eq!(events.len(), 3, "one question and two events of the answer");
    assert!(events.iter().all(|event| event.superseded != Some(true)));
    let third = backend.continue_and_wait(&conversation, &first.turn.id).await;
    assert_eq!((third.turn.run, answer_texts(&third.turn).len()), (3, 3));
    let retried = backend.retry_and_wait(&conversation, &first.turn.id).await;
    assert_eq!((retried.turn.run, answer_texts(&retried.turn)), (4, vec!["Hello!".to_owned()]));
}

#[tokio::test]
async fn earlier_turns_cannot_be_retried_or_continued() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let first = backend.send_and_wait(&conversation, "Hello!").await.turn;
    backend.send_and_wait(&conversation, "And again.").await;
    let retry = retry_request(&conversation, &first.id);
    assert_eq!(expect_api_error(&backend.api, &retry).await.0, ErrorType::NotLatestTurn);
    let continue_turn = continue_request(&conversation, &first.id);
    assert_eq!(expect_api_error(&backend.api, &continue_turn).await.0, ErrorType::NotLatestTurn);
}

#[tokio::test]
async fn active_turn_cannot_be_retried_or_continued() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.send_message(&conversation, "Hello!").await;
    let busy = (ErrorType::ConversationBusy, json!({ "turnId": turn.id }));
    assert_eq!(expect_api_error(&backend.api, &retry_request(&conversation, &turn.id)).await, busy);
    assert_eq!(expect_api_error(&backend.api, &continue_request(&conversation, &turn.id)).await, busy);
}

#[tokio::test]
async fn next_message_closes_the_turn_of_a_dead_attempt_with_its_text() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let dead_turn = backend.send_message(&conversation, "Hello!").await;
    backend.simulate_dead_attempt(&dead_turn, &["Hel", "lo."], Timestamp::UNIX_EPOCH).await;
    backend.send_message(&conversation, "Are you there?").await;
    let events = backend.newest_events(&conversation).await;
    let texts: Vec<_> = events.iter().map(|event| (event.position, event.text_or_empty())).collect();
    assert_eq!(texts, [(1, "Hello!"), (2, "Hello."), (3, "Are you there?")]);
    let turn = backend.turn(&conversation, &dead_turn.id).await;
    assert_eq!((turn.status, answer_texts(&turn)), (TurnStatus::Failed, vec!["Hello.".to_owned()]));
    assert_eq!(turn.failure.and_then(|failure| failure.code), Some(FailureCode::Interrupted));
}

#[tokio::test]
async fn text_of_a_dead_attempt_is_continued_or_superseded() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let dead_turn = backend.send_message(&conversation, "Hello!").await;
    backend.simulate_dead_attempt(&dead_turn, &["Hel", "lo."], Timestamp::UNIX_EPOCH).await;
    let requeued = backend.api.call(&continue_request(&conversation, &dead_turn.id)).await.unwrap();
    assert_eq!((requeued.status, requeued.run, requeued.attempt), (TurnStatus::Queued, 2, 2));
    assert_eq!(answer_texts(&backend.turn(&conversation, &dead_turn.id).await), ["Hello."]);

    backend.cancel(&conversation, &dead_turn.id).await;
    assert_eq!(backend.api.call(&retry_request(&conversation, &dead_turn.id)).await.unwrap().run, 3);
    assert!(answer_texts(&backend.turn(&conversation, &dead_turn.id).await).is_empty());
    let events = backend.newest_events(&conversation).await;
    let superseded: Vec<_> = events.iter().skip(1).map(|event| event.superseded).collect();
    assert_eq!(superseded, [Some(true), Some(true)]);
}
