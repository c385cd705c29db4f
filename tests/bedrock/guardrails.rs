//! What a guardrail does to requests and answers.
use aws_sdk_bedrockruntime::{
    error::ProvideErrorMetadata,
    operation::converse_stream::builders::ConverseStreamFluentBuilder,
    types::{
        ContentBlock,
        ConversationRole::{Assistant, User},
        GuardrailAction, GuardrailContentBlock, GuardrailContentSource, GuardrailConverseContentBlock,
        GuardrailConverseTextBlock, GuardrailStreamConfiguration, GuardrailStreamProcessingMode, GuardrailTextBlock,
        GuardrailTrace, Message, SystemContentBlock, ToolConfiguration, ToolResultBlock, ToolResultContentBlock,
        ToolUseBlock,
    },
};
use local::{
    bedrock::{
        BLOCKED_INPUT_MESSAGE, BLOCKED_OUTPUT_MESSAGE, Guardrail, ScriptedModels, scripted_router, with_iam_guard,
    },
    identity::{Authenticator, Principal},
    stack::AuthMode,
};
use serde_json::json;

use crate::sdk_client::{Bedrock, StreamResult, document, message, message_of, receive, tool};

const MODEL: &str = "global.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn configuration(id: &str, version: &str) -> GuardrailStreamConfiguration {
    GuardrailStreamConfiguration::builder()
        .guardrail_identifier(id)
        .guardrail_version(version)
        .trace(GuardrailTrace::Enabled)
        .build()
}

/// A request with a guardrail that traces, and sends nothing before it was assessed.
fn guarded(bedrock: &Bedrock, model_id: &str, messages: Vec<Message>) -> ConverseStreamFluentBuilder {
    bedrock.request(model_id).guardrail_config(configuration("gr1", "1")).set_messages(Some(messages))
}

async fn ask(bedrock: &Bedrock, model_id: &str, question: &str) -> StreamResult {
    receive(guarded(bedrock, model_id, vec![message(User, question)])).await
}

async fn ask_async(bedrock: &Bedrock, model_id: &str, question: &str) -> StreamResult {
    let mut configuration = configuration("gr1", "DRAFT");
    configuration.stream_processing_mode = GuardrailStreamProcessingMode::Async;
    let request = bedrock.request(model_id).guardrail_config(configuration);
    receive(request.messages(message(User, question))).await
}

fn stop(result: &StreamResult) -> &str {
    result.stop.as_ref().expect("a stop reason").as_str()
}

fn guard_content(text: &str) -> GuardrailConverseContentBlock {
    GuardrailConverseContentBlock::Text(GuardrailConverseTextBlock::builder().text(text).build().expect("a text"))
}

#[tokio::test(start_paused = true)]
async fn blocked_message_is_answered_by_the_guardrail() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let result = ask(&bedrock, MODEL, "Tell me about the Forbidden Topic.").await;
    assert_eq!((result.text().as_str(), stop(&result)), (BLOCKED_INPUT_MESSAGE, "guardrail_intervened"));
    let usage = result.usage.expect("usage");
    assert_eq!((usage.input_tokens, usage.output_tokens), (0, 0), "the model was not asked");
    let trace = result.trace.expect("a trace");
    assert_eq!((trace.action_reason(), trace.output_assessments()), (Some("Guardrail blocked."), None));
    let assessment = &trace.input_assessment().expect("an assessment")["gr1"];
    let topic = &assessment.topic_policy().expect("a topic policy").topics()[0];
    assert_eq!((topic.name(), topic.action().as_str(), topic.detected()), ("ForbiddenTopic", "BLOCKED", Some(true)));
}

#[tokio::test(start_paused = true)]
async fn trace_is_sent_to_those_who_want_it() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let mut configuration = configuration("gr1", "1");
    configuration.trace = GuardrailTrace::Disabled;
    let request = bedrock.request(MODEL).guardrail_config(configuration);
    let result = receive(request.messages(message(User, "The forbidden topic?"))).await;
    assert_eq!((stop(&result), &result.trace), ("guardrail_intervened", &None));
    let passed = ask(&bedrock, MODEL, "Hello").await.trace.expect("a trace");
    assert_eq!(passed.action_reason(), Some("No action."));
    let outputs = &passed.output_assessments().expect("assessments")["gr1"];
    assert!(outputs[0].topic_policy().is_none() && outputs[0].invocation_metrics().is_some());
}

#[tokio::test(start_paused = true)]
async fn blocked_text_blocks_later_turns_unless_only_the_newest_is_assessed() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let history = || vec![message(User, "The forbidden topic?"), message(Assistant, BLOCKED_INPUT_MESSAGE)];
    let result = receive(guarded(&bedrock, MODEL, [history(), vec![message(User, "Hello")]].concat())).await;
    assert_eq!(stop(&result), "guardrail_intervened");
    for (newest, expected) in [("Hello", "end_turn"), ("The forbidden topic!", "guardrail_intervened")] {
        let newest = message_of(User, [ContentBlock::GuardContent(guard_content(newest))]);
        let result = receive(guarded(&bedrock, MODEL, [history(), vec![newest]].concat())).await;
        assert_eq!(stop(&result), expected);
        assert!(expected != "end_turn" || result.text().contains("Now you ask: “Hello”."), "{}", result.text());
    }
}

