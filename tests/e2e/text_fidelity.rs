//! The bytes of the model's text, of the streamed batches and of the stored events are the same.
use client::schema::TurnStatus;
use local::bedrock::{UNICODE, long_text};

use crate::backend::{Backend, FinishedTurn};

/// After every update, the text received so far is a prefix of the stored answer. After the last, it is the
/// answer.
fn check_streamed_text_is_stored(finished: &FinishedTurn) {
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    assert_eq!(finished.sequences(), Vec::from_iter(1..=finished.updates.len() as u32));
    let stored = finished.stored_text();
    let mut confirmed = String::new();
    let mut streamed = String::new();
    for update in &finished.updates[1..] {
        let partial = update.metadata.as_ref().and_then(|metadata| metadata.agent_partial_message.as_deref());
        if let Some(event) = &update.event {
            confirmed.push_str(event.text_or_empty());
            assert!(confirmed.starts_with(&streamed), "an event begins with the text of the batches before it");
            streamed.clone_from(&confirmed);
        } else if let Some(text) = partial {
            streamed.push_str(text);
        }
        assert!(stored.starts_with(&streamed), "sequence {:?}", update.sequence);
    }
    assert!(confirmed == stored, "the text of the published events is the stored answer");
    check_batches_are_stored(finished);
}

/// The turn's page of batches holds the published ones in order.
fn check_batches_are_stored(finished: &FinishedTurn) {
    let batches = finished.updates.iter().filter(|update| update.event.is_none());
    let published: Vec<_> = batches.map(|update| (update.sequence, update.metadata.clone())).collect();
    let stored = finished.turn.batches.iter().flatten();
    // The first stored batch is the first update, which shows the question.
    let stored: Vec<_> = stored.map(|batch| (Some(batch.sequence), Some(batch.metadata.clone()))).skip(1).collect();
    assert!(published.starts_with(&stored));
    let is_last_page = finished.turn.has_more_batches == Some(false);
    assert!(!is_last_page || published.len() == stored.len());
}

#[tokio::test]
async fn echoed_unicode_and_control_characters_are_unchanged() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.echo").await;
    for text in [
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 e\u{301} \u{1F1E9}\u{1F1EA}",
        "مرحبا بالعالم \u{202B}שלום\u{202C} abc",
        "one\r\ntwo\rthree\nfour\ttab",
        "\u{1} \u{7f} \u{0} \u{feff} \u{2028} \u{fffd}",
        "\"quotes\" \\ \\u0041 </script> ${x} #{y} %s",
        "  leading and trailing  ",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u{10FFFF}",
    ] {
        let finished = backend.send_and_wait(&conversation, text).await;
        assert_eq!(finished.stored_text(), text);
        check_streamed_text_is_stored(&finished);
    }
}

#[tokio::test]
async fn unicode_is_unchanged_when_split_into_deltas_and_batches() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.unicode").await;
    let finished = backend.send_and_wait(&conversation, "Everything, please.").await;
    check_streamed_text_is_stored(&finished);
    assert_eq!(finished.stored_text(), UNICODE);
}

#[tokio::test]
async fn one_megabyte_answer_is_stored_whole_in_several_events() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.long").await;
    let finished = backend.send_and_wait(&conversation, "Everything, please.").await;
    let (expected, stored) = (long_text(), finished.stored_text());
    assert!(expected.len() >= 1_000_000);
    assert!(stored == expected, "{} of {} bytes are stored", stored.len(), expected.len());
    assert!(finished.turn.answer.as_ref().is_some_and(|events| events.len() >= 7));
    check_streamed_text_is_stored(&finished);
}

#[tokio::test]
async fn deltas_that_are_not_text_are_ignored() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.kinds").await;
    let finished = backend.send_and_wait(&conversation, "Think.").await;
    check_streamed_text_is_stored(&finished);
    assert!(!finished.stored_text().is_empty());
}
