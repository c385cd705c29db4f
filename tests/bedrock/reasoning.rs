//! Models that think before they speak, and their thoughts sent back to them.
use aws_sdk_bedrockruntime::types::{
    ContentBlock,
    ConversationRole::{Assistant, User},
    InferenceConfiguration, Message, ReasoningContentBlock, ReasoningTextBlock, StopReason, ToolConfiguration,
    ToolResultBlock, ToolResultContentBlock, ToolUseBlock,
};
use serde_json::{Value, json};

use crate::sdk_client::{Bedrock, StreamResult, document, message, message_of, receive, tool};

const BUDGET_MODEL: &str = "global.anthropic.claude-sonnet-4-5-20250929-v1:0";
const ADAPTIVE_MODEL: &str = "global.anthropic.claude-opus-4-8";

fn budget() -> Value {
    json!({ "thinking": { "type": "enabled", "budget_tokens": 2_048 } })
}

fn adaptive() -> Value {
    let thinking = json!({ "type": "adaptive", "display": "summarized" });
    json!({ "thinking": thinking, "output_config": { "effort": "low" } })
}

async fn ask(bedrock: &Bedrock, model_id: &str, fields: Value, messages: Vec<Message>) -> StreamResult {
    let tools = ToolConfiguration::builder().tools(tool("clock", None)).build().expect("tools");
    let request = bedrock.request(model_id).tool_config(tools).set_messages(Some(messages));
    receive(request.additional_model_request_fields(document(fields))).await
}

async fn ask_text(model_id: &str, fields: Value, text: &str) -> StreamResult {
    ask(&Bedrock::start().await, model_id, fields, vec![message(User, text)]).await
}

