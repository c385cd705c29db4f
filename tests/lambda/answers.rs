use std::time::{SystemTime, UNIX_EPOCH};

use local::{
    lambda::{FunctionError, InvocationType, InvokeError, Launcher},
    stack::Function,
};
use serde_json::{Value, json};
use tokio::join;

use crate::service::{Service, arn, function};

fn failure(answer: Result<Value, InvokeError>) -> FunctionError {
    match answer {
        Err(InvokeError::Unhandled(failure)) => failure,
        other => panic!("not a failure of the function: {other:?}"),
    }
}

fn hasty(name: &str) -> Function {
    Function { timeout_seconds: 1, ..function(name) }
}

#[tokio::test]
async fn a_process_knows_its_function_and_nothing_of_the_developer() {
    let service = Service::start([function("answer")]).await;
    let told = service.ask(&arn("answer"), json!({ "do": "describe" })).await.expect("an answer");
    let environment = told["environment"].as_object().expect("variables");
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
    let of_the_function = ["PATH", "_HANDLER", "TZ", "GREETING", "FUNCTION_TELLS", "AWS_REGION"];
    let foreign = environment.keys().filter(|name| {
        !of_the_function.contains(&name.as_str())
            && !name.starts_with("AWS_LAMBDA_")
            && std::env::var_os(name).is_some()
    });
    assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&String>::new());
    service.lambda.stop().await;
}

#[tokio::test]
async fn an_invocation_carries_its_id_deadline_arn_and_trace() {
    let service = Service::start([function("answer")]).await;
    let told = service.ask("answer", json!({ "do": "describe" })).await.expect("an answer");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let deadline = u128::from(told["deadline"].as_u64().expect("milliseconds"));
    assert!((now + 30_000..=now + 60_000).contains(&deadline), "{deadline} at {now}");
    assert_eq!(told["arn"], arn("answer"));
    assert_eq!(told["requestId"].as_str().map(str::len), Some(36));
    assert!(told["trace"].as_str().expect("a trace").starts_with("Root=1-"));
    service.lambda.stop().await;
}

#[tokio::test]
async fn an_idle_process_is_used_again_and_a_busy_one_gets_company() {
    let service = Service::start([function("answer")]).await;
    let describe = || service.ask("answer", json!({ "do": "describe" }));
    let first = describe().await.expect("an answer")["process"].clone();
    assert_eq!(describe().await.expect("an answer")["process"], first);
    let (waited, other) = join!(service.ask("answer", json!({ "do": "wait" })), async {
        service.told().await;
        service.told().await;
        let mut waiting = service.told().await;
        let other = describe().await.expect("an answer")["process"].clone();
        waiting.release().await;
        other
    });
    assert_eq!(waited, Ok(Value::Null));
    assert_ne!(other, first);
    service.lambda.stop().await;
}

#[tokio::test]
async fn a_function_that_fails_is_quoted_and_its_process_stays() {
    let service = Service::start([function("answer")]).await;
    let before = service.ask("answer", json!({ "do": "describe" })).await.expect("an answer");
    let failed = failure(service.ask("answer", json!({ "do": "fail", "message": "No such turn." })).await);
    assert_eq!((failed.kind.as_str(), failed.message.as_str()), ("Deliberate", "No such turn."));
    let after = service.ask("answer", json!({ "do": "describe" })).await.expect("an answer");
    assert_eq!(before["process"], after["process"]);
    service.lambda.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed() {
    let service = Service::start([hasty("answer")]).await;
    let (answer, told) = join!(service.ask("answer", json!({ "do": "hang" })), service.told());
    let failed = failure(answer);
    assert_eq!(failed.kind, "Sandbox.Timedout");
    assert_eq!(failed.message, format!("{} Task timed out after 1.00 seconds", told.request_id));
    told.process_ended().await;
    assert_eq!(service.ask("answer", json!("again")).await, Ok(json!("again")));
    service.lambda.stop().await;
}

#[tokio::test]
async fn a_process_that_exits_fails_its_invocation_only() {
    let service = Service::start([function("answer")]).await;
    let failed = failure(service.ask("answer", json!({ "do": "exit" })).await);
    assert_eq!(failed.kind, "Runtime.ExitError");
    assert!(failed.message.ends_with("Runtime exited with error: exit status: 3"), "{}", failed.message);
    assert_eq!(service.ask("answer", json!("again")).await, Ok(json!("again")));
    service.lambda.stop().await;
}

#[tokio::test]
async fn a_process_that_refuses_to_start_says_why() {
    let mut refusing = function("refuse");
    refusing.environment.insert("FUNCTION_INIT".into(), "refuse".into());
    let mut exiting = function("exit");
    exiting.environment.insert("FUNCTION_INIT".into(), "exit".into());
    let service = Service::start([refusing, exiting]).await;
    let refused = failure(service.ask("refuse", json!({})).await);
    assert_eq!((refused.kind.as_str(), refused.message.as_str()), ("Settings.Missing", "TABLE_NAME is not set."));
    assert_eq!(failure(service.ask("exit", json!({})).await).kind, "Runtime.ExitError");
}

#[tokio::test]
async fn an_executable_that_is_not_there_is_named_as_such() {
    let functions = [("answer".to_owned(), function("answer"))].into();
    let launcher = Launcher::new("/nowhere/bootstrap".into(), Vec::new(), Default::default());
    let lambda = local::lambda::Lambda::start(&functions, launcher).await.expect("functions that can be served");
    let answer = lambda.invoke("answer", InvocationType::RequestResponse, json!({})).await;
    assert_eq!(failure(answer).kind, "Runtime.InvalidEntrypoint");
}

#[tokio::test]
async fn payloads_have_their_limits() {
    const SYNCHRONOUS: usize = 6 * 1024 * 1024;
    let service = Service::start([function("answer")]).await;
    let too_large = service.ask("answer", "x".repeat(SYNCHRONOUS).into()).await;
    assert_eq!(too_large, Err(InvokeError::TooLarge { limit: SYNCHRONOUS }));
    let event = service.lambda.invoke("answer", InvocationType::Event, "x".repeat(1024 * 1024).into()).await;
    assert_eq!(event, Err(InvokeError::TooLarge { limit: 1024 * 1024 }));
    let failed = failure(service.ask("answer", json!({ "do": "large", "bytes": 7_000_000 })).await);
    assert_eq!(failed.kind, "Function.ResponseSizeTooLarge");
    let answer = service.ask("answer", json!({ "do": "large", "bytes": 6_000_000 })).await.expect("an answer");
    assert_eq!(answer.as_str().map(str::len), Some(6_000_000));
    service.lambda.stop().await;
}

#[tokio::test]
async fn an_unknown_function_is_not_found() {
    let service = Service::start([function("answer")]).await;
    let missing = service.ask("question", json!({})).await;
    assert_eq!(missing, Err(InvokeError::NotFound { function: "question".into() }));
}
