//! Messages that replace the last one of their conversation, and its answer.
use client::{
    AppSync,
    errors::{Error, ErrorType},
    requests::{ContinueTurn, CreateConversation, GetEvents, RetryTurn, SendMessage, ShareConversation},
    schema::{Access, Turn, TurnStatus},
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    backend::{Backend, CANNED_TEXT_MODEL, FinishedTurn, answer_texts, expect_api_error, new_id, with_timeout},
    publishing::publish_batch,
    subscriber::Subscriber,
};

fn replacement(conversation_id: &str, replaced: &str, text: &str) -> SendMessage {
    SendMessage {
        conversation_id: Some(conversation_id.into()),
        id: Some(new_id()),
        text: text.into(),
        replaces_turn_id: Some(replaced.into()),
    }
}

#[tokio::test]
async fn replaced_message_and_its_answer_are_superseded() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with(CANNED_TEXT_MODEL).await;
    let first = backend.send_and_wait(&conversation, "What is a monda?").await;
    let second = backend.replace_and_wait(&conversation, &first.turn.id, "What is a monad?").await;
    assert_eq!((second.turn.status, second.turn.run, second.turn.attempt), (TurnStatus::Completed, 1, 1));
    // The scripted model counts the questions that it gets.
    assert!(second.stored_text().contains("This is your first question: “What is a monad?”"));
    let question = second.updates[0].event.as_ref().unwrap();
    assert_eq!((question.position, question.replaces_turn_id.as_ref()), (3, Some(&first.turn.id)));

    assert_eq!(backend.superseded(&conversation).await, [true, true, false, false]);
    let events = backend.newest_events(&conversation).await;
    let replaced: Vec<_> = events.iter().map(|event| event.replaces_turn_id.as_ref()).collect();
    assert_eq!(replaced, [None, None, Some(&first.turn.id), None]);
    let old_turn = backend.turn(&conversation, &first.turn.id).await;
    assert_eq!((old_turn.status, answer_texts(&old_turn)), (TurnStatus::Completed, vec![first.stored_text()]));
    assert_eq!(old_turn.question.unwrap().superseded, Some(true));
    assert!(old_turn.answer.unwrap().iter().all(|event| event.superseded == Some(true)));
}

#[tokio::test]
async fn same_message_again_is_the_same_turn_and_replaces_nothing_else() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let first = backend.send_and_wait(&conversation, "Hello!").await.turn.id;
    let message = replacement(&conversation, &first, "Hello?");
    let id = message.id.clone().unwrap();
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    for _ in 0..2 {
        let turn = backend.api.call(&message).await.unwrap();
        assert_eq!((&turn.id, turn.run), (&id, 1));
    }
    subscriber.updates_until_end(&id).await;
    assert_eq!(backend.api.call(&message).await.unwrap().status, TurnStatus::Completed);

    let others = [
        SendMessage { text: "Goodbye!".into(), ..message.clone() },
        SendMessage { replaces_turn_id: None, ..message.clone() },
        SendMessage { replaces_turn_id: Some(new_id()), ..message.clone() },
        SendMessage { id: Some(first.clone()), text: "Hello!".into(), ..replacement(&conversation, &id, "") },
    ];
    for other in others {
        assert_eq!(expect_api_error(&backend.api, &other).await.0, ErrorType::IdConflict, "{other:?}");
    }
    assert_eq!(backend.superseded(&conversation).await, [true, true, false, false]);
}

#[tokio::test]
async fn resent_replacement_older_than_the_newest_events_is_recognized() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let first = backend.send_and_wait(&conversation, "Hello!").await.turn.id;
    let message = replacement(&conversation, &first, "Hello?");
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let id = backend.api.call(&message).await.unwrap().id;
    subscriber.updates_until_end(&id).await;
    backend.seed_events_at(&conversation, 5..=300, "An event").await;
    let resent = backend.api.call(&message).await.unwrap();
    assert_eq!((resent.id, resent.status, resent.run), (id, TurnStatus::Completed, 1));
    let other = SendMessage { text: "Goodbye!".into(), ..message.clone() };
    assert_eq!(expect_api_error(&backend.api, &other).await.0, ErrorType::IdConflict);
    let other = SendMessage { id: Some(new_id()), ..message };
    assert_eq!(expect_api_error(&backend.api, &other).await.0, ErrorType::NotLatestTurn);
}

