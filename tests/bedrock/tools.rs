//! The scripted model calls tools and reports their results; other models misbehave.
use std::collections::HashMap;

use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, Message, StopReason, ToolConfiguration, ToolResultBlock, ToolResultContentBlock,
    ToolResultStatus, ToolUseBlock,
};
use aws_smithy_types::Document;

use crate::sdk_client::{Bedrock, StreamResult, message, receive, tool};

/// A conversation of a user with an agent that has the tools `forecast` and `clock`.
struct Conversation {
    bedrock: Bedrock,
    model_id: &'static str,
    messages: Vec<Message>,
}

impl Conversation {
    async fn start(model_id: &'static str) -> Self {
        Self { bedrock: Bedrock::start().await, model_id, messages: Vec::new() }
    }

    async fn ask(&mut self, question: &str) -> StreamResult {
        self.messages.push(message(ConversationRole::User, question));
        self.continue_answer().await
    }

    /// Sends the results of the calls of a step.
    async fn send_results(&mut self, step: &StreamResult, results: &[ToolResultContentBlock]) -> StreamResult {
        let results = results.iter().map(|result| (result.clone(), None));
        self.send_results_with_status(step, results.collect()).await
    }

    async fn send_results_with_status(
        &mut self,
        step: &StreamResult,
        results: Vec<(ToolResultContentBlock, Option<ToolResultStatus>)>,
    ) -> StreamResult {
        let calls = step.calls.iter().map(|call| {
            let input = Document::Object(HashMap::new());
            let call = ToolUseBlock::builder().tool_use_id(&call.id).name(&call.name).input(input).build();
            ContentBlock::ToolUse(call.expect("a tool use"))
        });
        let results = step.calls.iter().zip(results).map(|(call, (content, status))| {
            let result = ToolResultBlock::builder().tool_use_id(&call.id).content(content).set_status(status).build();
            ContentBlock::ToolResult(result.expect("a tool result"))
        });
        let (calls, results) = (calls.collect(), results.collect());
        self.push(ConversationRole::Assistant, calls);
        self.push(ConversationRole::User, results);
        self.continue_answer().await
    }

    fn push(&mut self, role: ConversationRole, content: Vec<ContentBlock>) {
        let message = Message::builder().role(role).set_content(Some(content)).build();
        self.messages.push(message.expect("a message"));
    }

    async fn continue_answer(&self) -> StreamResult {
        let tools = ["forecast", "clock"].map(|name| tool(name, None));
        let tools = ToolConfiguration::builder().set_tools(Some(tools.into())).build().expect("tools");
        let request = self.bedrock.request(self.model_id).tool_config(tools);
        receive(request.set_messages(Some(self.messages.clone()))).await
    }
}

fn text(text: &str) -> ToolResultContentBlock {
    ToolResultContentBlock::Text(text.to_owned())
}

/// The names and the arguments of the calls.
fn calls(step: &StreamResult) -> Vec<(&str, String)> {
    step.calls.iter().map(|call| (call.name.as_str(), call.arguments())).collect()
}

#[tokio::test(start_paused = true)]
async fn question_makes_the_model_call_a_tool() {
    let arguments = r#"{"city": "Paris", "days": 3.0}"#;
    let mut conversation = Conversation::start("anthropic.claude").await;
    let step = conversation.ask(&format!("Please call forecast with {arguments}.")).await;
    assert_eq!(step.text(), "I am Parlance's scripted model, not a real one. I call forecast.");
    assert_eq!(calls(&step), [("forecast", arguments.to_owned())]);
    let call = &step.calls[0];
    assert_eq!(call.fragments[0], "", "the first fragment is empty");
    assert!(call.fragments.len() > 2, "{:?}", call.fragments);
    assert!(call.id.starts_with("tooluse_") && call.id.len() == 30, "{}", call.id);
    assert_eq!(step.stop, Some(StopReason::ToolUse));
    assert!(step.usage.is_some_and(|usage| usage.output_tokens > 10));
}

