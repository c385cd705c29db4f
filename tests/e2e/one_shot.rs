//! `invokeModel` and `onModelResponse`, as AWS's sample appsync-ws-lambda-bedrock-sam calls them.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use client::{
    AppSync,
    errors::ApiError,
    realtime::{Realtime, Signal, Subscription},
    requests::{PutAgent, PutTool},
    schema::ToolEffect,
};
use futures::StreamExt;
use local::server::ServerOptions;
use serde_json::{Value, json};

use crate::{
    agent_tools::{self, MODEL, backend_with_tools},
    agent_tools_graphql::{self, LIST},
    backend::{Backend, CANNED_TEXT_MODEL, execute, options, with_timeout},
    knowledge::{DOCUMENTS, Fixture},
};

const LEAVE_QUESTION: &str = "How many days of leave do employees get in a calendar year?";
const SUBSCRIPTION: &str = "subscription { onModelResponse }";

#[tokio::test]
async fn samples_mutation_is_answered_and_nothing_is_stored() {
    let backend = Backend::start().await;
    let response = backend.execute("mutation { invokeModel(input: \"What is AWS Lambda?\") }", json!({})).await;
    assert_eq!(response, json!({ "data": { "invokeModel": "What is AWS Lambda?" }, "errors": [] }));
    assert_eq!(backend.count_all_items().await, 0);
}

