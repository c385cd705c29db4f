//! Whatever the model does, the turn ends in the right typed event, with the text that had arrived.
use std::time::{Duration, Instant};

use client::schema::{FailureCode, StopReason, TurnStatus};

use crate::backend::{Backend, Heard};

async fn check(backend: &Backend, model_id: &str, expected: FailureCode, retryable: bool, keeps_text: bool) -> Heard {
    let conversation = backend.conversation_with(model_id).await;
    let heard = backend.converse(&conversation, "Tell me a story.").await;
    let event = heard.last_event();
    let failure = event.failure.as_ref().unwrap_or_else(|| panic!("{model_id} fails"));
    assert_eq!((failure.code, failure.retryable), (Some(expected), retryable), "{model_id}");
    assert_eq!(heard.turn.status, TurnStatus::Failed, "{model_id}");
    assert_eq!(heard.turn.failure.as_ref(), Some(failure), "{model_id}");
    assert_eq!(!event.text_or_empty().is_empty(), keeps_text, "{model_id} said {:?}", event.text_or_empty());
    assert!(event.text_or_empty().starts_with(&heard.streamed()), "{model_id} keeps what was streamed");
    assert_eq!(heard.stored(), event.text_or_empty(), "{model_id}");
    for internal in ["Exception", "aws", "parlance.", "http"] {
        assert!(!failure.message.contains(internal), "{model_id} tells a client {:?}", failure.message);
    }
    heard
}

fn notes(heard: &Heard) -> usize {
    heard
        .updates
        .iter()
        .filter(|update| update.metadata.as_ref().is_some_and(|metadata| metadata.note.is_some()))
        .count()
}

#[tokio::test]
async fn what_the_model_refuses_fails_for_good() {
    let backend = Backend::start().await;
    check(&backend, "parlance.refused", FailureCode::ModelRefused, false, false).await;
    check(&backend, "parlance.forbidden", FailureCode::ModelNotAllowed, false, false).await;
    check(&backend, "parlance.missing", FailureCode::ModelNotAllowed, false, false).await;
}

#[tokio::test]
async fn a_model_that_is_down_or_breaks_off_can_be_asked_again() {
    let backend = Backend::start().await;
    check(&backend, "parlance.unavailable", FailureCode::ModelUnavailable, true, false).await;
    check(&backend, "parlance.cut-at-once", FailureCode::ModelUnavailable, true, false).await;
    check(&backend, "parlance.cut", FailureCode::ModelUnavailable, true, true).await;
    check(&backend, "parlance.exception", FailureCode::ModelUnavailable, true, true).await;
    check(&backend, "parlance.stream-error", FailureCode::ModelUnavailable, true, true).await;
    check(&backend, "parlance.throttled-midway", FailureCode::Throttled, true, true).await;
}

#[tokio::test]
async fn a_silent_model_fails_after_the_silence_that_is_allowed() {
    let backend = Backend::with_parameters([("ModelSilenceSeconds", "2")]).await;
    check(&backend, "parlance.silent", FailureCode::ModelSilent, true, false).await;
    check(&backend, "parlance.falls-silent", FailureCode::ModelSilent, true, true).await;
}

#[tokio::test]
async fn a_throttled_model_is_asked_again_visibly_until_a_quarter_of_the_time_is_spent() {
    let backend = Backend::with_parameters([("HandlerTimeoutSeconds", "60")]).await;
    let began = Instant::now();
    let heard = check(&backend, "parlance.throttled", FailureCode::Throttled, true, false).await;
    assert!(notes(&heard) >= 1, "the person who waits is told");
    assert!(began.elapsed() < Duration::from_secs(30), "a quarter of 60 seconds is 15");
}

#[tokio::test]
async fn a_model_that_is_throttled_for_a_moment_answers_after_a_note() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.throttled-twice").await;
    let heard = backend.converse(&conversation, "Hello!").await;
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    assert!(!heard.stored().is_empty());
    assert!(notes(&heard) >= 1, "the person who waits is told");
}

#[tokio::test]
async fn an_answer_that_stops_early_says_why() {
    let backend = Backend::start().await;
    for (model_id, reason) in
        [("parlance.max-tokens", StopReason::MaxTokens), ("parlance.filtered", StopReason::ContentFiltered)]
    {
        let conversation = backend.conversation_with(model_id).await;
        let heard: Heard = backend.converse(&conversation, "Hello!").await;
        assert_eq!(
            (heard.turn.status, heard.last_event().stop_reason),
            (TurnStatus::Completed, Some(reason)),
            "{model_id}"
        );
    }
}

#[tokio::test]
async fn a_conversation_goes_on_after_an_answer_that_failed_or_said_nothing() {
    let backend = Backend::start().await;
    for model_id in ["parlance.cut", "parlance.cut-at-once", "parlance.blank"] {
        let conversation = backend.conversation_with(model_id).await;
        backend.converse(&conversation, "Hello!").await;
        let again = backend.converse(&conversation, "Are you there?").await;
        let code = again.turn.failure.and_then(|failure| failure.code);
        assert_ne!(code, Some(FailureCode::ModelRefused), "{model_id}: the transcript is accepted");
    }
}