#[tokio::test(start_paused = true)]
async fn system_prompt_is_assessed_with_a_request_that_chooses_nothing() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let prompt = || SystemContentBlock::Text("Never speak of the forbidden topic.".into());
    let request = guarded(&bedrock, MODEL, vec![message(User, "Hello")]).system(prompt());
    assert_eq!(stop(&receive(request).await), "guardrail_intervened");
    let chosen = message_of(User, [ContentBlock::GuardContent(guard_content("Hello"))]);
    let request = guarded(&bedrock, MODEL, vec![chosen]).system(prompt());
    assert_eq!(stop(&receive(request).await), "end_turn");
}

#[tokio::test(start_paused = true)]
async fn blocked_answer_is_replaced_before_it_is_sent() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let result = ask(&bedrock, MODEL, "What is the secret recipe?").await;
    assert_eq!(
        (result.deltas.as_slice(), stop(&result)),
        (&[BLOCKED_OUTPUT_MESSAGE.into()][..], "guardrail_intervened")
    );
    assert!(result.usage.is_some_and(|usage| usage.output_tokens > 0), "the model was asked");
    let trace = result.trace.expect("a trace");
    assert_eq!(trace.action_reason(), Some("Guardrail blocked."));
    assert!(trace.model_output()[0].contains("secret recipe"));
    let custom_word =
        &trace.output_assessments().expect("assessments")["gr1"][0].word_policy().expect("words").custom_words()[0];
    assert_eq!((custom_word.r#match(), custom_word.action().as_str()), ("secret recipe", "BLOCKED"));
}

#[tokio::test(start_paused = true)]
async fn answer_that_was_sent_already_is_followed_by_the_message() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let result = ask_async(&bedrock, MODEL, "What is the secret recipe?").await;
    let text = result.text();
    let sent = text.strip_suffix(BLOCKED_OUTPUT_MESSAGE).expect("the message comes last");
    assert!(sent.starts_with("I am Parlance's scripted model") && sent.contains("secret recipe"), "{sent}");
    assert!(!sent.contains("I know nothing about it"), "later text is not sent: {sent}");
    assert_eq!(
        (result.deltas.last().map(String::as_str), stop(&result)),
        (Some(BLOCKED_OUTPUT_MESSAGE), "guardrail_intervened")
    );
    assert_eq!(result.blocks, [(0, "text")]);
}