#[tokio::test(start_paused = true)]
async fn thoughts_with_one_signature_come_before_the_answer() {
    for (model_id, fields) in
        [(BUDGET_MODEL, budget()), (ADAPTIVE_MODEL, adaptive()), ("parlance.reasoning", json!({}))]
    {
        let plain = ask_text(BUDGET_MODEL, json!({}), "Why?").await;
        assert_eq!((plain.reasoning.deltas.len(), plain.blocks.len()), (0, 1), "nobody has asked for thoughts");
        let result = ask_text(model_id, fields, "Why?").await;
        assert_eq!(result.blocks, [(0, "reasoning"), (1, "text")], "{model_id}");
        assert!(result.reasoning.deltas.concat().starts_with("The user says: “Why?”."), "{model_id}");
        assert_eq!(result.reasoning.signatures.iter().map(String::len).collect::<Vec<_>>(), [896], "{model_id}");
        assert_eq!(result.text(), plain.text(), "{model_id}");
        let thoughts = result.reasoning.deltas.len() as i32;
        let output_tokens = |result: &StreamResult| result.usage.as_ref().expect("usage").output_tokens;
        assert_eq!(output_tokens(&result), output_tokens(&plain) + thoughts, "{model_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn thoughts_may_be_unreadable_unsigned_alone_or_left_out() {
    let redacted = ask_text(BUDGET_MODEL, budget(), "Please think in secret.").await;
    assert_eq!((redacted.reasoning.deltas.len(), redacted.reasoning.redacted.len()), (0, 1));
    assert_eq!(redacted.blocks, [(0, "reasoning"), (1, "text")]);
    let only = ask_text(BUDGET_MODEL, budget(), "Please only think.").await;
    assert_eq!((only.blocks.as_slice(), only.stop), (&[(0, "reasoning")][..], Some(StopReason::EndTurn)));
    let omitted = ask_text(ADAPTIVE_MODEL, json!({ "thinking": { "type": "adaptive" } }), "Why?").await;
    assert_eq!((omitted.reasoning.deltas.len(), omitted.reasoning.signatures.len()), (0, 1));
    for (model_id, fields, text) in [
        (
            "us.amazon.nova-2-lite-v1:0",
            json!({ "reasoningConfig": { "type": "enabled", "maxReasoningEffort": "low" } }),
            "[REDACTED]",
        ),
        ("openai.gpt-oss-20b-1:0", json!({ "reasoning_effort": "low" }), "The user says"),
        ("us.deepseek.v3.2", json!({}), "The user says"),
        ("parlance.reasoning-unsigned", json!({}), "The user says"),
    ] {
        let result = ask_text(model_id, fields, "Why?").await;
        assert!(result.reasoning.deltas.concat().starts_with(text), "{model_id}");
        assert_eq!((result.reasoning.signatures.len(), result.blocks.len()), (0, 2), "{model_id}");
    }
    let long = ask_text("parlance.reasoning-long", json!({}), "Why?").await;
    assert!((5_000..5_300).contains(&long.reasoning.deltas.len()), "{}", long.reasoning.deltas.len());
}

#[tokio::test(start_paused = true)]
async fn token_limit_includes_the_thoughts() {
    let bedrock = Bedrock::start().await;
    let ask = |limit| {
        let limit = InferenceConfiguration::builder().max_tokens(limit).build();
        receive(bedrock.request("parlance.reasoning").messages(message(User, "Why?")).inference_config(limit))
    };
    let cut = ask(10).await;
    assert_eq!((cut.reasoning.deltas.len(), cut.reasoning.signatures.len(), cut.deltas.len()), (10, 0, 0));
    assert_eq!(cut.stop, Some(StopReason::MaxTokens));
    let thoughts = ask(1_000).await.reasoning.deltas.len();
    let answer = ask(thoughts as i32 + 5).await;
    assert_eq!((answer.deltas.len(), answer.stop), (5, Some(StopReason::MaxTokens)));
}

/// A first step with thoughts and a call, and what is sent back of it.
struct Loop {
    bedrock: Bedrock,
    model_id: &'static str,
    fields: Value,
    reasoning: ContentBlock,
    call: ContentBlock,
    result: ContentBlock,
    question: &'static str,
}

impl Loop {
    async fn start(model_id: &'static str, fields: Value, question: &'static str) -> Self {
        let bedrock = Bedrock::start().await;
        let step = ask(&bedrock, model_id, fields.clone(), vec![message(User, question)]).await;
        assert_eq!(step.blocks, [(0, "reasoning"), (1, "text"), (2, "tool use")], "{step:?}");
        let call = ToolUseBlock::builder().tool_use_id(&step.calls[0].id).name("clock").input(document(json!({})));
        let result = ToolResultBlock::builder().tool_use_id(&step.calls[0].id);
        let result = result.content(ToolResultContentBlock::Text("nine".into())).build().expect("a result");
        Self {
            reasoning: reasoning_block(&step),
            call: ContentBlock::ToolUse(call.build().expect("a call")),
            result: ContentBlock::ToolResult(result),
            bedrock,
            model_id,
            fields,
            question,
        }
    }

    async fn send_back(&self, blocks: impl IntoIterator<Item = ContentBlock>) -> StreamResult {
        let messages = vec![
            message(User, self.question),
            message_of(Assistant, blocks.into_iter().chain([self.call.clone()])),
            message_of(User, [self.result.clone()]),
        ];
        ask(&self.bedrock, self.model_id, self.fields.clone(), messages).await
    }
}

fn reasoning_block(step: &StreamResult) -> ContentBlock {
    let reasoning = &step.reasoning;
    ContentBlock::ReasoningContent(match reasoning.redacted.first() {
        Some(data) => ReasoningContentBlock::RedactedContent(data.clone()),
        None => reasoning_text(&reasoning.deltas.concat(), reasoning.signatures.first().map(String::as_str)),
    })
}

fn reasoning_text(text: &str, signature: Option<&str>) -> ReasoningContentBlock {
    let block = ReasoningTextBlock::builder().text(text).set_signature(signature.map(str::to_owned)).build();
    ReasoningContentBlock::ReasoningText(block.expect("a text"))
}

#[tokio::test(start_paused = true)]
async fn thoughts_are_sent_back_unchanged_while_tools_are_called() {
    for (model_id, fields, question) in [
        (BUDGET_MODEL, budget(), "Call clock."),
        (ADAPTIVE_MODEL, adaptive(), "Call clock."),
        (BUDGET_MODEL, budget(), "Call clock and think in secret."),
        ("parlance.reasoning", json!({}), "Call clock."),
    ] {
        let open = Loop::start(model_id, fields, question).await;
        let answer = open.send_back([open.reasoning.clone()]).await;
        assert_eq!(answer.failure, None, "{model_id}: {:?}", answer.message);
        assert!(answer.text().ends_with("The tool clock returned: nine"), "{model_id}: {}", answer.text());
        assert_eq!(answer.blocks, [(0, "reasoning"), (1, "text")], "{model_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_or_missing_thoughts_are_refused() {
    let open = Loop::start(BUDGET_MODEL, budget(), "Call clock.").await;
    let ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(block)) = &open.reasoning else {
        panic!("{:?}", open.reasoning)
    };
    let prefix = "The model returned the following errors: messages.1.content.0";
    let trimmed = reasoning_text(block.text().trim_end_matches('.'), block.signature());
    let unsigned = reasoning_text(block.text(), None);
    let cases = [
        (Some(trimmed), ": Invalid `signature` in `thinking` block"),
        (Some(unsigned), ".thinking.signature: Field required"),
        (None, ".type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled"),
    ];
    for (block, expected) in cases {
        let refused = open.send_back(block.map(ContentBlock::ReasoningContent)).await;
        let message = refused.message.expect("a message");
        assert!(message.starts_with(&format!("{prefix}{expected}")), "{message}");
    }
    // The thoughts of another model are refused, too.
    let other = Loop { model_id: "global.anthropic.claude-opus-4-5", ..open };
    let refused = other.send_back([other.reasoning.clone()]).await;
    assert!(refused.message.is_some_and(|text| text.ends_with("Invalid `signature` in `thinking` block")));
}

#[tokio::test(start_paused = true)]
async fn unsigned_thoughts_are_not_taken_back() {
    let text = "User messages cannot contain reasoning content. Please remove the reasoning content and try again.";
    for model_id in ["us.deepseek.v3.2", "openai.gpt-oss-20b-1:0", "parlance.reasoning-unsigned"] {
        let open = Loop::start(model_id, json!({}), "Call clock.").await;
        let refused = open.send_back([open.reasoning.clone()]).await;
        assert_eq!(
            (refused.code(), refused.message.as_deref()),
            (Some("ValidationException"), Some(text)),
            "{model_id}"
        );
        assert_eq!(open.send_back([]).await.failure, None, "{model_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn whole_answer_has_the_thoughts_as_its_first_block() {
    let bedrock = Bedrock::start().await;
    let request = bedrock.client.converse().model_id(BUDGET_MODEL).messages(message(User, "Why?"));
    let response = request.additional_model_request_fields(document(budget())).send().await.expect("an answer");
    let output = response.output.expect("an output");
    let content = output.as_message().expect("a message").content();
    let reasoning = content[0].as_reasoning_content().expect("reasoning").as_reasoning_text().expect("a text");
    assert!(reasoning.text().starts_with("The user says") && reasoning.signature().is_some());
    assert!(content[1].as_text().is_ok());
}
