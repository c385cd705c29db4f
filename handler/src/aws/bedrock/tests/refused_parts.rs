//! Requests with cache points, reasoning and guardrails, and what becomes of them where a model refuses a
//! part.
use turn::model::{
    Guardrail, GuardrailMode, PromptCaching, ReasoningEffort, ReasoningSettings, ToolOutput, TranscriptBlock,
};

use super::*;

const ENDED: [(&str, &str); 1] = [("messageStop", r#"{"stopReason":"end_turn"}"#)];
const NO_CACHING: &str = "You invoked an unsupported model or your request did not allow prompt caching. See the \
    documentation for more information.";

fn long_question() -> Vec<TranscriptMessage> {
    vec![message(Role::User, [TranscriptBlock::Text("Why? ".repeat(1000))])]
}

fn reasoning() -> Option<ReasoningSettings> {
    Some(ReasoningSettings { effort: Some(ReasoningEffort::Low), budget_tokens: None })
}

fn guardrail(newest_message_only: bool) -> Guardrail {
    Guardrail { id: "gr1".into(), version: "2".into(), mode: GuardrailMode::Async, newest_message_only }
}

fn thought(signature: Option<&str>) -> TranscriptBlock {
    let signature = signature.map(str::to_owned);
    TranscriptBlock::Reasoning(Reasoning { text: " Hm.\n".into(), signature, ..Reasoning::default() })
}

/// The transcript of an answer that goes on after a call, with the reasoning before it.
fn open_loop(thought: TranscriptBlock) -> Vec<TranscriptMessage> {
    let call = ToolUse { id: "a".into(), name: "look".into(), title: None, input: "{}".into() };
    let output = ToolOutput::Text("Seen.".into());
    let result = TranscriptBlock::ToolResult { tool_use_id: "a".into(), is_error: false, output };
    vec![
        message(Role::User, [TranscriptBlock::Text("Look.".into())]),
        message(Role::Assistant, [thought, TranscriptBlock::ToolUse(call)]),
        message(Role::User, [result]),
    ]
}

async fn body_of(request: ModelRequest) -> Value {
    let server = Server::start(&ENDED).await;
    server.converse(request).await.unwrap();
    serde_json::from_str(&server.take_body()).unwrap()
}

#[tokio::test]
async fn request_has_cache_points_after_the_tools_the_system_prompt_and_the_newest_message() {
    let schema = format!(r#"{{"type":"object","description":"{}"}}"#, "s".repeat(5000));
    let mut request = model_request(vec![tool("look", &schema)], long_question());
    request.system_prompt = Some("Be brief.".into());
    request.prompt_caching = PromptCaching::OneHour;
    let body = body_of(request).await;
    let point = json!({ "cachePoint": { "type": "default", "ttl": "1h" } });
    assert_eq!(body["toolConfig"]["tools"][1], point);
    assert_eq!(body["system"][1], point);
    assert_eq!(body["messages"][0]["content"][1], point);
    let off = ModelRequest { prompt_caching: PromptCaching::Off, ..model_request(Vec::new(), long_question()) };
    assert!(!body_of(off).await.to_string().contains("cachePoint"));
}

#[tokio::test]
async fn reasoning_is_asked_for_and_given_back_byte_for_byte() {
    let mut request = model_request(vec![tool("look", r#"{"type":"object"}"#)], open_loop(thought(Some("Eu0E"))));
    request.reasoning = reasoning();
    request.inference.max_tokens = Some(100);
    let body = body_of(request.clone()).await;
    assert_eq!(body["additionalModelRequestFields"]["output_config"], json!({ "effort": "low" }));
    assert_eq!(body["inferenceConfig"]["maxTokens"], 4196);
    let expected = json!({ "reasoningContent": { "reasoningText": { "text": " Hm.\n", "signature": "Eu0E" } } });
    assert_eq!(body["messages"][1]["content"][0], expected);
    // Without its signature the model would refuse it, and without the reasoning it must not be asked to
    // reason.
    let unsigned = body_of(ModelRequest { transcript: open_loop(thought(None)), ..request.clone() }).await;
    assert!(unsigned["messages"][1]["content"][0].get("toolUse").is_some());
    assert_eq!(unsigned.get("additionalModelRequestFields"), None);
    let other = ModelRequest { model_id: "openai.gpt-oss-20b-1:0".into(), ..request };
    let body = body_of(other).await;
    assert!(body["messages"][1]["content"][0].get("toolUse").is_some(), "this family never gets reasoning");
    assert_eq!(body["additionalModelRequestFields"], json!({ "reasoning_effort": "low" }));
}

#[tokio::test]
async fn guardrail_is_in_the_request_and_assesses_the_newest_text() {
    for (newest_message_only, expected) in
        [(true, json!({ "guardContent": { "text": { "text": "Look." } } })), (false, json!({ "text": "Look." }))]
    {
        let mut request = model_request(Vec::new(), question());
        request.guardrail = Some(guardrail(newest_message_only));
        let body = body_of(request).await;
        assert_eq!(body["messages"][0]["content"][0], expected);
        let expected = json!({
            "guardrailIdentifier": "gr1", "guardrailVersion": "2", "trace": "enabled",
            "streamProcessingMode": "async",
        });
        assert_eq!(body["guardrailConfig"], expected);
    }
}

#[tokio::test]
async fn guardrail_that_intervenes_is_told_before_the_usage() {
    let server = Server::start(&[
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Blocked."},"p":"ab"}"#),
        ("messageStop", r#"{"stopReason":"guardrail_intervened"}"#),
        (
            "metadata",
            r#"{"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"metrics":{"latencyMs":1},"trace":{
            "guardrail":{"inputAssessment":{"gr1":{"topicPolicy":{"topics":[{"name":"recipes","type":"DENY",
            "action":"BLOCKED","detected":true}]}}}}}}"#,
        ),
    ])
    .await;
    let events = server.converse(model_request(Vec::new(), question())).await.unwrap();
    let [.., StreamEvent::Guardrail(findings), StreamEvent::Usage(_)] = &events[..] else { panic!("{events:?}") };
    assert!(findings.is_blocked && findings.policies == [api::types::GuardrailPolicy::Topic]);
}

#[tokio::test]
async fn model_that_refuses_cache_points_gets_none_from_then_on() {
    let server = Server::refusing_part("cachePoint", StatusCode::FORBIDDEN, "AccessDeniedException", NO_CACHING).await;
    for expected in [2, 1] {
        server.converse(model_request(Vec::new(), long_question())).await.unwrap();
        assert_eq!(server.take_paths().len(), expected);
    }
}

#[tokio::test]
async fn model_that_refuses_to_be_asked_for_reasoning_is_not_asked_again() {
    let message = "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
        \"output_config.effort\" to control thinking behavior.";
    let server = Server::refusing_part("\"thinking\"", StatusCode::BAD_REQUEST, "ValidationException", message).await;
    for expected in [2, 1] {
        let request = ModelRequest { reasoning: reasoning(), ..model_request(Vec::new(), question()) };
        server.converse(request).await.unwrap();
        assert_eq!(server.take_paths().len(), expected);
    }
}

#[tokio::test]
async fn reasoning_that_is_refused_in_one_transcript_is_asked_for_in_the_next() {
    let message = "messages.1.content.0: Invalid `signature` in `thinking` block";
    let server =
        Server::refusing_part("reasoningContent", StatusCode::BAD_REQUEST, "ValidationException", message).await;
    for _ in 0..2 {
        let tools = vec![tool("look", r#"{"type":"object"}"#)];
        let mut request = model_request(tools, open_loop(thought(Some("other"))));
        request.reasoning = reasoning();
        server.converse(request).await.unwrap();
        assert_eq!(server.take_paths().len(), 2);
    }
}

/// Each message with the part that it refuses. The texts were recorded, or are those of the service model.
#[tokio::test]
async fn each_recorded_refusal_costs_one_more_request_and_no_more() {
    for (part, status, error, message) in [
        ("cachePoint", StatusCode::FORBIDDEN, "AccessDeniedException", NO_CACHING),
        ("thinking", StatusCode::BAD_REQUEST, "ValidationException", "thinking: Extra inputs are not permitted"),
        (
            "\"temperature\"",
            StatusCode::BAD_REQUEST,
            "ValidationException",
            "The model returned the following errors: `temperature` is deprecated for this model.",
        ),
    ] {
        let server = Server::refusing_part(part, status, error, message).await;
        let mut request = model_request(Vec::new(), long_question());
        request.model_id = "us.anthropic.claude-haiku-4-5-20251001-v1:0".into();
        request.transcript = vec![message_of(20_000)];
        if part == "thinking" {
            request.reasoning = reasoning();
        } else {
            request.inference.temperature = Some(0.5);
        }
        server.converse(request).await.unwrap();
        assert_eq!(server.take_paths().len(), 2, "{part}");
    }
}

fn message_of(bytes: usize) -> TranscriptMessage {
    message(Role::User, [TranscriptBlock::Text("w".repeat(bytes))])
}

#[tokio::test]
async fn setting_that_is_refused_beside_another_is_sent_alone() {
    let server = Server::start(&ENDED).await;
    let mut request = model_request(Vec::new(), question());
    request.model_id = "anthropic.claude-haiku-4-5-20251001-v1:0".into();
    request.inference.top_p = Some(0.5);
    let alone = request.clone();
    request.inference.temperature = Some(0.5);
    server.converse(request).await.unwrap();
    let body: Value = serde_json::from_str(&server.take_body()).unwrap();
    assert_eq!(body["inferenceConfig"].get("topP"), None);
    server.converse(alone).await.unwrap();
    let body: Value = serde_json::from_str(&server.take_body()).unwrap();
    assert_eq!(body["inferenceConfig"]["topP"], 0.5, "another agent of the model has topP alone");
}

#[tokio::test]
async fn denied_access_to_a_model_with_such_a_name_is_no_refusal_of_reasoning() {
    let denied = "User: arn:aws:sts::111122223333:assumed-role/handler is not authorized to perform: \
        bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:us-east-1::foundation-model/x.reasoning-1";
    let server = Server::refusing_part("messages", StatusCode::FORBIDDEN, "AccessDeniedException", denied).await;
    let request = ModelRequest { reasoning: reasoning(), ..model_request(Vec::new(), question()) };
    let failed = ModelError::Failed(api::types::FailureCode::ModelNotAllowed);
    assert_eq!(server.converse(request).await, Err(failed));
    assert_eq!(server.take_paths().len(), 1, "the request is not repeated");
}