#[tokio::test(start_paused = true)]
async fn answer_names_each_result() {
    let mut conversation = Conversation::start("anthropic.claude").await;
    let step = conversation.ask(r#"Call forecast with {"city":"Paris"}, then tell me. Also call clock."#).await;
    assert_eq!(calls(&step), [("forecast", r#"{"city":"Paris"}"#.to_owned()), ("clock", String::new())]);
    assert_ne!(step.calls[0].id, step.calls[1].id);
    assert_eq!(step.calls[1].fragments, [""], "a call without arguments has one empty fragment");
    let sky = HashMap::from([("sky".to_owned(), Document::String("clear".to_owned()))]);
    let results = vec![
        (ToolResultContentBlock::Json(Document::Object(sky)), Some(ToolResultStatus::Success)),
        (text("The clock has stopped."), Some(ToolResultStatus::Error)),
    ];
    let answer = conversation.send_results_with_status(&step, results).await;
    assert!(
        answer
            .text()
            .ends_with(r#"The tool forecast returned: {"sky":"clear"} The tool clock failed: The clock has stopped."#),
        "{}",
        answer.text()
    );
    assert_eq!((answer.stop, answer.calls.len()), (Some(StopReason::EndTurn), 0));
}

#[tokio::test(start_paused = true)]
async fn later_call_waits_for_the_results_of_earlier_ones() {
    let mut conversation = Conversation::start("anthropic.claude").await;
    let first = conversation.ask(r#"Call clock, then call forecast with {"hour":9}."#).await;
    assert_eq!(calls(&first), [("clock", String::new())]);
    let second = conversation.send_results(&first, &[text("nine")]).await;
    assert_eq!(calls(&second), [("forecast", r#"{"hour":9}"#.to_owned())]);
    assert_eq!(second.stop, Some(StopReason::ToolUse));
    let answer = conversation.send_results(&second, &[text("rain")]).await;
    assert!(
        answer.text().ends_with("The tool clock returned: nine The tool forecast returned: rain"),
        "{}",
        answer.text()
    );
}

#[tokio::test(start_paused = true)]
async fn next_question_after_tool_calls_is_answered_as_any_other() {
    let mut conversation = Conversation::start("anthropic.claude").await;
    let step = conversation.ask("Call clock.").await;
    let answer = conversation.send_results(&step, &[text("nine")]).await;
    conversation.push(ConversationRole::Assistant, vec![ContentBlock::Text(answer.text())]);
    let next = conversation.ask("And how are you?").await;
    assert!(next.text().contains("Now you ask: “And how are you?”."), "{}", next.text());
    assert!(
        next.text().ends_with(
            "I have the tools forecast, clock. I call one if you write, for example: call forecast with {}."
        )
    );
    assert_eq!(next.stop, Some(StopReason::EndTurn));
}

#[tokio::test(start_paused = true)]
async fn model_without_this_tool_does_not_call_it() {
    let result = Bedrock::start().await.send_text("anthropic.claude", "Call forecast.").await;
    assert_eq!((result.calls.len(), result.stop), (0, Some(StopReason::EndTurn)));
    let result = Conversation::start("anthropic.claude").await.ask("Call stocks.").await;
    assert_eq!((result.calls.len(), result.stop), (0, Some(StopReason::EndTurn)));
}

#[tokio::test(start_paused = true)]
async fn faulty_models_misuse_tools() {
    let no_json = r#"{"city": "Par"#;
    type Calls = Vec<(&'static str, &'static str)>;
    let cases: [(&str, Calls, Option<StopReason>); 11] = [
        ("parlance.tools.unknown", vec![("no_such_tool", "{}")], Some(StopReason::ToolUse)),
        ("parlance.tools.no-json", vec![("forecast", no_json)], Some(StopReason::ToolUse)),
        ("parlance.tools.list", vec![("forecast", r#"["Paris"]"#)], Some(StopReason::ToolUse)),
        ("parlance.tools.no-arguments", vec![("forecast", "")], Some(StopReason::ToolUse)),
        ("parlance.tools.duplicate-id", vec![("forecast", "{}"), ("forecast", "{}")], Some(StopReason::ToolUse)),
        ("parlance.tools.no-call", vec![], Some(StopReason::ToolUse)),
        ("parlance.tools.endless", vec![("forecast", "{}")], Some(StopReason::ToolUse)),
        ("parlance.tools.many", vec![("forecast", "{}"); 40], Some(StopReason::ToolUse)),
        ("parlance.tools.cut", vec![("forecast", no_json)], None),
        ("parlance.tools.max-tokens", vec![("forecast", no_json)], Some(StopReason::MaxTokens)),
        ("parlance.tools.malformed", vec![], Some(StopReason::MalformedToolUse)),
    ];
    for (model_id, expected, stop) in cases {
        let step = Conversation::start(model_id).await.ask("Hello").await;
        let expected: Vec<_> = expected.iter().map(|(name, arguments)| (*name, (*arguments).to_owned())).collect();
        assert_eq!((calls(&step), &step.stop), (expected, &stop), "{model_id}");
        let has_duplicate =
            step.calls.iter().any(|call| call.id == step.calls[0].id && !std::ptr::eq(call, &step.calls[0]));
        assert_eq!(has_duplicate, model_id == "parlance.tools.duplicate-id", "{model_id}");
        assert_eq!(step.code(), (model_id == "parlance.tools.cut").then_some("connection"), "{model_id}");
    }
    let step = Conversation::start("parlance.tools.long").await.ask("Hello").await;
    assert_eq!(step.calls[0].arguments().len(), 100_000 + r#"{"city":""}"#.len());
}

#[tokio::test(start_paused = true)]
async fn misused_tools_are_answered_but_for_the_endless_model() {
    for (model_id, stop) in [
        ("parlance.tools.unknown", StopReason::EndTurn),
        ("parlance.tools.many", StopReason::EndTurn),
        ("parlance.tools.endless", StopReason::ToolUse),
    ] {
        let mut conversation = Conversation::start(model_id).await;
        let step = conversation.ask("Hello").await;
        let results = vec![text("refused"); step.calls.len()];
        assert_eq!(conversation.send_results(&step, &results).await.stop, Some(stop), "{model_id}");
    }
}