#[tokio::test]
async fn answers_without_errors_are_broadcast_to_every_subscriber() {
    let backend = Backend::start().await;
    let mut subscribers = [subscribe(&backend.api).await.unwrap(), subscribe(&backend.api).await.unwrap()];
    assert_eq!(ask(&backend, " ").await["data"], json!({ "invokeModel": null }));
    ask(&backend, "Hello \"you\"\n").await;
    for subscriber in &mut subscribers {
        match with_timeout(subscriber.next()).await {
            Some(Signal::Data(data)) => assert_eq!(data, json!({ "onModelResponse": "Hello \"you\"\n" })),
            other => panic!("expected the first answer, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn parameters_switch_answers_and_their_broadcast_off() {
    let backend = Backend::with_parameters([("OneShotBroadcast", "false")]).await;
    assert_eq!(text(&ask(&backend, "Hello!").await), "Hello!");
    assert_eq!(refusal(&backend).await, ("Disabled".into(), "One-shot answers are not broadcast.".into()));

    let backend = Backend::with_parameters([("OneShot", "false")]).await;
    let response = ask(&backend, "Hello!").await;
    let error = only_error(&response);
    assert_eq!(
        (&error["errorType"], &error["message"]),
        (&json!("Disabled"), &json!("One-shot answers are switched off."))
    );
    assert_eq!(refusal(&backend).await.0, "Disabled");
}

#[tokio::test]
async fn without_an_api_key_nobody_may_ask_or_listen() {
    let backend = Backend::with_parameters([("ApiKeyAccess", "false")]).await;
    let response = ask(&backend, "Hello!").await;
    assert_eq!(only_error(&response)["errorType"], "Unauthorized");
    assert!(refusal(&backend).await.1.starts_with("Not Authorized to access onModelResponse"));
}

#[tokio::test]
async fn input_is_bounded_as_the_text_of_a_message() {
    let backend = Backend::start().await;
    for (input, expected) in [
        (" \n\u{A0}".to_owned(), "input must be more than blanks."),
        ("a".repeat(102_401), "input must be at most 100 KB of JSON-escaped UTF-8."),
    ] {
        let response = ask(&backend, &input).await;
        let expected = json!({
            "errorType": "InvalidInput", "message": expected, "errorInfo": { "field": "input" },
            "path": ["invokeModel"],
        });
        assert_eq!(only_error(&response), &expected);
    }
    let longest = "é".repeat(51_200);
    assert_eq!(text(&ask(&backend, &longest).await), longest);
}

#[tokio::test]
async fn failures_of_the_model_have_a_code_and_no_text() {
    let backend = Backend::start().await;
    for (model, code, retryable) in [
        ("parlance.refused", "MODEL_REFUSED", false),
        ("parlance.refused-settings", "SETTINGS_REFUSED", false),
        ("parlance.forbidden", "MODEL_NOT_ALLOWED", false),
        ("parlance.daily-quota", "THROTTLED", true),
        ("parlance.unavailable", "MODEL_UNAVAILABLE", true),
        ("parlance.cut", "MODEL_UNAVAILABLE", true),
        ("parlance.throttled-midway", "THROTTLED", true),
        ("parlance.blank", "NO_TEXT", true),
        ("parlance.invisible", "NO_TEXT", true),
        ("parlance.filtered", "CONTENT_FILTERED", false),
    ] {
        put_default_agent(&backend, model, Vec::new()).await;
        let response = ask(&backend, "Tell me a story.").await;
        let error = only_error(&response);
        assert_eq!(error["errorType"], "AnswerFailed", "{model}");
        assert_eq!(error["errorInfo"], json!({ "code": code, "retryable": retryable }), "{model}");
        let message = error["message"].as_str().unwrap();
        for internal in ["Exception", "aws", "parlance.", "http"] {
            assert!(!message.contains(internal), "{model}: {message} has no internal detail");
        }
    }
    put_default_agent(&backend, "parlance.max-tokens", Vec::new()).await;
    assert!(!text(&ask(&backend, "Tell me a story.").await).is_empty());
}

#[tokio::test]
async fn answer_ends_after_its_seconds_with_the_text_that_it_has() {
    let backend = Backend::with_parameters([("OneShotSeconds", "1")]).await;
    let started = Instant::now();
    put_default_agent(&backend, "parlance.falls-silent", Vec::new()).await;
    assert!(!text(&ask(&backend, "Tell me a story.").await).is_empty());
    put_default_agent(&backend, "parlance.silent", Vec::new()).await;
    let response = ask(&backend, "Tell me a story.").await;
    assert_eq!(only_error(&response)["errorInfo"], json!({ "code": "DEADLINE", "retryable": true }));
    assert!(started.elapsed() < Duration::from_secs(25), "the answers end before AppSync ends their requests");
}

#[tokio::test]
async fn longest_answer_is_cut_to_what_a_subscriber_can_get() {
    let backend = Backend::start().await;
    put_default_agent(&backend, "parlance.long", Vec::new()).await;
    let mut subscriber = subscribe(&backend.api).await.unwrap();
    let response = ask(&backend, "Everything, please.").await;
    assert!((190_000..=200_000).contains(&text(&response).len()), "{} bytes", text(&response).len());
    match with_timeout(subscriber.next()).await {
        Some(Signal::Data(data)) => assert_eq!(data["onModelResponse"], response["data"]["invokeModel"]),
        other => panic!("expected the answer, got {other:?}"),
    }
}

#[tokio::test]
async fn tools_that_only_read_are_called_and_others_are_not() {
    let backend = backend_with_tools().await;
    let tools = vec![agent_tools::tool("look", ToolEffect::Read), agent_tools::tool("order", ToolEffect::Write)];
    put_default_agent(&backend, MODEL, tools).await;
    let answer = ask(&backend, r#"Please call look with {"a":1} and then call order with {"b":2}."#).await;
    let answer = text(&answer);
    assert!(answer.contains("The tool look returned:") && answer.contains(r#""a":1"#), "{answer}");
    assert!(!answer.contains("order") && !answer.contains("I call"), "{answer}");
    assert_eq!(backend.partition_items("AGENT#default").await.len(), backend.count_all_items().await);
}

#[tokio::test]
async fn operations_run_with_the_api_key_of_the_caller() {
    let state = tempfile::tempdir().unwrap();
    let parameters = BTreeMap::from([("ModelId".to_owned(), MODEL.to_owned())]);
    let backend = Backend::start_with(options(&state, parameters), state).await;
    let conversation = backend.conversation().await;
    put_default_agent(&backend, MODEL, vec![agent_tools_graphql::tool("list", LIST, None)]).await;
    let answer = ask(&backend, "Please call list.").await;
    assert!(text(&answer).contains(&conversation), "{answer}");
}

#[tokio::test]
async fn answer_from_documents_keeps_its_markers() {
    let fixture = with_documents([]).await;
    let answer = ask(&fixture.backend, LEAVE_QUESTION).await;
    assert!(text(&answer).contains("[1]"), "{answer}");
    assert_eq!(fixture.backend.count_all_items().await, 0);
}

#[tokio::test]
async fn bedrock_generates_the_answer_where_the_parameter_says_so() {
    let fixture = with_documents([("OneShotRetrieveAndGenerate", "true")]).await;
    let answer = ask(&fixture.backend, LEAVE_QUESTION).await;
    // Bedrock takes the markers out. The prompt is its own.
    let generated = text(&answer);
    assert!(generated.contains("25 days of leave") && !generated.contains("[1]"), "{generated}");
    assert_eq!(fixture.backend.count_all_items().await, 0);

    let error = ask(&fixture.backend, &"a".repeat(1001)).await;
    assert_eq!(only_error(&error)["errorType"], "InvalidInput");
    let filter = r#"{"equals":{"key":"owner","value":"$caller.id"}}"#;
    fixture.put_agent("default", CANNED_TEXT_MODEL, json!({ "filter": filter })).await;
    assert_eq!(
        text(&ask(&fixture.backend, LEAVE_QUESTION).await),
        "Sorry, I am unable to assist you with this request."
    );
    put_default_agent(&fixture.backend, CANNED_TEXT_MODEL, Vec::new()).await;
    let own = ask(&fixture.backend, LEAVE_QUESTION).await;
    assert!(!text(&own).contains("25 days of leave"), "an agent without documents answers itself: {own}");
}

#[tokio::test]
async fn failures_of_generated_answers_have_the_codes_of_others() {
    let fixture = with_documents([("OneShotRetrieveAndGenerate", "true"), ("OneShotSeconds", "3")]).await;
    for (model, code) in [
        ("parlance.throttled", "THROTTLED"),
        ("parlance.exception", "MODEL_UNAVAILABLE"),
        ("parlance.refused", "MODEL_REFUSED"),
        ("parlance.silent", "DEADLINE"),
    ] {
        fixture.put_agent("default", model, json!({})).await;
        let response = ask(&fixture.backend, LEAVE_QUESTION).await;
        assert_eq!(only_error(&response)["errorInfo"]["code"], code, "{model}");
    }
}

#[tokio::test]
async fn missing_handler_is_worth_another_try() {
    let backend = Backend::without_handler().await;
    assert_eq!(only_error(&ask(&backend, "Hello!").await)["errorType"], "TryAgain");
}

/// A server with documents whose default agent writes markers.
async fn with_documents<const N: usize>(parameters: [(&str, &str); N]) -> Fixture {
    let change = |mut options: ServerOptions| {
        let model = [("ModelId", CANNED_TEXT_MODEL)];
        let parameters = model.into_iter().chain(parameters).map(|(name, value)| (name.to_owned(), value.to_owned()));
        options.parameters.extend(parameters);
        options
    };
    Fixture::with_options(&DOCUMENTS, change).await
}

async fn ask(backend: &Backend, input: &str) -> Value {
    let document = "mutation ($input: String!) { invokeModel(input: $input) }";
    with_timeout(execute(&backend.api, document, json!({ "input": input }))).await
}

#[track_caller]
fn text(response: &Value) -> &str {
    assert_eq!(response["errors"], json!([]));
    response["data"]["invokeModel"].as_str().expect("an answer is a text")
}

#[track_caller]
fn only_error(response: &Value) -> &Value {
    assert_eq!(response["data"]["invokeModel"], Value::Null);
    match response["errors"].as_array().map(Vec::as_slice) {
        Some([error]) => error,
        _ => panic!("expected one error: {response}"),
    }
}

async fn subscribe(api: &AppSync) -> Result<Subscription, Vec<ApiError>> {
    let mut subscription = Realtime::new(api).subscribe(SUBSCRIPTION, &json!({}));
    match with_timeout(subscription.next()).await {
        Some(Signal::Subscribed) => Ok(subscription),
        Some(Signal::Refused(errors)) => Err(errors),
        other => panic!("expected an acknowledgement or an error, got {other:?}"),
    }
}

/// The type and the message of the error that a subscriber is refused with.
async fn refusal(backend: &Backend) -> (String, String) {
    let Err(errors) = subscribe(&backend.api).await else { panic!("the subscription is refused") };
    let error_type = errors[0].error_type.as_ref().map(ToString::to_string).unwrap_or_default();
    (error_type, errors[0].message.clone())
}

async fn put_default_agent(backend: &Backend, model_id: &str, tools: Vec<PutTool>) {
    let agent = PutAgent { id: "default".into(), model_id: model_id.into(), tools: Some(tools), ..PutAgent::default() };
    backend.administrator.call(&agent).await.unwrap();
}
