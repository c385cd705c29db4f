//! Text is never altered: what the model sent, what was streamed and what is stored are the same bytes.
use client::schema::TurnStatus;

use crate::backend::{Backend, Heard};

/// Batches of the last attempt, plus a tail in the final event, are the stored answer.
fn check_streamed_is_stored(heard: &Heard) {
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    let (streamed, stored) = (heard.streamed(), heard.stored());
    assert!(stored.starts_with(&streamed), "the batches begin the stored answer");
    let published: String = heard.updates.iter().skip(1).filter_map(|update| update.event.as_ref()).map(|event| event.said()).collect();
    assert!(published == stored, "the events that were published are the stored answer");
    let kept: String = heard.turn.batches.iter().flatten().filter_map(|batch| batch.metadata.agent_partial_message.as_deref()).collect();
    assert!(streamed.starts_with(&kept), "the stored batches are the streamed ones");
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
    for sample in ["👩‍👩‍👧‍👦", "\r\n"] {
        assert!(heard.stored().contains(sample), "{sample:?}");
    }
}

#[tokio::test]
async fn an_answer_of_a_megabyte_is_several_events_and_nothing_is_missing() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.long").await;
    let heard = backend.converse(&conversation, "Everything, please.").await;
    assert!(heard.stored().len() >= 1_000_000, "{} bytes", heard.stored().len());
    assert!(heard.turn.answer.as_ref().is_some_and(|events| events.len() >= 7));
    assert_eq!(heard.sequences(), Vec::from_iter(1..=heard.updates.len() as u32));
    let published: String = heard.updates.iter().skip(1).filter_map(|update| update.event.as_ref()).map(|event| event.said()).collect();
    assert!(published == heard.stored());
    assert!(heard.stored().starts_with(&heard.streamed()));
}

#[tokio::test]
async fn deltas_that_are_not_text_are_left_out() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.kinds").await;
    let heard = backend.converse(&conversation, "Think.").await;
    check_streamed_is_stored(&heard);
    assert!(!heard.stored().is_empty());
}
