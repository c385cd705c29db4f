use std::time::Duration;

use aws_sdk_bedrockruntime::types::{ConversationRole::User, StopReason};
use local::bedrock::MISBEHAVIOURS;
use tokio::time::{Instant, timeout};

use crate::listener::{Bedrock, hear, said};

const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn each_failure_comes_with_its_code_and_with_the_text_before_it() {
    let cases = [
        ("parlance.throttled", "ThrottlingException", false),
        ("parlance.throttled-midway", "ThrottlingException", true),
        ("parlance.refused", "ValidationException", false),
        ("parlance.forbidden", "AccessDeniedException", false),
        ("parlance.missing", "ResourceNotFoundException", false),
        ("parlance.unavailable", "ServiceUnavailableException", false),
        ("parlance.cut", "connection", true),
        ("parlance.cut-at-once", "connection", false),
        ("parlance.exception", "InternalServerException", true),
        ("parlance.stream-error", "ModelStreamErrorException", true),
    ];
    let bedrock = Bedrock::start().await;
    for (model_id, code, some_text) in cases {
        let heard = bedrock.ask(model_id, "Hello").await;
        assert_eq!(heard.code(), Some(code), "{model_id}");
        assert_eq!(!heard.deltas.is_empty(), some_text, "{model_id}");
        assert_eq!((heard.stop, heard.usage), (None, None), "{model_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_odd_answer_still_ends_as_an_answer() {
    let cases = [
        ("parlance.slow", StopReason::EndTurn),
        ("parlance.long", StopReason::EndTurn),
        ("parlance.kinds", StopReason::EndTurn),
        ("parlance.unicode", StopReason::EndTurn),
        ("parlance.blank", StopReason::EndTurn),
        ("parlance.max-tokens", StopReason::MaxTokens),
        ("parlance.filtered", StopReason::ContentFiltered),
        ("parlance.echo", StopReason::EndTurn),
        ("parlance.deltas-7-3", StopReason::EndTurn),
        ("parlance.deltas-many", StopReason::EndTurn),
    ];
    let bedrock = Bedrock::start().await;
    for (model_id, stop) in cases {
        let heard = bedrock.ask(model_id, "Hello").await;
        assert_eq!((heard.stop, heard.failure), (Some(stop), None), "{model_id}");
        assert!(heard.usage.is_some(), "{model_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_third_try_of_a_transcript_is_answered() {
    let bedrock = Bedrock::start().await;
    let mut codes = Vec::new();
    for question in ["one", "one", "other", "one", "one"] {
        let heard = bedrock.ask("parlance.throttled-twice", question).await;
        codes.push((question, heard.code().map(str::to_owned)));
    }
    let throttled = Some("ThrottlingException".to_owned());
    let expected =
        [("one", &throttled), ("one", &throttled), ("other", &throttled), ("one", &None), ("one", &throttled)];
    assert_eq!(codes.iter().map(|(question, code)| (*question, code)).collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_silence_is_heard_at_once() {
    let bedrock = Bedrock::start().await;
    let request = bedrock.request("parlance.falls-silent").messages(said(User, "Hello"));
    let mut stream = request.send().await.expect("a stream").stream;
    let mut events = 0;
    while let Ok(event) = timeout(PATIENCE, stream.recv()).await {
        assert!(event.expect("no failure").is_some(), "the stream stays open");
        events += 1;
    }
    assert!(events > 10, "{events}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_model_does_not_even_begin_a_response() {
    let bedrock = Bedrock::start().await;
    let request = bedrock.request("parlance.silent").messages(said(User, "Hello"));
    assert!(timeout(PATIENCE, request.send()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_model_speaks_every_two_seconds() {
    let start = Instant::now();
    let heard = Bedrock::start().await.ask("parlance.slow", "Hello").await;
    let spoken = Duration::from_secs(2) * u32::try_from(heard.deltas.len()).expect("few");
    assert!(start.elapsed() >= spoken, "{:?} for {:?}", start.elapsed(), spoken);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_has_a_mebibyte() {
    let heard = Bedrock::start().await.ask("parlance.long", "Hello").await;
    assert_eq!(heard.text().len(), 1024 * 1024);
}

#[tokio::test(start_paused = true)]
async fn an_echo_repeats_the_last_text_byte_for_byte() {
    let text = "  👩‍👩‍👧‍👦\r\n\u{0}\u{1b} שָׁלוֹם e\u{301}\u{feff}\u{10ffff} ".repeat(50);
    let heard = Bedrock::start().await.ask("parlance.echo", &text).await;
    assert_eq!(heard.text(), text);
}

#[tokio::test(start_paused = true)]
async fn text_that_is_easily_damaged_is_broken_within_its_joined_characters() {
    let heard = Bedrock::start().await.ask("parlance.unicode", "Hello").await;
    for part in ["👩‍👩‍👧‍👦", "שָׁלוֹם", "\r\n", "\u{0}", "e\u{301}", "\u{2028}"] {
        assert!(heard.text().contains(part), "{part:?}");
    }
    assert!(heard.deltas.iter().any(|delta| delta.starts_with('\u{200d}')));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_delta_is_among_the_kinds() {
    let heard = Bedrock::start().await.ask("parlance.kinds", "Hello").await;
    let expected = ["reasoning", "reasoning", "reasoning", "reasoning", "citation", "tool use", "tool use"];
    assert_eq!(heard.others, expected);
    assert!(heard.text().ends_with("That was every kind of delta."));
}

#[tokio::test(start_paused = true)]
async fn a_blank_answer_has_no_text() {
    let heard = Bedrock::start().await.ask("parlance.blank", "Hello").await;
    assert_eq!(heard.deltas, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn every_named_model_id_behaves_otherwise_than_a_plain_one() {
    let bedrock = Bedrock::start().await;
    let hello = || said(User, "Hello");
    let started = Instant::now();
    let plain = hear(bedrock.request("plain").messages(hello())).await;
    let plain_took = started.elapsed();
    for known in MISBEHAVIOURS {
        let started = Instant::now();
        let heard = timeout(PATIENCE, hear(bedrock.request(known.model_id).messages(hello()))).await;
        let alike = heard.is_ok_and(|heard| heard.stop == plain.stop && heard.deltas == plain.deltas);
        let in_time = started.elapsed() < plain_took * 2;
        assert!(!(alike && in_time), "{}: {}", known.model_id, known.description);
    }
}
