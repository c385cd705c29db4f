//! The behaviour of each faulty model.
use std::time::Duration;

use aws_sdk_bedrockruntime::types::{
    CitationsConfig, ContentBlock, ConversationRole::User, InferenceConfiguration, Message, SearchResultBlock,
    SearchResultContentBlock, StopReason, SystemContentBlock,
};
use local::bedrock::FAULTY_MODELS;
use tokio::time::{Instant, timeout};

use crate::sdk_client::{Bedrock, Failure, message, receive};

const TIMEOUT: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_code_and_the_text_before_it() {
    let cases = [
        ("parlance.throttled", "ThrottlingException", false),
        ("parlance.throttled-midway", "ThrottlingException", true),
        ("parlance.refused", "ValidationException", false),
        ("parlance.forbidden", "AccessDeniedException", false),
        ("parlance.missing", "ResourceNotFoundException", false),
        ("parlance.retired", "ResourceNotFoundException", false),
        ("parlance.needs-profile", "ValidationException", false),
        ("parlance.not-ready", "ModelNotReadyException", false),
        ("parlance.unavailable", "ServiceUnavailableException", false),
        ("parlance.unavailable-at-once", "ServiceUnavailableException", false),
        ("parlance.cut", "connection", true),
        ("parlance.cut-at-once", "connection", false),
        ("parlance.exception", "InternalServerException", true),
        ("parlance.stream-error", "ModelStreamErrorException", true),
    ];
    let bedrock = Bedrock::start().await;
    for (model_id, code, some_text) in cases {
        let result = bedrock.send_text(model_id, "Hello").await;
        assert_eq!(result.code(), Some(code), "{model_id}");
        assert_eq!(!result.deltas.is_empty(), some_text, "{model_id}");
        assert_eq!((result.stop, result.usage), (None, None), "{model_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn unusual_answers_end_with_a_stop_reason_and_usage() {
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
        let result = bedrock.send_text(model_id, "Hello").await;
        assert_eq!((result.stop, result.failure), (Some(stop), None), "{model_id}");
        assert!(result.usage.is_some(), "{model_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_twice_answers_the_third_request() {
    let bedrock = Bedrock::start().await;
    let mut codes = Vec::new();
    for question in ["one", "one", "other", "one", "one"] {
        let result = bedrock.send_text("parlance.throttled-twice", question).await;
        codes.push((question, result.code().map(str::to_owned)));
    }
    let throttled = Some("ThrottlingException".to_owned());
    let expected =
        [("one", &throttled), ("one", &throttled), ("other", &throttled), ("one", &None), ("one", &throttled)];
    assert_eq!(codes.iter().map(|(question, code)| (*question, code)).collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn events_before_a_silence_arrive_at_once() {
    let bedrock = Bedrock::start().await;
    let request = bedrock.request("parlance.falls-silent").messages(message(User, "Hello"));
    let mut stream = request.send().await.expect("a stream").stream;
    let mut events = 0;
    while let Ok(event) = timeout(TIMEOUT, stream.recv()).await {
        assert!(event.expect("no failure").is_some(), "the stream stays open");
        events += 1;
    }
    assert!(events > 10, "{events}");
}

#[tokio::test(start_paused = true)]
async fn silent_model_sends_no_response() {
    let bedrock = Bedrock::start().await;
    let request = bedrock.request("parlance.silent").messages(message(User, "Hello"));
    assert!(timeout(TIMEOUT, request.send()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn slow_model_sends_a_delta_every_two_seconds() {
    let start = Instant::now();
    let result = Bedrock::start().await.send_text("parlance.slow", "Hello").await;
    let minimum = Duration::from_secs(2) * u32::try_from(result.deltas.len()).expect("few");
    assert!(start.elapsed() >= minimum, "{:?} of {minimum:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn long_answer_has_one_mebibyte() {
    let result = Bedrock::start().await.send_text("parlance.long", "Hello").await;
    assert_eq!(result.text().len(), 1024 * 1024);
}

#[tokio::test(start_paused = true)]
async fn echo_repeats_the_last_text_byte_for_byte() {
    let text = "  👩‍👩‍👧‍👦\r\n\u{0}\u{1b} שָׁלוֹם e\u{301}\u{feff}\u{10ffff} ".repeat(50);
    let result = Bedrock::start().await.send_text("parlance.echo", &text).await;
    assert_eq!(result.text(), text);
}

#[tokio::test(start_paused = true)]
async fn unicode_text_is_divided_within_joined_characters() {
    let result = Bedrock::start().await.send_text("parlance.unicode", "Hello").await;
    for part in ["👩‍👩‍👧‍👦", "שָׁלוֹם", "\r\n", "\u{0}", "e\u{301}", "\u{2028}"] {
        assert!(result.text().contains(part), "{part:?}");
    }
    assert!(result.deltas.iter().any(|delta| delta.starts_with('\u{200d}')));
}

#[tokio::test(start_paused = true)]
async fn kinds_sends_every_kind_of_delta() {
    let result = Bedrock::start().await.send_text("parlance.kinds", "Hello").await;
    let expected = ["reasoning", "reasoning", "reasoning", "reasoning", "citation", "tool use", "tool use"];
    assert_eq!(result.others, expected);
    assert!(result.text().ends_with("That was every kind of delta."));
}

#[tokio::test(start_paused = true)]
async fn blank_answer_has_no_text() {
    let result = Bedrock::start().await.send_text("parlance.blank", "Hello").await;
    assert_eq!(result.deltas, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn every_faulty_model_differs_from_a_plain_one() {
    let bedrock = Bedrock::start().await;
    let temperature = InferenceConfiguration::builder().temperature(0.5).build();
    let hello = |model_id| {
        let request = bedrock.request(model_id).messages(message(User, "Hello"));
        receive(request.inference_config(temperature.clone()))
    };
    let started = Instant::now();
    let plain = hello("plain").await;
    let plain_duration = started.elapsed();
    for model in FAULTY_MODELS {
        let started = Instant::now();
        let result = timeout(TIMEOUT, hello(model.model_id)).await;
        let is_same = result.is_ok_and(|result| {
            (&result.stop, &result.deltas, &result.others) == (&plain.stop, &plain.deltas, &plain.others)
        });
        let is_as_fast = started.elapsed() < plain_duration * 2;
        // Its name is that of a model that takes search results.
        let refuses_search_results = model.model_id.contains("anthropic.claude-");
        let is_plain = is_same && is_as_fast && !refuses_search_results;
        assert!(!is_plain, "{}: {}", model.model_id, model.description);
    }
}

#[tokio::test(start_paused = true)]
async fn models_that_cannot_be_used_say_why() {
    let bedrock = Bedrock::start().await;
    let retired = "This model version has reached the end of its life. Please refer to the AWS documentation for more \
                   details.";
    let profile = "Invocation of model ID parlance.needs-profile with on-demand throughput isn’t supported. Retry your \
                   request with the ID or ARN of an inference profile that contains this model.";
    for (model_id, message) in [("parlance.retired", retired), ("parlance.needs-profile", profile)] {
        assert_eq!(bedrock.send_text(model_id, "Hello").await.message.as_deref(), Some(message));
    }
}

#[tokio::test(start_paused = true)]
async fn system_prompt_makes_any_model_write_a_title() {
    let bedrock = Bedrock::start().await;
    let system = SystemContentBlock::Text("Write a title for this conversation.".into());
    let question = message(User, "How long does the battery of the W2 last, please?");
    let result = receive(bedrock.request("amazon.nova-micro-v1:0").system(system).messages(question)).await;
    assert_eq!(
        (result.text().as_str(), result.stop),
        ("About: How long does the battery of", Some(StopReason::EndTurn))
    );
}

#[tokio::test(start_paused = true)]
async fn search_results_are_cited_or_refused() {
    let bedrock = Bedrock::start().await;
    let content = SearchResultContentBlock::builder().text("Hello means good day.").build().expect("a text");
    let citations = CitationsConfig::builder().enabled(true).build().expect("a setting");
    let result = SearchResultBlock::builder().source("s3://a").title("a").content(content).citations(citations);
    let result = ContentBlock::SearchResult(result.build().expect("a search result"));
    let question = ContentBlock::Text("Hello?".into());
    let message = Message::builder().role(User).content(result).content(question).build().expect("a message");
    let ask = |model_id| receive(bedrock.request(model_id).messages(message.clone()));
    assert_eq!(ask("anthropic.claude-sonnet-4-5-20250929-v1:0").await.others, ["citation"]);
    for model_id in ["parlance.anthropic.claude-no-search-results", "plain"] {
        let result = ask(model_id).await;
        assert_eq!(result.failure, Some(Failure::Service("ValidationException".into())), "{model_id}");
    }
}
