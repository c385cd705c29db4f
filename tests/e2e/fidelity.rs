//! Text is never altered: what the model sent, what was streamed and what is stored are the same bytes.
use client::schema::TurnStatus;
use local::bedrock::{UNICODE, long_text};

use crate::backend::{Backend, Heard};

/// Batch by batch and event by event, what a subscriber has is what the answer begins with; in the end it is the answer.
fn check_streamed_is_stored(heard: &Heard) {
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    assert_eq!(heard.sequences(), Vec::from_iter(1..=heard.updates.len() as u32));
    let stored = heard.stored();
    let (mut confirmed, mut streamed) = (String::new(), String::new());
    for update in &heard.updates[1..] {
        if let Some(event) = &update.event {
            confirmed.push_str(event.text_or_empty());
            assert!(confirmed.starts_with(&streamed), "an event holds the batches before it, and perhaps a tail");
            streamed.clone_from(&confirmed);
        } else if let Some(text) =
            update.metadata.as_ref().and_then(|metadata| metadata.agent_partial_message.as_deref())
        {
            streamed.push_str(text);
        }
        assert!(stored.starts_with(&streamed), "sequence {:?}", update.sequence);
    }
    assert!(confirmed == stored, "the events that were published are the stored answer");
    check_batches_are_stored(heard);
}

/// getTurn gives the batches that were published, up to its page's end.
fn check_batches_are_stored(heard: &Heard) {
    let published = heard
        .updates
        .iter()
        .filter(|update| update.event.is_none())
        .map(|update| (update.sequence, update.metadata.clone()));
    let kept = heard.turn.batches.iter().flatten().map(|batch| (Some(batch.sequence), Some(batch.metadata.clone())));
    let is_whole = heard.turn.has_more_batches == Some(false);
    let (published, kept): (Vec<_>, Vec<_>) = (published.collect(), kept.skip(1).collect());
    assert!(published.starts_with(&kept) && (published.len() == kept.len() || !is_whole));
}

#[tokio::test]
async fn what_a_user_says_comes_back_byte_for_byte() {
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
        let heard = backend.converse(&conversation, text).await;
        assert_eq!(heard.stored(), text);
        check_streamed_is_stored(&heard);
    }
}

#[tokio::test]
async fn unicode_survives_being_cut_into_deltas_and_batches() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.unicode").await;
    let heard = backend.converse(&conversation, "Everything, please.").await;
    check_streamed_is_stored(&heard);
    assert_eq!(heard.stored(), UNICODE);
}

#[tokio::test]
async fn an_answer_of_a_megabyte_is_several_events_and_nothing_is_missing() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.long").await;
    let heard = backend.converse(&conversation, "Everything, please.").await;
    let said = long_text();
    assert!(said.len() >= 1_000_000 && heard.stored() == said, "{} of {} bytes", heard.stored().len(), said.len());
    assert!(heard.turn.answer.as_ref().is_some_and(|events| events.len() >= 7));
    check_streamed_is_stored(&heard);
}

#[tokio::test]
async fn deltas_that_are_not_text_are_left_out() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.kinds").await;
    let heard = backend.converse(&conversation, "Think.").await;
    check_streamed_is_stored(&heard);
    assert!(!heard.stored().is_empty());
}
