//! Requests on the wire and recorded streams.
mod recorded_refusals;
mod refused_parts;

use std::sync::{Arc, Mutex};

use api::types::{InferenceSettings, Reasoning, StopReason, ToolUse, Usage};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_bedrockruntime::{
    primitives::Blob,
    types::{
        self as sdk, CitationLocation, CitationSourceContentDelta, CitationsDelta, ContentBlockDelta,
        ContentBlockDeltaEvent, ConverseStreamMetadataEvent, MessageStopEvent, ReasoningContentBlockDelta,
        SearchResultLocation, TokenUsage,
    },
};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::{Router, http::StatusCode, response::IntoResponse, routing::post};
use futures::TryStreamExt;
use serde_json::{Value, json};
use turn::{
    model::{
        CitedPassage, ModelError, ModelRequest, ModelStop, ReasoningPart, Role, SearchResult, StreamEvent, ToolOutput,
        TranscriptBlock, TranscriptMessage,
    },
    tool::{LambdaTool, Tool, ToolApproval, ToolEffect, ToolTarget},
};

use super::{Bedrock, stream_event, stream_events};
use crate::model::Model;

/// The events of a stream with a tool call that Bedrock has sent.
const RECORDED: [(&str, &str); 13] = [
    ("messageStart", r#"{"p":"abcdef","role":"assistant"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"I'"},"p":"abc"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"ll look."},"p":"abcd"}"#),
    ("contentBlockStop", r#"{"contentBlockIndex":0,"p":"ab"}"#),
    (
        "contentBlockStart",
        r#"{"contentBlockIndex":1,"p":"ab","start":{"toolUse":{"name":"get_forecast","toolUseId":"tooluse_Zsi5nODkqYT50BEZ9GG8ud","type":"tool_use"}}}"#,
    ),
    ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":""}},"p":"abcdefghi"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"loca"}},"p":"abc"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"tion\": \"San "}},"p":"abc"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"Francisco, C"}},"p":"a"}"#),
    ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"A\"}"}},"p":"abcde"}"#),
    ("contentBlockStop", r#"{"contentBlockIndex":1,"p":"abc"}"#),
    ("messageStop", r#"{"p":"abcd","stopReason":"tool_use"}"#),
    (
        "metadata",
        r#"{"metrics":{"latencyMs":1859},"p":"abc","usage":{"inputTokens":446,"outputTokens":76,"serverToolUsage":{},"totalTokens":522}}"#,
    ),
];

#[tokio::test]
async fn recorded_stream_with_a_tool_call_is_translated() {
    let server = Server::start(&RECORDED).await;
    let events = server.converse(model_request(Vec::new(), Vec::new())).await.unwrap();
    let text = |text: &str| StreamEvent::Text { block: 0, text: text.into() };
    let input = |json: &str| StreamEvent::ToolInput { block: 1, json: json.into() };
    let (id, name) = ("tooluse_Zsi5nODkqYT50BEZ9GG8ud".into(), "get_forecast".into());
    let usage = Usage { input_tokens: 446, output_tokens: 76, total_tokens: 522, ..Usage::default() };
    let expected = [
        StreamEvent::Other,
        text("I'"),
        text("ll look."),
        StreamEvent::BlockEnd { block: 0 },
        StreamEvent::ToolUse { block: 1, id, name },
        input(""),
        input("{\"loca"),
        input("tion\": \"San "),
        input("Francisco, C"),
        input("A\"}"),
        StreamEvent::BlockEnd { block: 1 },
        StreamEvent::MessageStop(ModelStop::ToolUse),
        StreamEvent::Usage(usage),
    ];
    assert_eq!(events, expected);
}

/// The answer of Converse has half of a surrogate pair, which the SDK does not parse.
const WHOLE_ANSWER: &str = r#"{"metrics":{"latencyMs":12},"output":{"message":{"content":[{"text":"I look.\ud83d"},{"toolUse":{"input":{"b":[1,-2,0.5,null,true],"a":{"c":"d"}},"name":"look","toolUseId":"tooluse_a"}}],"role":"assistant"}},"stopReason":"tool_use","usage":{"inputTokens":4,"outputTokens":2,"totalTokens":6}}"#;

#[tokio::test]
async fn model_that_refuses_tools_in_a_stream_answers_whole_from_then_on() {
    let server = Server::refusing_streamed_tools().await;
    let tools = || vec![tool("look", r#"{"type":"object"}"#)];
    let request =
        |model_id: &str, tools| ModelRequest { model_id: model_id.into(), ..model_request(tools, question()) };
    let expected = [
        StreamEvent::Text { block: 0, text: "I look.\u{fffd}".into() },
        StreamEvent::ToolUse { block: 1, id: "tooluse_a".into(), name: "look".into() },
        StreamEvent::ToolInput { block: 1, json: r#"{"a":{"c":"d"},"b":[1,-2,0.5,null,true]}"#.into() },
        StreamEvent::MessageStop(ModelStop::ToolUse),
        StreamEvent::Usage(Usage { input_tokens: 4, output_tokens: 2, total_tokens: 6, ..Usage::default() }),
    ];
    for (model_id, paths) in [
        ("new.model", vec!["converse-stream", "converse"]),
        ("new.model", vec!["converse"]),
        ("us.meta.llama4-scout-17b-instruct-v1:0", vec!["converse"]),
    ] {
        let events = server.converse(request(model_id, tools())).await.unwrap();
        assert_eq!(events, expected, "{model_id}");
        assert_eq!(server.take_paths(), paths, "{model_id}");
    }
    server.converse(request("new.model", Vec::new())).await.unwrap();
    assert_eq!(server.take_paths()[0], "converse-stream", "a request without tools is for a stream");
}

#[tokio::test]
async fn search_results_are_not_sent_again_to_a_model_that_refuses_them() {
    let refusal =
        "This model doesn't support the searchResult field for user messages. Remove searchResult and try again.";
    let server = Server::refusing(refusal).await;
    let search_result = || vec![message(Role::User, [TranscriptBlock::SearchResult(search_result(1, "Alpha."))])];
    let refused = Err(ModelError::SearchResultsRefused);
    assert_eq!(server.converse(model_request(Vec::new(), search_result())).await, refused);
    assert_eq!(server.take_paths(), ["converse-stream"]);
    assert_eq!(server.converse(model_request(Vec::new(), search_result())).await, refused);
    assert_eq!(server.take_paths(), Vec::<String>::new());
    assert_eq!(server.converse(model_request(Vec::new(), question())).await, refused);
    assert_eq!(server.take_paths(), ["converse-stream"], "a request without search results is sent");
    let other = ModelRequest { model_id: "other".into(), ..model_request(Vec::new(), search_result()) };
    assert_eq!(server.converse(other).await, refused);
    assert_eq!(server.take_paths(), ["converse-stream"], "another model is asked");
}

#[tokio::test]
async fn request_has_search_results_in_messages_and_in_tool_results() {
    let server = Server::start(&[("messageStop", r#"{"stopReason":"end_turn"}"#)]).await;
    let call = ToolUse { id: "a".into(), name: "look".into(), title: None, input: "{}".into() };
    let results = vec![search_result(2, "Beta."), search_result(3, "Gamma.")];
    let transcript = vec![
        message(
            Role::User,
            [TranscriptBlock::SearchResult(search_result(1, "Alpha.")), TranscriptBlock::Text("Look.".into())],
        ),
        message(Role::Assistant, [TranscriptBlock::ToolUse(call)]),
        message(Role::User, [TranscriptBlock::FoundSearchResults { tool_use_id: "a".into(), results }]),
    ];
    server.converse(model_request(vec![tool("look", r#"{"type":"object"}"#)], transcript)).await.unwrap();
    let body: Value = serde_json::from_str(&server.take_body()).unwrap();
    let expected = |text: &str| {
        json!({ "searchResult": {
        "source": "s3://docs/a.md", "title": "a.md", "content": [{ "text": text }], "citations": { "enabled": true },
    } })
    };
    assert_eq!(body["messages"][0]["content"], json!([expected("Alpha."), { "text": "Look." }]));
    let result = json!({
        "toolUseId": "a", "status": "success", "content": [expected("Beta."), expected("Gamma.")],
    });
    assert_eq!(body["messages"][2]["content"], json!([{ "toolResult": result }]));
}

#[tokio::test]
async fn half_of_a_surrogate_pair_in_tool_input_does_not_end_the_stream() {
    let server = Server::start(&[
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"a\":\"\ud83d"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"\ude00\"}"}}}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ])
    .await;
    let events = server.converse(model_request(Vec::new(), Vec::new())).await.unwrap();
    let input = |json: &str| StreamEvent::ToolInput { block: 0, json: json.into() };
    let stop = StreamEvent::MessageStop(ModelStop::ToolUse);
    assert_eq!(events, [input("{\"a\":\""), input("\u{1f600}\"}"), stop]);
}

#[tokio::test]
async fn request_has_tools_calls_and_results_byte_for_byte() {
    let server = Server::start(&[]).await;
    let schema = r#"{"type":"object","properties":{"b":{"type":"integer","maximum":12345678901234567890123},"a":{}}}"#;
    let call = TranscriptBlock::ToolUse(ToolUse {
        id: "t1".into(),
        name: "look".into(),
        title: Some("Look".into()),
        input: r#"{"z":1.0, "a":"\ud83d"}"#.into(),
    });
    let result = TranscriptBlock::ToolResult {
        tool_use_id: "t1".into(),
        is_error: false,
        output: ToolOutput::Json(r#"{"y":2,"b":[]}"#.into()),
    };
    let transcript = vec![
        message(Role::User, [TranscriptBlock::Text("Look.".into())]),
        message(Role::Assistant, [TranscriptBlock::Text("I will.".into()), call]),
        message(Role::User, [result]),
    ];
    server.converse(model_request(vec![tool("look", schema)], transcript)).await.unwrap();
    let body = server.take_body();
    let spec = format!(r#"{{"toolSpec":{{"name":"look","description":"Looks.","inputSchema":{{"json":{schema}}}}}}}"#);
    for part in [
        format!(r#""tools":[{spec}]"#),
        r#"{"toolUse":{"toolUseId":"t1","name":"look","input":{"z":1.0, "a":"\ufffd"}}}"#.to_owned(),
        r#"{"toolResult":{"toolUseId":"t1","content":[{"json":{"y":2,"b":[]}}],"status":"success"}}"#.to_owned(),
    ] {
        assert!(body.contains(&part), "{part} in {body}");
    }
    assert!(!body.contains("Look\"}"), "{body}");
}

#[tokio::test]
async fn request_of_an_agent_without_tools_has_no_tool_blocks() {
    let server = Server::start(&[]).await;
    let call = ToolUse { id: "t1".into(), name: "look".into(), title: None, input: "{}".into() };
    let output = ToolOutput::Text("Nothing.".into());
    let result = TranscriptBlock::ToolResult { tool_use_id: "t1".into(), is_error: true, output };
    let transcript = vec![
        message(Role::User, [TranscriptBlock::Text("Look.".into())]),
        message(Role::Assistant, [TranscriptBlock::ToolUse(call)]),
        message(Role::User, [result]),
    ];
    server.converse(model_request(Vec::new(), transcript)).await.unwrap();
    let body: Value = serde_json::from_str(&server.take_body()).unwrap();
    let text = |role: &str, text: &str| json!({ "role": role, "content": [{ "text": text }] });
    let expected =
        [text("user", "Look."), text("assistant", "[Tool call look: {}]"), text("user", "[Tool result: Nothing.]")];
    assert_eq!(body["messages"], json!(expected));
    assert_eq!(body.get("toolConfig"), None);
}

#[test]
fn text_and_reasoning_keep_their_block() {
    use ReasoningContentBlockDelta::{RedactedContent, Signature, Text};
    for (sent, expected) in [
        (ContentBlockDelta::Text("Hi".into()), StreamEvent::Text { block: 2, text: "Hi".into() }),
        (
            ContentBlockDelta::ReasoningContent(Text("Hm".into())),
            StreamEvent::Reasoning { block: 2, part: ReasoningPart::Text("Hm".into()) },
        ),
        (
            ContentBlockDelta::ReasoningContent(Text("[REDACTED]".into())),
            StreamEvent::Reasoning { block: 2, part: ReasoningPart::Text(String::new()) },
        ),
        (
            ContentBlockDelta::ReasoningContent(Signature("Eu0E".into())),
            StreamEvent::Reasoning { block: 2, part: ReasoningPart::Signature("Eu0E".into()) },
        ),
        (
            ContentBlockDelta::ReasoningContent(RedactedContent(Blob::new([1]))),
            StreamEvent::Reasoning { block: 2, part: ReasoningPart::Encrypted(vec![1]) },
        ),
    ] {
        assert_eq!(delta(sent), expected);
    }
}

#[test]
fn citation_names_the_search_result_and_its_text() {
    let location = SearchResultLocation::builder().search_result_index(3).start(0).end(1).build();
    let citation = CitationsDelta::builder()
        .title("A page")
        .source("s3://docs/a.md")
        .source_content(CitationSourceContentDelta::builder().text("So.").build())
        .location(CitationLocation::SearchResultLocation(location))
        .build();
    let source = Some("s3://docs/a.md".to_owned());
    let cited = CitedPassage { source, search_result_index: Some(3), text: "So.".into() };
    assert_eq!(delta(ContentBlockDelta::Citation(citation)), StreamEvent::Citation { block: 2, cited });
    let unknown = CitedPassage { source: None, search_result_index: None, text: String::new() };
    let citation = CitationsDelta::builder().title("A page").build();
    assert_eq!(delta(ContentBlockDelta::Citation(citation)), StreamEvent::Citation { block: 2, cited: unknown });
}

#[test]
fn every_stop_reason_is_translated() {
    for (bedrock, expected) in [
        ("end_turn", StopReason::EndTurn),
        ("stop_sequence", StopReason::StopSequence),
        ("max_tokens", StopReason::MaxTokens),
        ("model_context_window_exceeded", StopReason::ContextWindowExceeded),
        ("guardrail_intervened", StopReason::GuardrailIntervened),
        ("content_filtered", StopReason::ContentFiltered),
        ("malformed_model_output", StopReason::MalformedOutput),
        ("malformed_tool_use", StopReason::MalformedOutput),
        ("not_invented_yet", StopReason::Other),
    ] {
        let stop = MessageStopEvent::builder().stop_reason(bedrock.into()).build().unwrap();
        assert_eq!(
            stream_event(sdk::ConverseStreamOutput::MessageStop(stop)),
            StreamEvent::MessageStop(ModelStop::Answered(expected)),
            "{bedrock}"
        );
    }
}

#[test]
fn usage_includes_cache_tokens() {
    let usage = TokenUsage::builder().input_tokens(5).output_tokens(2).total_tokens(7);
    let usage = usage.cache_read_input_tokens(4).cache_write_input_tokens(1).build().unwrap();
    let metadata = ConverseStreamMetadataEvent::builder().usage(usage).build();
    let expected = Usage {
        input_tokens: 5,
        output_tokens: 2,
        total_tokens: 7,
        cache_read_tokens: Some(4),
        cache_write_tokens: Some(1),
    };
    assert_eq!(stream_events(sdk::ConverseStreamOutput::Metadata(metadata)), [StreamEvent::Usage(expected)]);
}

fn delta(delta: ContentBlockDelta) -> StreamEvent {
    let event = ContentBlockDeltaEvent::builder().content_block_index(2).delta(delta).build().unwrap();
    stream_event(sdk::ConverseStreamOutput::ContentBlockDelta(event))
}

fn message<const N: usize>(role: Role, content: [TranscriptBlock; N]) -> TranscriptMessage {
    TranscriptMessage { role, content: content.into() }
}

fn tool(name: &str, input_schema: &str) -> Tool {
    Tool {
        name: name.into(),
        title: None,
        description: "Looks.".into(),
        input_schema: input_schema.into(),
        effect: ToolEffect::Read,
        approval: Some(ToolApproval::Never),
        target: ToolTarget::Lambda(LambdaTool {
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:look".into(),
        }),
    }
}

fn search_result(number: usize, text: &str) -> SearchResult {
    SearchResult { number, source: "s3://docs/a.md".into(), title: "a.md".into(), text: text.into() }
}

fn question() -> Vec<TranscriptMessage> {
    vec![message(Role::User, [TranscriptBlock::Text("Look.".into())])]
}

fn model_request(tools: Vec<Tool>, transcript: Vec<TranscriptMessage>) -> ModelRequest {
    ModelRequest {
        model_id: "anthropic.claude-sonnet-5".into(),
        system_prompt: None,
        inference: InferenceSettings::default(),
        tools: tools.into(),
        transcript,
        ..ModelRequest::default()
    }
}

/// The bytes of a stream.
fn frames(events: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (event_type, payload) in events {
        let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let message = Message::new(*payload)
            .add_header(header(":event-type", event_type))
            .add_header(header(":content-type", "application/json"))
            .add_header(header(":message-type", "event"));
        write_message_to(&message, &mut stream).unwrap();
    }
    stream
}

/// A server in place of Bedrock.
struct Server {
    bedrock: Bedrock,
    /// The last body, or the operations that were called.
    last_body: Arc<Mutex<String>>,
}

impl Server {
    async fn start(events: &[(&'static str, &'static str)]) -> Self {
        let stream = frames(events);
        let last_body = Arc::new(Mutex::new(String::new()));
        let received = Arc::clone(&last_body);
        let respond = move |body: String| async move {
            *received.lock().unwrap() = body;
            ([("content-type", "application/vnd.amazon.eventstream")], stream)
        };
        Self::serve(Router::new().route("/model/{id}/converse-stream", post(respond)), last_body).await
    }

    /// Refuses each request.
    async fn refusing(message: &'static str) -> Self {
        let paths = Arc::new(Mutex::new(String::new()));
        let called = Arc::clone(&paths);
        let refuse = move || async move {
            called.lock().unwrap().push_str("converse-stream ");
            let body = json!({ "message": message }).to_string();
            (StatusCode::BAD_REQUEST, [("x-amzn-errortype", "ValidationException")], body)
        };
        Self::serve(Router::new().route("/model/{id}/converse-stream", post(refuse)), paths).await
    }

    /// Refuses each request whose body has this part. The others are answered.
    async fn refusing_part(part: &'static str, status: StatusCode, error: &'static str, message: &'static str) -> Self {
        let paths = Arc::new(Mutex::new(String::new()));
        let called = Arc::clone(&paths);
        let respond = move |body: String| async move {
            called.lock().unwrap().push_str("converse-stream ");
            if body.contains(part) {
                let body = json!({ "message": message }).to_string();
                return (status, [("x-amzn-errortype", error)], body.into_bytes()).into_response();
            }
            let stream = frames(&[("messageStop", r#"{"stopReason":"end_turn"}"#)]);
            ([("content-type", "application/vnd.amazon.eventstream")], stream).into_response()
        };
        Self::serve(Router::new().route("/model/{id}/converse-stream", post(respond)), paths).await
    }

    /// Refuses each stream as models do that take no tools in one. Converse answers.
    async fn refusing_streamed_tools() -> Self {
        let paths = Arc::new(Mutex::new(String::new()));
        let record = |path: &'static str| {
            let paths = Arc::clone(&paths);
            move || paths.lock().unwrap().push_str(path)
        };
        let (streamed, whole) = (record("converse-stream "), record("converse "));
        let refuse = || async move {
            streamed();
            let message = r#"{"message":"This model doesn't support tool use in streaming mode."}"#;
            (StatusCode::BAD_REQUEST, [("x-amzn-errortype", "ValidationException")], message)
        };
        let answer = || async move {
            whole();
            ([("content-type", "application/json")], WHOLE_ANSWER)
        };
        let router = Router::new().route("/model/{id}/converse-stream", post(refuse));
        Self::serve(router.route("/model/{id}/converse", post(answer)), paths).await
    }

    async fn serve(router: Router, last_body: Arc<Mutex<String>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        let credentials = Credentials::new("any", "any", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(endpoint)
            .build();
        Self { bedrock: Bedrock::new(&config), last_body }
    }

    async fn converse(&self, request: ModelRequest) -> Result<Vec<StreamEvent>, ModelError> {
        self.bedrock.answer(Arc::new(request)).try_collect().await
    }

    /// The operations that were called since the last time.
    fn take_paths(&self) -> Vec<String> {
        self.take_body().split_whitespace().map(str::to_owned).collect()
    }

    fn take_body(&self) -> String {
        std::mem::take(&mut self.last_body.lock().unwrap())
    }
}
