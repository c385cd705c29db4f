//! The scripted Bedrock, called with the AWS SDK. The clock is paused, so scripts take no time.
mod account;
mod caching;
mod faulty_models;
mod forwarding;
mod guardrails;
mod long_conversation;
mod reasoning;
mod recorded;
mod sdk_client;
mod tools;
mod validation;

use aws_sdk_bedrockruntime::types::{ConversationRole::User, StopReason};
use sdk_client::{Bedrock, message};
use tokio::net::TcpStream;

#[tokio::test(start_paused = true)]
async fn answer_names_the_scripted_model_and_ends_with_usage() {
    let result = Bedrock::start().await.send_text("anthropic.claude", "Hello").await;
    assert!(result.text().starts_with("I am Parlance's scripted model, not a real one. "), "{}", result.text());
    assert!(result.text().contains("This is your first question: “Hello”."), "{}", result.text());
    assert_eq!(result.stop, Some(StopReason::EndTurn));
    let usage = result.usage.expect("usage comes last");
    assert_eq!(usage.input_tokens, 1);
    assert_eq!(usage.output_tokens as usize, result.deltas.len());
    assert_eq!(usage.total_tokens, usage.input_tokens + usage.output_tokens);
}

#[tokio::test(start_paused = true)]
async fn answer_quotes_the_previous_question() {
    let bedrock = Bedrock::start().await;
    let first = bedrock.send_text("anthropic.claude", "What is a turn?").await;
    let history = [message(User, "What is a turn?"), first.as_message(), message(User, "And a run?")];
    let second = bedrock.converse("anthropic.claude", history).await;
    assert!(
        second.text().contains(
            "You have now asked 2 questions; the one before was: “What is a turn?”. Now you ask: “And a run?”."
        ),
        "{}",
        second.text()
    );
}

#[tokio::test(start_paused = true)]
async fn same_transcript_has_the_same_answer() {
    let bedrock = Bedrock::start().await;
    let first = bedrock.send_text("any", "Again?").await;
    let second = bedrock.send_text("any", "Again?").await;
    assert_eq!(first.deltas, second.deltas);
}

#[tokio::test(start_paused = true)]
async fn token_limit_and_stop_sequence_end_an_answer() {
    let bedrock = Bedrock::start().await;
    let limited = bedrock.send_with_limits("any", 5, "").await;
    assert_eq!((limited.deltas.len(), limited.stop), (5, Some(StopReason::MaxTokens)));
    let stopped = bedrock.send_with_limits("any", 500, "model").await;
    assert_eq!((stopped.text().as_str(), stopped.stop), ("I am Parlance's scripted ", Some(StopReason::StopSequence)));
}

#[tokio::test(start_paused = true)]
async fn inference_profile_may_be_named_by_its_arn() {
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/parlance.deltas-3-10";
    let result = Bedrock::start().await.send_text(arn, "Count").await;
    assert_eq!(result.deltas, ["0001 ", "0002 ", "0003 "]);
}

#[tokio::test(start_paused = true)]
async fn cleartext_http2_is_supported() {
    let bedrock = Bedrock::start().await;
    let socket = TcpStream::connect(bedrock.address).await.expect("a connection");
    let (client, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/model/parlance.deltas-2-1/converse-stream", bedrock.address));
    let request = request.header("authorization", "Bearer some-key").body(()).expect("a request");
    let mut client = client.ready().await.expect("an open connection");
    let (response, mut upload) = client.send_request(request, false).expect("a stream");
    let hello = r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#;
    upload.send_data(hello.into(), true).expect("an open stream");
    let response = response.await.expect("a response");
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    let mut frames = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = frames.data().await {
        body.extend(frame.expect("a whole body"));
    }
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("0002 ") && body.contains("outputTokens"), "{body}");
}
