//! Responses and errors of synchronous invocations.
use std::time::{SystemTime, UNIX_EPOCH};

use local::{
    lambda::{FunctionError, InvocationType, InvokeError, Launcher},
    stack::Function,
};
use serde_json::{Value, json};
use tokio::join;

use crate::service::{Service, arn, function};

fn function_error(result: Result<Value, InvokeError>) -> FunctionError {
    match result {
        Err(InvokeError::Unhandled(error)) => error,
        other => panic!("not a function error: {other:?}"),
    }
}

fn function_with_short_timeout(name: &str) -> Function {
    Function { timeout_seconds: 1, ..function(name) }
}

#[tokio::test]
async fn process_environment_holds_its_function_and_nothing_of_the_parent() {
    let service = Service::start([function("answer")]).await;
    let description = service.invoke(&arn("answer"), json!({ "do": "describe" })).await.expect("an answer");
    let environment = description["environment"].as_object().expect("variables");
    let expected = [
        ("AWS_LAMBDA_FUNCTION_NAME", "answer"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_REGION", "eu-west-1"),
        ("GREETING", "Hello"),
        ("TZ", ":UTC"),
    ];
    for (name, value) in expected {
        assert_eq!(environment[name], value, "{name}");
    }
    let allowed = ["PATH", "_HANDLER", "TZ", "GREETING", "FUNCTION_REPORTS_TO", "AWS_REGION"];
    let inherited = environment.keys().filter(|name| {
        !allowed.contains(&name.as_str()) && !name.starts_with("AWS_LAMBDA_") && std::env::var_os(name).is_some()
    });
    assert_eq!(inherited.collect::<Vec<_>>(), Vec::<&String>::new());
    service.lambda.stop().await;
}

#[tokio::test]
async fn invocation_has_request_id_deadline_arn_and_trace() {
    let service = Service::start([function("answer")]).await;
    let description = service.invoke("answer", json!({ "do": "describe" })).await.expect("an answer");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let deadline = u128::from(description["deadline"].as_u64().expect("milliseconds"));
    assert!((now + 30_000..=now + 60_000).contains(&deadline), "{deadline} at {now}");
    assert_eq!(description["arn"], arn("answer"));
    assert_eq!(description["requestId"].as_str().map(str::len), Some(36));
    assert!(description["trace"].as_str().expect("a trace").starts_with("Root=1-"));
    service.lambda.stop().await;
}

#[tokio::test]
async fn idle_process_is_reused_and_busy_one_is_joined_by_another() {
    let service = Service::start([function("answer")]).await;
    let describe = || service.invoke("answer", json!({ "do": "describe" }));
    let first = describe().await.expect("an answer")["process"].clone();
    assert_eq!(describe().await.expect("an answer")["process"], first);
    let (waited, other) = join!(service.invoke("answer", json!({ "do": "wait" })), async {
        service.next_report().await;
        service.next_report().await;
        let mut waiting = service.next_report().await;
        let other = describe().await.expect("an answer")["process"].clone();
        waiting.release().await;
        other
    });
    assert_eq!(waited, Ok(Value::Null));
    assert_ne!(other, first);
    service.lambda.stop().await;
}

#[tokio::test]
async fn function_error_is_returned_and_its_process_is_reused() {
    let service = Service::start([function("answer")]).await;
    let before = service.invoke("answer", json!({ "do": "describe" })).await.expect("an answer");
    let error = function_error(service.invoke("answer", json!({ "do": "fail", "message": "No such turn." })).await);
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("Deliberate", "No such turn."));
    let after = service.invoke("answer", json!({ "do": "describe" })).await.expect("an answer");
    assert_eq!(before["process"], after["process"]);
    service.lambda.stop().await;
}

#[tokio::test]
async fn process_is_killed_when_its_function_times_out() {
    let service = Service::start([function_with_short_timeout("answer")]).await;
    let (result, report) = join!(service.invoke("answer", json!({ "do": "hang" })), service.next_report());
    let error = function_error(result);
    assert_eq!(error.kind, "Sandbox.Timedout");
    assert_eq!(error.message, format!("{} Task timed out after 1.00 seconds", report.request_id));
    report.process_ended().await;
    assert_eq!(service.invoke("answer", json!("again")).await, Ok(json!("again")));
    service.lambda.stop().await;
}

#[tokio::test]
async fn exit_of_a_process_fails_its_invocation_only() {
    let service = Service::start([function("answer")]).await;
    let error = function_error(service.invoke("answer", json!({ "do": "exit" })).await);
    assert_eq!(error.kind, "Runtime.ExitError");
    assert!(error.message.ends_with("Runtime exited with error: exit status: 3"), "{}", error.message);
    assert_eq!(service.invoke("answer", json!("again")).await, Ok(json!("again")));
    service.lambda.stop().await;
}

#[tokio::test]
async fn initialization_error_is_returned() {
    let mut failing = function("fail");
    failing.environment.insert("FUNCTION_INIT".into(), "fail".into());
    let mut exiting = function("exit");
    exiting.environment.insert("FUNCTION_INIT".into(), "exit".into());
    let service = Service::start([failing, exiting]).await;
    let init_error = function_error(service.invoke("fail", json!({})).await);
    assert_eq!((init_error.kind.as_str(), init_error.message.as_str()), ("Settings.Missing", "TABLE_NAME is not set."));
    assert_eq!(function_error(service.invoke("exit", json!({})).await).kind, "Runtime.ExitError");
}

#[tokio::test]
async fn missing_executable_is_an_invalid_entrypoint() {
    let functions = [("answer".to_owned(), function("answer"))].into();
    let launcher = Launcher::new("/nowhere/bootstrap".into(), Vec::new(), Default::default());
    let lambda = local::lambda::Lambda::start(&functions, launcher).await.expect("functions that can be served");
    let answer = lambda.invoke("answer", InvocationType::RequestResponse, json!({})).await;
    assert_eq!(function_error(answer).kind, "Runtime.InvalidEntrypoint");
}

#[tokio::test]
async fn payloads_and_responses_have_size_limits() {
    const SYNCHRONOUS: usize = 6 * 1024 * 1024;
    let service = Service::start([function("answer")]).await;
    let too_large = service.invoke("answer", "x".repeat(SYNCHRONOUS).into()).await;
    assert_eq!(too_large, Err(InvokeError::TooLarge { limit: SYNCHRONOUS }));
    let event = service.lambda.invoke("answer", InvocationType::Event, "x".repeat(1024 * 1024).into()).await;
    assert_eq!(event, Err(InvokeError::TooLarge { limit: 1024 * 1024 }));
    let error = function_error(service.invoke("answer", json!({ "do": "large", "bytes": 7_000_000 })).await);
    assert_eq!(error.kind, "Function.ResponseSizeTooLarge");
    let answer = service.invoke("answer", json!({ "do": "large", "bytes": 6_000_000 })).await.expect("an answer");
    assert_eq!(answer.as_str().map(str::len), Some(6_000_000));
    service.lambda.stop().await;
}

#[tokio::test]
async fn unknown_function_is_not_found() {
    let service = Service::start([function("answer")]).await;
    let missing = service.invoke("question", json!({})).await;
    assert_eq!(missing, Err(InvokeError::NotFound { function: "question".into() }));
}
