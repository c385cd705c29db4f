//! A message that is sent again with the same id is the same turn.
use client::{
    errors::ErrorType,
    requests::{DeleteConversation, SendMessage},
    schema::{FailureCode, TurnStatus},
};
use jiff::Timestamp;

use crate::{
    backend::{Backend, expect_api_error, new_id, send_message, with_timeout},
    subscriber::Subscriber,
};

fn message(conversation_id: Option<&str>, id: &str, text: &str) -> SendMessage {
    let conversation_id = conversation_id.map(str::to_owned);
    SendMessage { conversation_id, id: Some(id.into()), text: text.into(), ..SendMessage::default() }
}

#[tokio::test]
async fn second_send_with_same_id_returns_same_turn() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let id = new_id();
    let first = send_message(&backend.api, &conversation, &id, "Hello!").await.unwrap();
    let second = send_message(&backend.api, &conversation, &id, "Hello!").await.unwrap();
    assert_eq!((first.id, first.run), (second.id, second.run));
    subscriber.updates_until_end(&id).await;
    let third = send_message(&backend.api, &conversation, &id, "Hello!").await.unwrap();
    assert_eq!((third.status, third.attempt), (TurnStatus::Completed, 1));

    let other = message(Some(&conversation), &id, "Goodbye!");
    assert_eq!(expect_api_error(&backend.api, &other).await.0, ErrorType::IdConflict);
    assert_eq!(backend.newest_events(&conversation).await.len(), 2, "one question and one answer");
}

#[tokio::test]
async fn second_first_message_with_same_id_returns_same_conversation() {
    let backend = Backend::start().await;
    let id = new_id();
    let first = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    let second = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    assert_eq!((&second.conversation_id, &second.id, second.run), (&first.conversation_id, &first.id, first.run));
    assert_eq!(expect_api_error(&backend.api, &message(None, &id, "Goodbye!")).await.0, ErrorType::IdConflict);
}

#[tokio::test]
async fn resent_message_older_than_the_newest_events_is_recognized() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let finished = backend.send_and_wait(&conversation, "Hello!").await;
    backend.seed_events_at(&conversation, 3..=300, "An event").await;
    let id = finished.turn.id;
    let resent = send_message(&backend.api, &conversation, &id, "Hello!").await.unwrap();
    assert_eq!((&resent.id, resent.status, resent.run), (&id, TurnStatus::Completed, 1));
    let other = message(Some(&conversation), &id, "Goodbye!");
    assert_eq!(expect_api_error(&backend.api, &other).await.0, ErrorType::IdConflict);
}

#[tokio::test]
async fn resent_first_message_older_than_the_newest_events_is_recognized() {
    let backend = Backend::without_handler().await;
    let id = new_id();
    let first = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    backend.cancel(&first.conversation_id, &id).await;
    backend.seed_events_at(&first.conversation_id, 3..=300, "An event").await;
    let resent = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    assert_eq!((&resent.id, &resent.conversation_id), (&id, &first.conversation_id));
    assert_eq!(resent.status, TurnStatus::Cancelled);
    assert_eq!(expect_api_error(&backend.api, &message(None, &id, "Goodbye!")).await.0, ErrorType::IdConflict);

    backend.api.call(&DeleteConversation { id: first.conversation_id }).await.unwrap();
    let error_type = expect_api_error(&backend.api, &message(None, &id, "Hello!")).await.0;
    assert_eq!(error_type, ErrorType::IdConflict, "the conversation is deleted");
}

#[tokio::test]
async fn resent_first_message_of_a_dead_attempt_returns_the_failed_turn() {
    let backend = Backend::without_handler().await;
    let id = new_id();
    let first = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    backend.simulate_dead_attempt(&first, &["Hal"], Timestamp::UNIX_EPOCH).await;
    let resent = backend.api.call(&message(None, &id, "Hello!")).await.unwrap();
    assert_eq!((resent.status, resent.conversation_id), (TurnStatus::Failed, first.conversation_id));
    assert_eq!(resent.failure.and_then(|failure| failure.code), Some(FailureCode::Interrupted));
}

#[tokio::test]
async fn resent_message_with_a_lost_invocation_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let before = Backend::persistent_without_handler(&folder).await;
    let conversation = before.conversation().await;
    let turn = before.send_message(&conversation, "Hello!").await;
    before.age_start(&turn, 60).await;
    with_timeout(before.server.stop()).await;

    let after = Backend::persistent(&folder).await;
    let mut subscriber = Subscriber::subscribe(&after.api, &conversation).await;
    let resent = send_message(&after.api, &conversation, &turn.id, "Hello!").await.unwrap();
    assert_eq!((resent.status, resent.run, resent.attempt), (TurnStatus::Queued, 1, 0));
    let updates = subscriber.updates_until_end(&turn.id).await;
    let question = updates[0].event.as_ref().expect("the first update carries the user's event");
    assert_eq!((question.position, question.text_or_empty()), (1, "Hello!"));
    assert_eq!(after.turn(&conversation, &turn.id).await.status, TurnStatus::Completed);
    with_timeout(after.server.stop()).await;
}

#[tokio::test]
async fn concurrent_sends_with_same_id_create_one_turn() {
    let backend = Backend::without_handler().await;
    let id = new_id();
    let message = message(None, &id, "Hello!");
    let (first, second) = tokio::join!(backend.api.call(&message), backend.api.call(&message));
    assert!(first.is_ok() || second.is_ok(), "one of them is accepted");
    for result in [first, second] {
        match result {
            Ok(turn) => assert_eq!(turn.id, id),
            Err(error) => {
                let error_type = error.api_error().and_then(|error| error.error_type.clone());
                assert_eq!(error_type, Some(ErrorType::TryAgain));
            }
        }
    }
    let conversation = backend.api.call(&message).await.unwrap().conversation_id;
    assert_eq!(backend.newest_events(&conversation).await.len(), 1);
    assert_eq!(backend.count_items("USER#API_KEY").await, 1);
}