#[tokio::test]
async fn only_the_last_turn_can_be_replaced() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let first = backend.send_and_wait(&conversation, "Hello!").await.turn.id;
    let second = backend.send_and_wait(&conversation, "And again.").await.turn.id;
    let refused =
        async |replaced: &str| expect_api_error(&backend.api, &replacement(&conversation, replaced, "No.")).await;
    assert_eq!(refused(&first).await.0, ErrorType::NotLatestTurn);
    assert_eq!(refused(&new_id()).await.0, ErrorType::NotFound);
    let invalid = (ErrorType::InvalidInput, json!({ "field": "replacesTurnId" }));
    assert_eq!(refused("a#b").await, invalid);
    let first_message = SendMessage { conversation_id: None, ..replacement("", &second, "No.") };
    assert_eq!(expect_api_error(&backend.api, &first_message).await, invalid);
    let of_itself = SendMessage { id: Some(second.clone()), ..replacement(&conversation, &second, "No.") };
    assert_eq!(expect_api_error(&backend.api, &of_itself).await, invalid);
    let other_conversation = backend.conversation().await;
    let of_other = replacement(&other_conversation, &second, "No.");
    assert_eq!(expect_api_error(&backend.api, &of_other).await.0, ErrorType::NotFound);

    backend.replace_and_wait(&conversation, &second, "And once more.").await;
    assert_eq!(refused(&second).await.0, ErrorType::NotLatestTurn);
    let retry = RetryTurn { conversation_id: conversation.clone(), id: second.clone() };
    assert_eq!(expect_api_error(&backend.api, &retry).await.0, ErrorType::NotLatestTurn);
    let continue_turn = ContinueTurn { conversation_id: conversation.clone(), id: second };
    assert_eq!(expect_api_error(&backend.api, &continue_turn).await.0, ErrorType::NotLatestTurn);
    assert_eq!(backend.superseded(&conversation).await, [false, false, true, true, false, false]);
}

#[tokio::test]
async fn active_turn_cannot_be_replaced() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.send_message(&conversation, "Hello!").await;
    let busy = (ErrorType::ConversationBusy, json!({ "turnId": turn.id }));
    let message = replacement(&conversation, &turn.id, "Hello?");
    assert_eq!(expect_api_error(&backend.api, &message).await, busy);
    backend.cancel(&conversation, &turn.id).await;
    assert_eq!(backend.api.call(&message).await.unwrap().status, TurnStatus::Queued);
    assert_eq!(backend.superseded(&conversation).await, [true, true, false]);
}

#[tokio::test]
async fn replacement_can_be_replaced_retried_and_continued() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with(CANNED_TEXT_MODEL).await;
    backend.send_and_wait(&conversation, "What is a functor?").await;
    let first = backend.send_and_wait(&conversation, "What is a monda?").await.turn.id;
    backend.retry_and_wait(&conversation, &first).await;
    let second = backend.replace_and_wait(&conversation, &first, "What is a mnoad?").await.turn.id;
    let third = backend.replace_and_wait(&conversation, &second, "What is a monad?").await;
    assert!(third.stored_text().contains("2 questions"), "{}", third.stored_text());
    let id = &third.turn.id;
    let retried = backend.retry_and_wait(&conversation, id).await;
    assert!(retried.stored_text().contains("2 questions"), "{}", retried.stored_text());
    let continued = backend.continue_and_wait(&conversation, id).await;
    assert_eq!((continued.turn.run, answer_texts(&continued.turn).len()), (3, 2));
    let next = backend.send_and_wait(&conversation, "And a comonad?").await;
    assert!(next.stored_text().contains("3 questions"), "{}", next.stored_text());

    let events = backend.newest_events(&conversation).await;
    let superseded: String =
        events.iter().map(|event| if event.superseded == Some(true) { '-' } else { '+' }).collect();
    // Two turns, of which the second was retried; its replacements; and the next turn.
    assert_eq!(superseded, ["++", "---", "--", "+-++", "++"].concat());
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=13).collect::<Vec<_>>());
}

#[tokio::test]
async fn failed_turn_can_be_replaced() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.cut").await;
    let failed = backend.send_and_wait(&conversation, "Tell me a story.").await.turn;
    assert_eq!(failed.status, TurnStatus::Failed);
    let replaced = backend.replace_and_wait(&conversation, &failed.id, "Tell me a joke.").await.turn;
    assert_eq!(replaced.status, TurnStatus::Failed, "the model fails again");
    let superseded = backend.superseded(&conversation).await;
    assert_eq!(superseded.iter().filter(|superseded| **superseded).count(), superseded.len() / 2);
    assert_eq!(backend.turn(&conversation, &failed.id).await.status, TurnStatus::Failed);
}

#[tokio::test]
async fn turn_of_a_dead_attempt_is_closed_and_replaced_at_once() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let dead_turn = backend.send_message(&conversation, "Hello!").await;
    backend.simulate_dead_attempt(&dead_turn, &["Hel", "lo."], Timestamp::UNIX_EPOCH).await;
    let message = replacement(&conversation, &dead_turn.id, "Are you there?");
    assert_eq!(backend.api.call(&message).await.unwrap().status, TurnStatus::Queued);
    assert_eq!(backend.superseded(&conversation).await, [true, true, false]);
    let closed = backend.turn(&conversation, &dead_turn.id).await;
    assert_eq!((closed.status, answer_texts(&closed)), (TurnStatus::Failed, vec!["Hello.".to_owned()]));
    // The attempt was only stalled, and publishes at last.
    let late = publish_batch(&backend, &dead_turn, 1, 3).await;
    assert_eq!(late["errors"][0]["errorType"], "StaleAttempt", "{late}");
}