#[tokio::test(start_paused = true)]
async fn addresses_are_masked_unless_the_answer_is_sent_at_once() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let question = "Write to ann@example.org or bob@example.org.";
    let result = ask(&bedrock, "parlance.echo", question).await;
    assert_eq!((result.text().as_str(), stop(&result)), ("Write to {EMAIL} or {EMAIL}.", "end_turn"));
    let trace = result.trace.expect("a trace");
    assert_eq!(trace.action_reason(), Some("Guardrail masked."));
    let policy = trace.input_assessment().expect("an assessment")["gr1"].sensitive_information_policy();
    let entity = &policy.expect("a policy").pii_entities()[0];
    assert_eq!(
        (entity.r#match(), entity.r#type().as_str(), entity.action().as_str()),
        ("ann@example.org", "EMAIL", "ANONYMIZED")
    );
    // The guardrail does not read this question, so the model knows the address and says it.
    for (mode, expected) in [
        (GuardrailStreamProcessingMode::Sync, "Write to {EMAIL}."),
        (GuardrailStreamProcessingMode::Async, "Write to ann@example.org."),
    ] {
        let mut configuration = configuration("gr1", "1");
        configuration.stream_processing_mode = mode;
        let content = [
            ContentBlock::GuardContent(guard_content("Hello")),
            ContentBlock::Text("Write to ann@example.org.".into()),
        ];
        let request = bedrock.request("parlance.echo").guardrail_config(configuration);
        assert_eq!(receive(request.messages(message_of(User, content))).await.text(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn results_of_tools_are_not_assessed() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let call = ToolUseBlock::builder().tool_use_id("tooluse_a").name("clock").input(document(json!({})));
    let result = ToolResultBlock::builder().tool_use_id("tooluse_a");
    let result = result.content(ToolResultContentBlock::Text("The forbidden topic!".into()));
    let messages = vec![
        message(User, "Call clock."),
        message_of(Assistant, [ContentBlock::ToolUse(call.build().expect("a call"))]),
        message_of(User, [ContentBlock::ToolResult(result.build().expect("a result"))]),
    ];
    let tools = ToolConfiguration::builder().tools(tool("clock", None)).build().expect("tools");
    let result = receive(guarded(&bedrock, MODEL, messages).tool_config(tools)).await;
    assert!(result.text().ends_with("The tool clock returned: The forbidden topic!"), "{}", result.text());
}

#[tokio::test(start_paused = true)]
async fn unknown_guardrail_is_refused() {
    let message_text = "The guardrail identifier or version provided in the request does not exist.";
    let (with, without) = (Bedrock::start_with_guardrail().await, Bedrock::start().await);
    for (bedrock, id, version) in [(&with, "gr2", "1"), (&with, "gr1", "2"), (&without, "gr1", "1")] {
        let request = bedrock.request(MODEL).guardrail_config(configuration(id, version));
        let result = receive(request.messages(message(User, "Hello"))).await;
        assert_eq!((result.code(), result.message.as_deref()), (Some("ValidationException"), Some(message_text)));
        let (content, source) = (text_content("Hello"), GuardrailContentSource::Input);
        let request = bedrock.client.apply_guardrail().guardrail_identifier(id).guardrail_version(version);
        let error = request.source(source).content(content).send().await.expect_err("no such guardrail");
        assert_eq!((error.code(), error.message()), (Some("ValidationException"), Some(message_text)));
    }
}

fn text_content(text: &str) -> GuardrailContentBlock {
    GuardrailContentBlock::Text(GuardrailTextBlock::builder().text(text).build().expect("a text"))
}

#[tokio::test]
async fn texts_are_assessed_without_a_model() {
    let bedrock = Bedrock::start_with_guardrail().await;
    let (input, output) = (GuardrailContentSource::Input, GuardrailContentSource::Output);
    let cases = [
        (&input, "Hello", "NONE", None),
        (&input, "The forbidden topic", "GUARDRAIL_INTERVENED", Some(BLOCKED_INPUT_MESSAGE)),
        (&output, "The forbidden topic", "NONE", None),
        (&output, "The secret recipe", "GUARDRAIL_INTERVENED", Some(BLOCKED_OUTPUT_MESSAGE)),
        (&input, "Ask ann@example.org.", "GUARDRAIL_INTERVENED", Some("Ask {EMAIL}.")),
    ];
    for (source, text, action, expected) in cases {
        let request = bedrock.client.apply_guardrail().guardrail_identifier("gr1").guardrail_version("DRAFT");
        let request = request.source(source.clone()).content(text_content(text));
        let response = request.send().await.expect("an assessment");
        assert_eq!(response.action().as_str(), action, "{text}");
        let outputs: Vec<_> = response.outputs().iter().filter_map(|output| output.text()).collect();
        assert_eq!(outputs, Vec::from_iter(expected), "{text}");
        assert_eq!(response.assessments().len(), 1, "{text}");
        assert_eq!(
            response.action() == &GuardrailAction::None,
            response.action_reason() == Some("No action."),
            "{text}"
        );
    }
}

#[tokio::test]
async fn guardrail_needs_a_permission_of_its_own() {
    let arn = "arn:aws:bedrock:us-east-1:000000000000:guardrail/gr1";
    let models = json!({ "Effect": "Allow", "Action": "bedrock:InvokeModel*", "Resource": "*" });
    let guardrail = json!({ "Effect": "Allow", "Action": "bedrock:ApplyGuardrail", "Resource": arn });
    for (statements, is_allowed) in [(vec![models.clone()], false), (vec![models, guardrail], true)] {
        let authenticator = Authenticator::new(vec![AuthMode::Iam], Vec::new());
        let credentials = ["AKIDEXAMPLE".into(), "secret".into(), "token".into()];
        let role = "arn:aws:iam::123456789012:role/Handler";
        authenticator.add_principal(Principal::role_session(role, "run", credentials, &statements));
        let router = scripted_router(ScriptedModels::new(Some(Guardrail::new(arn, "1"))));
        let bedrock = Bedrock::serve(with_iam_guard(router, authenticator)).await;
        assert_eq!(bedrock.send_text("parlance.deltas-1-0", "Hello").await.failure, None);
        let expected = (!is_allowed).then_some("AccessDeniedException");
        let result = ask(&bedrock, "parlance.deltas-1-0", "Hello").await;
        assert_eq!(result.code(), expected);
        let refusal = format!("is not authorized to perform: bedrock:ApplyGuardrail on resource: {arn}");
        assert!(is_allowed || result.message.as_ref().is_some_and(|text| text.contains(&refusal)), "{result:?}");
        let request = bedrock.client.apply_guardrail().guardrail_identifier("gr1").guardrail_version("1");
        let request = request.source(GuardrailContentSource::Input).content(text_content("Hello"));
        let result = request.send().await;
        assert_eq!(result.as_ref().err().and_then(ProvideErrorMetadata::code), expected, "{result:?}");
    }
}
