//! Cancelling turns.
use std::time::Duration;

use client::schema::{ConversationUpdate, StopReason, TurnStatus};
use jiff::Timestamp;

use crate::{
    backend::{Backend, FinishedTurn, answer_texts},
    subscriber::Subscriber,
};

#[tokio::test]
async fn cancelled_answer_keeps_its_streamed_text() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.deltas-2000-20").await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, "Count.").await;
    let mut updates = Vec::new();
    while !updates.last().is_some_and(has_text) {
        updates.push(subscriber.next_update().await);
    }
    assert_eq!(backend.cancel(&conversation, &turn.id).await.status, TurnStatus::Cancelling);
    updates.extend(subscriber.updates_until_end(&turn.id).await);

    let finished = FinishedTurn { turn: backend.turn(&conversation, &turn.id).await, updates };
    assert_eq!(finished.turn.status, TurnStatus::Cancelled);
    assert_eq!(finished.final_event().stop_reason, Some(StopReason::Cancelled));
    assert!(finished.stored_text().starts_with(&finished.streamed_text()), "all streamed text is stored");
    assert!(!finished.streamed_text().is_empty());
    backend.send_message(&conversation, "And now something else.").await;
}

fn has_text(update: &ConversationUpdate) -> bool {
    update.metadata.as_ref().is_some_and(|metadata| metadata.agent_partial_message.is_some())
}

#[tokio::test]
async fn cancelled_queued_turn_ends_at_once() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.send_message(&conversation, "Hello!").await;
    let cancelled = backend.cancel(&conversation, &turn.id).await;
    assert_eq!(cancelled.status, TurnStatus::Cancelled);
    let answer = cancelled.answer.unwrap();
    let events: Vec<_> =
        answer.iter().map(|event| (event.position, event.text_or_empty(), event.stop_reason)).collect();
    assert_eq!(events, [(2, "", Some(StopReason::Cancelled))]);
    let next = backend.send_message(&conversation, "Hello again!").await;
    assert_eq!(next.status, TurnStatus::Queued, "the conversation is free again");
}

#[tokio::test]
async fn cancelled_turn_of_a_dead_attempt_keeps_its_text() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let turn = backend.send_message(&conversation, "Hello!").await;
    let in_a_minute = Timestamp::now() + Duration::from_secs(60);
    backend.simulate_dead_attempt(&turn, &["Hel", "lo."], in_a_minute).await;
    assert_eq!(answer_texts(&backend.cancel(&conversation, &turn.id).await), ["Hello."]);
    assert_eq!(answer_texts(&backend.turn(&conversation, &turn.id).await), ["Hello."]);
}

#[tokio::test]
async fn cancelling_an_ended_turn_changes_nothing() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let finished = backend.send_and_wait(&conversation, "Hello!").await;
    let cancelled = backend.cancel(&conversation, &finished.turn.id).await;
    assert_eq!((cancelled.status, cancelled.answer), (TurnStatus::Completed, finished.turn.answer));
}
