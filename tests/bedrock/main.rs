//! The scripted Bedrock as the AWS SDK sees it. The clock is paused: scripts take no time.
mod listener;
mod misbehaviours;
mod refusals;

use aws_sdk_bedrockruntime::types::{ConversationRole::User, StopReason};
use listener::{Bedrock, said};
use tokio::net::TcpStream;

#[tokio::test(start_paused = true)]
async fn an_answer_says_that_it_is_a_stand_in_and_ends_with_its_usage() {
    let heard = Bedrock::start().await.ask("anthropic.claude", "Hello").await;
    assert!(heard.text().starts_with("I am Parlance's scripted stand-in, not a real model. "), "{}", heard.text());
    assert!(heard.text().contains("This is your first question: “Hello”."), "{}", heard.text());
    assert_eq!(heard.stop, Some(StopReason::EndTurn));
    let usage = heard.usage.expect("usage comes last");
    assert_eq!(usage.input_tokens, 1);
    assert_eq!(usage.output_tokens as usize, heard.deltas.len());
    assert_eq!(usage.total_tokens, usage.input_tokens + usage.output_tokens);
}

#[tokio::test(start_paused = true)]
async fn a_second_question_is_answered_with_the_first() {
    let bedrock = Bedrock::start().await;
    let first = bedrock.ask("anthropic.claude", "What is a turn?").await;
    let history = [said(User, "What is a turn?"), first.as_message(), said(User, "And a run?")];
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
async fn the_same_transcript_has_the_same_answer() {
    let bedrock = Bedrock::start().await;
    let (one, other) = (bedrock.ask("any", "Again?").await, bedrock.ask("any", "Again?").await);
    assert_eq!(one.deltas, other.deltas);
}

#[tokio::test(start_paused = true)]
async fn a_token_limit_and_a_stop_sequence_end_an_answer() {
    let bedrock = Bedrock::start().await;
    let limited = bedrock.limited("any", 5, "").await;
    assert_eq!((limited.deltas.len(), limited.stop), (5, Some(StopReason::MaxTokens)));
    let stopped = bedrock.limited("any", 500, "stand-in").await;
    assert_eq!((stopped.text().as_str(), stopped.stop), ("I am Parlance's scripted ", Some(StopReason::StopSequence)));
}

#[tokio::test(start_paused = true)]
async fn an_inference_profile_is_named_by_its_arn() {
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/parlance.deltas-3-10";
    let heard = Bedrock::start().await.ask(arn, "Count").await;
    assert_eq!(heard.deltas, ["0001 ", "0002 ", "0003 "]);
}

#[tokio::test(start_paused = true)]
async fn cleartext_http2_is_answered_too() {
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
