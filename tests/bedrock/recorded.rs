//! Answers that were recorded from Amazon Bedrock, replayed through the SDK. See recorded/README.md.
use std::{fs, path::Path};

use aws_sdk_bedrockruntime::types::{
    CitationLocation, ContentBlockDelta, ContentBlockStart, ConverseStreamOutput, StopReason,
};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use axum::{Router, response::IntoResponse, routing::post};
use serde_json::Value;

use crate::sdk_client::{Bedrock, StreamResult};

/// The events of a file in `recorded/`: their types and payloads.
fn recorded_events(name: &str) -> Vec<(String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/bedrock/recorded/{name}.jsonl"));
    let lines = fs::read_to_string(path).expect("a recording");
    let event = |line: &str| -> (String, Value) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        (event["type"].as_str().expect("a type").to_owned(), event["payload"].clone())
    };
    lines.lines().map(event).collect()
}

/// The body of the recorded response.
fn recorded_frames(name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (event_type, payload) in recorded_events(name) {
        let header = |name: &'static str, value: String| Header::new(name, HeaderValue::String(value.into()));
        let frame = Frame::new(payload.to_string())
            .add_header(header(":event-type", event_type))
            .add_header(header(":content-type", "application/json".into()))
            .add_header(header(":message-type", "event".into()));
        write_message_to(&frame, &mut body).expect("a frame");
    }
    body
}

/// A server that answers any request with a recording.
async fn replay(name: &'static str) -> Bedrock {
    let answer = move || async move {
        ([("content-type", "application/vnd.amazon.eventstream")], recorded_frames(name)).into_response()
    };
    Bedrock::serve(Router::new().route("/model/{model_id}/converse-stream", post(answer))).await
}

async fn replayed(name: &'static str) -> StreamResult {
    replay(name).await.send_text("us.anthropic.claude-sonnet-5", "Hello").await
}

async fn replayed_events(name: &'static str) -> Vec<ConverseStreamOutput> {
    let bedrock = replay(name).await;
    let message = crate::sdk_client::message(aws_sdk_bedrockruntime::types::ConversationRole::User, "Hello");
    let mut stream = bedrock.request("any").messages(message).send().await.expect("a stream").stream;
    let mut events = Vec::new();
    while let Some(event) = stream.recv().await.expect("an event") {
        events.push(event);
    }
    events
}

#[tokio::test]
async fn every_recorded_event_is_padded_and_known_to_the_sdk() {
    for name in ["tool-call", "tool-call-without-text", "thinking", "citations", "citations-of-chunks"] {
        let recorded = recorded_events(name);
        let is_padded = |payload: &Value| (1..=62).contains(&payload["p"].as_str().expect("padding").len());
        assert!(recorded.iter().all(|(_, payload)| is_padded(payload)), "{name}");
        let events = replayed_events(name).await;
        assert_eq!(events.len(), recorded.len(), "{name}");
        for event in events {
            assert!(!event.is_unknown(), "{name}: {event:?}");
            if let ConverseStreamOutput::ContentBlockStart(start) = event {
                assert!(matches!(start.start, Some(ContentBlockStart::ToolUse(_))), "only tool uses have a start");
            }
        }
    }
}

#[tokio::test]
async fn recorded_tool_call_follows_its_text() {
    let answer = replayed("tool-call").await;
    assert!(answer.text().starts_with("I'll check ") && answer.text().ends_with(" in San Francisco, CA for you."));
    assert_eq!(answer.blocks, [(0, "text"), (1, "tool use")]);
    let call = &answer.calls[0];
    let is_start = |(event_type, _): &&(String, Value)| event_type == "contentBlockStart";
    let (_, start) = recorded_events("tool-call").iter().find(is_start).cloned().expect("the start of a call");
    assert_eq!(start["start"]["toolUse"]["name"], call.name);
    assert_eq!(call.id, "tooluse_Zsi5nODkqYT50BEZ9GG8ud");
    assert_eq!((call.fragments[0].as_str(), call.arguments().as_str()), ("", r#"{"location": "San Francisco, CA"}"#));
    let usage = answer.usage.expect("usage");
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (446, 76, 522));
    assert_eq!((answer.stop, answer.failure), (Some(StopReason::ToolUse), None));
    assert_eq!(replayed("tool-call-without-text").await.blocks, [(0, "tool use")]);
}

#[tokio::test]
async fn recorded_thinking_ends_with_one_signature() {
    let answer = replayed("thinking").await;
    assert_eq!(answer.blocks, [(0, "reasoning"), (1, "text")]);
    assert!(answer.reasoning.deltas.concat().starts_with("I need to find the smallest n where n! is divisible by 10"));
    assert_eq!(answer.reasoning.signatures.len(), 1);
    assert!((700..1_000).contains(&answer.reasoning.signatures[0].len()));
    assert!(answer.text().contains("25"), "{}", answer.text());
    assert_eq!(answer.usage.expect("usage").output_tokens, 1_196);
}

#[tokio::test]
async fn recorded_citation_comes_before_the_text_of_its_block() {
    for (name, quoted) in
        [("citations", "employees get 20 days annual leave."), ("citations-of-chunks", "20 days annual")]
    {
        let mut blocks: Vec<(i32, String, usize)> = Vec::new();
        for event in replayed_events(name).await {
            let ConverseStreamOutput::ContentBlockDelta(block) = event else { continue };
            if blocks.last().is_none_or(|last| last.0 != block.content_block_index) {
                blocks.push((block.content_block_index, String::new(), 0));
            }
            let last = blocks.last_mut().expect("a block");
            match block.delta.expect("a delta") {
                ContentBlockDelta::Text(text) => last.1.push_str(&text),
                ContentBlockDelta::Citation(citation) => {
                    assert_eq!(last.1, "", "{name}: the citation is first");
                    assert!(matches!(
                        citation.location,
                        Some(CitationLocation::DocumentChar(_) | CitationLocation::DocumentChunk(_))
                    ));
                    last.2 += 1;
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        let cited: Vec<_> = blocks.iter().filter(|(_, _, citations)| *citations > 0).collect();
        assert!(cited[0].0 == 1 && cited[0].1.starts_with(quoted), "{name}: {blocks:?}");
    }
}
