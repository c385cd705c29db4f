//! Failures of the model: how a turn ends, and which text is kept.
use std::time::{Duration, Instant};

use client::schema::{FailureCode, InferenceSettings, StopReason, TurnStatus};

use crate::backend::{Backend, FinishedTurn};

/// The expected end of a failed turn.
struct Expected {
    code: FailureCode,
    retryable: bool,
    keeps_text: bool,
}

const fn permanent(code: FailureCode) -> Expected {
    Expected { code, retryable: false, keeps_text: false }
}

const fn retryable(code: FailureCode) -> Expected {
    Expected { code, retryable: true, keeps_text: false }
}

const fn retryable_with_text(code: FailureCode) -> Expected {
    Expected { code, retryable: true, keeps_text: true }
}

async fn check_failure(backend: &Backend, model_id: &str, expected: Expected) -> FinishedTurn {
    let conversation = backend.conversation_with(model_id).await;
    let finished = backend.send_and_wait(&conversation, "Tell me a story.").await;
    let event = finished.final_event();
    let failure = event.failure.as_ref().unwrap_or_else(|| panic!("{model_id} fails"));
    assert_eq!((failure.code, failure.retryable), (Some(expected.code), expected.retryable), "{model_id}");
    assert_eq!(finished.turn.status, TurnStatus::Failed, "{model_id}");
    assert_eq!(finished.turn.failure.as_ref(), Some(failure), "{model_id}");
    let text = event.text_or_empty();
    assert_eq!(!text.is_empty(), expected.keeps_text, "the text of {model_id} is {text:?}");
    assert!(text.starts_with(&finished.streamed_text()), "{model_id}: the streamed text is kept");
    assert_eq!(finished.stored_text(), text, "{model_id}");
    for internal in ["Exception", "aws", "parlance.", "http"] {
        assert!(!failure.message.contains(internal), "{model_id}: {:?} has no internal detail", failure.message);
    }
    finished
}

fn count_notes(finished: &FinishedTurn) -> usize {
    let metadata = finished.updates.iter().filter_map(|update| update.metadata.as_ref());
    metadata.filter(|metadata| metadata.note.is_some()).count()
}

#[tokio::test]
async fn refused_requests_to_the_model_are_not_retryable() {
    let backend = Backend::start().await;
    check_failure(&backend, "parlance.refused", permanent(FailureCode::ModelRefused)).await;
    check_failure(&backend, "parlance.forbidden", permanent(FailureCode::ModelNotAllowed)).await;
    check_failure(&backend, "parlance.missing", permanent(FailureCode::ModelNotAllowed)).await;
}

#[tokio::test]
async fn refused_settings_are_another_failure_than_a_refused_conversation() {
    let backend = Backend::start().await;
    let finished = check_failure(&backend, "parlance.refused-settings", permanent(FailureCode::SettingsRefused)).await;
    let failure = finished.turn.failure.expect("a failure");
    assert!(failure.message.contains("settings") && failure.message.contains("administrator"), "{}", failure.message);
}

#[tokio::test]
async fn settings_that_the_model_refuses_are_left_out() {
    let backend = Backend::start().await;
    let settings = InferenceSettings {
        max_tokens: None,
        temperature: Some(0.5),
        top_p: Some(0.5),
        stop_sequences: Some((0..5).map(|number| format!("STOP{number}")).collect()),
    };
    let conversation = backend.conversation_with_settings("parlance.strict-settings", settings).await;
    let finished = backend.send_and_wait(&conversation, "Hello!").await;
    assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);
}

#[tokio::test]
async fn used_up_quota_of_a_day_fails_at_once_and_is_retryable() {
    let backend = Backend::start().await;
    let started = Instant::now();
    let finished = check_failure(&backend, "parlance.daily-quota", retryable(FailureCode::Throttled)).await;
    assert_eq!(count_notes(&finished), 0, "no note announces a wait");
    assert!(started.elapsed() < Duration::from_secs(10), "there is no wait");
}

#[tokio::test]
async fn unavailable_models_and_broken_streams_are_retryable() {
    let backend = Backend::start().await;
    check_failure(&backend, "parlance.unavailable", retryable(FailureCode::ModelUnavailable)).await;
    check_failure(&backend, "parlance.cut-at-once", retryable(FailureCode::ModelUnavailable)).await;
    check_failure(&backend, "parlance.cut", retryable_with_text(FailureCode::ModelUnavailable)).await;
    check_failure(&backend, "parlance.exception", retryable_with_text(FailureCode::ModelUnavailable)).await;
    check_failure(&backend, "parlance.stream-error", retryable_with_text(FailureCode::ModelUnavailable)).await;
    check_failure(&backend, "parlance.throttled-midway", retryable_with_text(FailureCode::Throttled)).await;
}

#[tokio::test]
async fn silent_model_fails_after_model_silence_seconds() {
    let backend = Backend::with_parameters([("ModelSilenceSeconds", "2")]).await;
    check_failure(&backend, "parlance.silent", retryable(FailureCode::ModelSilent)).await;
    check_failure(&backend, "parlance.falls-silent", retryable_with_text(FailureCode::ModelSilent)).await;
}

#[tokio::test]
async fn throttled_model_is_called_again_for_a_quarter_of_the_timeout() {
    let backend = Backend::with_parameters([("HandlerTimeoutSeconds", "60")]).await;
    let started = Instant::now();
    let finished = check_failure(&backend, "parlance.throttled", retryable(FailureCode::Throttled)).await;
    assert!(count_notes(&finished) >= 1, "a note announces the wait");
    assert!(started.elapsed() < Duration::from_secs(30), "a quarter of 60 seconds is 15");
}

#[tokio::test]
async fn model_throttled_twice_answers_after_a_note() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.throttled-twice").await;
    let finished = backend.send_and_wait(&conversation, "Hello!").await;
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    assert!(!finished.stored_text().is_empty());
    assert!(count_notes(&finished) >= 1, "a note announces the wait");
}

#[tokio::test]
async fn early_stops_are_completed_turns_with_the_stop_reason() {
    let backend = Backend::start().await;
    for (model_id, reason) in
        [("parlance.max-tokens", StopReason::MaxTokens), ("parlance.filtered", StopReason::ContentFiltered)]
    {
        let conversation = backend.conversation_with(model_id).await;
        let finished = backend.send_and_wait(&conversation, "Hello!").await;
        let stop_reason = finished.final_event().stop_reason;
        assert_eq!((finished.turn.status, stop_reason), (TurnStatus::Completed, Some(reason)), "{model_id}");
    }
}

#[tokio::test]
async fn transcript_with_failed_or_empty_answers_is_accepted() {
    let backend = Backend::start().await;
    for model_id in ["parlance.cut", "parlance.cut-at-once", "parlance.blank", "parlance.invisible"] {
        let conversation = backend.conversation_with(model_id).await;
        backend.send_and_wait(&conversation, "Hello!").await;
        let second = backend.send_and_wait(&conversation, "Are you there?").await;
        let code = second.turn.failure.and_then(|failure| failure.code);
        assert_ne!(code, Some(FailureCode::ModelRefused), "{model_id}: the transcript is accepted");
    }
}