#[tokio::test]
async fn answer_of_any_number_of_events_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let before = Backend::persistent_without_handler(&folder).await;
    let conversation = before.conversation_with(CANNED_TEXT_MODEL).await;
    let turn = before.send_message(&conversation, "Hello!").await;
    before.seed_answer(&turn, 250).await;
    with_timeout(before.server.stop()).await;

    let after = Backend::persistent(&folder).await;
    let finished = after.replace_and_wait(&conversation, &turn.id, "Hello?").await;
    assert!(finished.stored_text().contains("This is your first question"), "{}", finished.stored_text());
    // The questions are not among these events, or are the last of them.
    for (page, expected) in [
        (GetEvents { limit: Some(100), after: Some(100), ..GetEvents::default() }, 100),
        (GetEvents { limit: Some(100), before: Some(200), ..GetEvents::default() }, 100),
        (GetEvents { limit: Some(100), after: Some(200), ..GetEvents::default() }, 51),
        (GetEvents { limit: Some(10), ..GetEvents::default() }, 8),
    ] {
        let events = after.events(GetEvents { conversation_id: conversation.clone(), ..page.clone() }).await;
        let superseded = events.iter().filter(|event| event.superseded == Some(true)).count();
        assert_eq!(superseded, expected, "{page:?}");
    }
    let replaced = after.turn(&conversation, &turn.id).await.answer.unwrap();
    assert_eq!(replaced.len(), 250);
    assert!(replaced.iter().all(|event| event.superseded == Some(true)));
    with_timeout(after.server.stop()).await;
}

#[tokio::test]
async fn of_a_replacement_and_a_retry_at_once_one_is_accepted() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.send_message(&conversation, "Hello!").await;
    backend.cancel(&conversation, &turn.id).await;
    let message = replacement(&conversation, &turn.id, "Hello?");
    let other = replacement(&conversation, &turn.id, "Hello.");
    let retry = RetryTurn { conversation_id: conversation.clone(), id: turn.id };
    let results: [Result<Turn, Error>; 3] =
        tokio::join!(backend.api.call(&message), backend.api.call(&retry), backend.api.call(&other)).into();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let is_typed = |error: &ErrorType| {
        matches!(error, ErrorType::TryAgain | ErrorType::NotLatestTurn | ErrorType::ConversationBusy)
    };
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        let error_type = error.api_error().and_then(|error| error.error_type.as_ref());
        assert!(error_type.is_some_and(is_typed), "{error:?}");
    }
    let is_replaced = results[1].is_err();
    let events = backend.superseded(&conversation).await;
    assert_eq!(events, if is_replaced { vec![true, true, false] } else { vec![false, true] });
}

#[tokio::test]
async fn whoever_may_send_may_replace() {
    let backend = Backend::start().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let id = ann.api.call(&CreateConversation::default()).await.unwrap().id;
    let share = |access| ShareConversation { conversation_id: id.clone(), user_id: bob.id.clone(), access };
    ann.api.call(&share(Access::Read)).await.unwrap();
    let first = send_until_end(&ann.api, &id, None, "Hello!").await;
    let message = replacement(&id, &first, "Hello?");
    assert_eq!(expect_api_error(&bob.api, &message).await.0, ErrorType::Unauthorized);
    ann.api.call(&share(Access::Write)).await.unwrap();
    let second = send_until_end(&bob.api, &id, Some(&first), "Hello?").await;
    send_until_end(&ann.api, &id, Some(&second), "Hello.").await;
    let page = GetEvents { conversation_id: id, limit: Some(6), ..GetEvents::default() };
    let events = ann.api.call(&page).await.unwrap().events.unwrap().items;
    let senders: Vec<_> = events.iter().step_by(2).map(|event| event.sender.id.clone().unwrap()).collect();
    assert_eq!(senders, [ann.id.clone(), bob.id, ann.id]);
}

/// Returns the id of the turn.
async fn send_until_end(api: &AppSync, conversation_id: &str, replaced: Option<&str>, text: &str) -> String {
    let mut subscriber = Subscriber::subscribe(api, conversation_id).await;
    let replaces_turn_id = replaced.map(str::to_owned);
    let message = SendMessage { replaces_turn_id, ..replacement(conversation_id, "", text) };
    let id = api.call(&message).await.unwrap().id;
    subscriber.updates_until_end(&id).await;
    id
}

impl Backend {
    /// Subscribes, replaces a message, and receives updates until the new turn ends.
    pub async fn replace_and_wait(&self, conversation_id: &str, replaced: &str, text: &str) -> FinishedTurn {
        let subscriber = Subscriber::subscribe(&self.api, conversation_id).await;
        let turn = self.api.call(&replacement(conversation_id, replaced, text)).await.unwrap();
        self.finished_turn(subscriber, conversation_id, &turn.id).await
    }

    /// Whether each of the newest events is superseded.
    async fn superseded(&self, conversation_id: &str) -> Vec<bool> {
        let events = self.newest_events(conversation_id).await;
        events.iter().map(|event| event.superseded == Some(true)).collect()
    }
}
