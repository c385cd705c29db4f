//! Answers and turns that are larger than what one request of AppSync reads: nothing is cut silently.
use std::time::Duration;

use client::{
    errors::{Error, ErrorType},
    requests::{CancelTurn, GetEvents},
    schema::{Turn, TurnStatus},
};
use jiff::Timestamp;
use local::bedrock::{SURROGATES, block_text};

use crate::backend::{Backend, CANNED_TEXT_MODEL, answer_texts, new_id, send_message, with_timeout};

#[tokio::test]
async fn send_after_a_dead_attempt_keeps_all_of_its_batches() {
    let folder = tempfile::tempdir().unwrap();
    let before = Backend::persistent_without_handler(&folder).await;
    let conversation = before.conversation().await;
    let dead_turn = before.send_message(&conversation, "Hello!").await;
    let batches: Vec<_> = (0..1_801).map(|number| (0, format!("{number} "))).collect();
    before.simulate_dead_attempt_in_blocks(&dead_turn, &batches, Timestamp::UNIX_EPOCH).await;
    let refused = send_message(&before.api, &conversation, &new_id(), "Are you there?").await.unwrap_err();
    assert!(is_try_again(&refused), "{refused}");
    with_timeout(before.server.stop()).await;

    let after = Backend::persistent(&folder).await;
    send_until_accepted(&after, &conversation).await;
    let text: String = batches.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(answer_texts(&after.turn(&conversation, &dead_turn.id).await), [text]);
    with_timeout(after.server.stop()).await;
}

#[tokio::test]
async fn dead_attempt_with_a_thousand_block_switches_can_be_cancelled() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.send_message(&conversation, "Hello!").await;
    let batches: Vec<_> = (0..1_000).map(|number| (number % 2, number.to_string())).collect();
    backend.simulate_dead_attempt_in_blocks(&turn, &batches, in_a_minute()).await;
    let cancelled = backend.cancel(&conversation, &turn.id).await;
    let of_block = |block| batches.iter().filter(move |(index, _)| *index == block).map(|(_, text)| text.as_str());
    assert_eq!(cancelled.status, TurnStatus::Cancelled);
    assert_eq!(answer_texts(&cancelled), [of_block(0).chain(of_block(1)).collect::<String>()]);
}

#[tokio::test]
async fn dead_attempt_with_more_blocks_than_an_event_holds_reads_as_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let before = Backend::persistent_without_handler(&folder).await;
    let conversation = before.conversation().await;
    let turn = before.send_message(&conversation, "Hello!").await;
    let batches: Vec<_> = (0..100).map(|number| (number, format!("{number} "))).collect();
    before.simulate_dead_attempt_in_blocks(&turn, &batches, in_a_minute()).await;
    let cancelled = before.api.call(&cancel_request(&turn)).await.unwrap();
    assert_eq!(cancelled.status, TurnStatus::Cancelled);
    assert_eq!(before.turn(&conversation, &turn.id).await.status, TurnStatus::Cancelled);
    with_timeout(before.server.stop()).await;

    let after = Backend::persistent(&folder).await;
    send_until_accepted(&after, &conversation).await;
    let text: String = batches.iter().map(|(_, text)| text.as_str()).collect();
    let closed = after.turn(&conversation, &turn.id).await;
    assert_eq!((closed.status, answer_texts(&closed)), (TurnStatus::Cancelled, vec![text]));
    with_timeout(after.server.stop()).await;
}

#[tokio::test]
async fn answer_of_200_blocks_is_several_events_and_can_be_read() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.blocks").await;
    let finished = backend.send_and_wait(&conversation, "Everything, please.").await;
    let expected: String = (0..200).map(block_text).collect();
    assert_eq!((finished.turn.status, finished.stored_text()), (TurnStatus::Completed, expected));
    let events = backend.newest_events(&conversation).await;
    let blocks: Vec<_> = events.iter().map(|event| event.content.len()).collect();
    assert_eq!(blocks, [1, 64, 64, 64, 8]);
}

#[tokio::test]
async fn answer_of_1200_block_switches_can_be_read() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.alternating-blocks").await;
    let finished = backend.send_and_wait(&conversation, "Everything, please.").await;
    assert_eq!(finished.stored_text(), "a".repeat(600) + &"b".repeat(600));
    assert_eq!(finished.final_event().content.len(), 2);
}

#[tokio::test]
async fn hundred_events_of_25_blocks_are_one_page() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    backend.seed_events_of_blocks(&conversation, 100, 25).await;
    let page = GetEvents { conversation_id: conversation, limit: Some(100), before: None, after: None };
    let events = backend.events(page).await;
    assert_eq!(events.len(), 100);
    assert!(events.iter().all(|event| event.content.len() == 25 && event.text_or_empty().len() == 25));
}

#[tokio::test]
async fn retry_supersedes_any_number_of_events() {
    let folder = tempfile::tempdir().unwrap();
    let before = Backend::persistent_without_handler(&folder).await;
    let conversation = before.conversation_with(CANNED_TEXT_MODEL).await;
    let turn = before.send_message(&conversation, "Hello!").await;
    before.seed_answer(&turn, 150).await;
    with_timeout(before.server.stop()).await;

    let after = Backend::persistent(&folder).await;
    let retried = after.retry_and_wait(&conversation, &turn.id).await;
    assert_eq!(retried.turn.status, TurnStatus::Completed);
    let mut events = Vec::new();
    let mut position = 0;
    while position < 152 {
        let page =
            GetEvents { conversation_id: conversation.clone(), limit: Some(40), before: None, after: Some(position) };
        events.extend(after.events(page).await);
        position = events.last().unwrap().position;
    }
    let superseded = events.iter().filter(|event| event.superseded == Some(true)).count();
    assert_eq!((events.len(), superseded), (152, 150));
    // The scripted model counts the questions that it gets, and quotes the answer before.
    let next = after.send_and_wait(&conversation, "And now?").await;
    assert!(next.stored_text().contains("2 questions"), "{}", next.stored_text());
    with_timeout(after.server.stop()).await;
}

#[tokio::test]
async fn surrogate_pairs_cut_between_deltas_are_joined() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.surrogates").await;
    let finished = backend.send_and_wait(&conversation, "Everything, please.").await;
    assert_eq!((finished.turn.status, finished.stored_text()), (TurnStatus::Completed, SURROGATES.to_owned()));
}

fn cancel_request(turn: &Turn) -> CancelTurn {
    CancelTurn { conversation_id: turn.conversation_id.clone(), id: turn.id.clone() }
}

fn in_a_minute() -> Timestamp {
    Timestamp::now() + Duration::from_secs(60)
}

fn is_try_again(error: &Error) -> bool {
    matches!(error, Error::GraphQl(errors) if errors.iter().all(|error| error.error_type == Some(ErrorType::TryAgain)))
}

/// The handler closes the last turn meanwhile.
async fn send_until_accepted(backend: &Backend, conversation: &str) -> Turn {
    let send = async {
        loop {
            match send_message(&backend.api, conversation, &new_id(), "Are you there?").await {
                Ok(turn) => return turn,
                Err(error) if is_try_again(&error) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    with_timeout(send).await
}
