//! The Lambda service with real processes: this test binary is also the program that it starts.
mod events;
mod failures;
mod invoke_api;
#[path = "../support/lambda_function.rs"]
mod lambda_function;
mod lifetime;
mod responses;
mod service;
mod test_function;

use local::{lambda::DestinationError, stack::FailureDestination};
use serde_json::json;
use service::{Service, function, lambda};

#[test]
fn function_responds_through_the_runtime_api() {
    if lambda_function::is_started_as_function() {
        return test_function::run();
    }
    block_on(async {
        let service = Service::start([service::function("answer")]).await;
        let answer = service.invoke("answer", json!({ "text": "Hello" })).await;
        assert_eq!(answer, Ok(json!({ "text": "Hello" })));
        service.lambda.stop().await;
    });
}

#[tokio::test]
async fn function_is_not_its_own_failure_destination() {
    let mut own = function("answer");
    own.event_invoke.on_failure = Some(FailureDestination::Function(own.arn.clone()));
    let error = lambda([own]).await.err().expect("an error");
    assert_eq!(error, DestinationError::OwnDestination { function: "answer".into() });
    let message = "Function answer: You can't specify the function as a destination for itself.";
    assert_eq!(error.to_string(), message);
}

#[tokio::test]
async fn failure_destination_must_be_a_function_of_the_stack() {
    let mut function = function("answer");
    function.event_invoke.on_failure = Some(FailureDestination::Function(service::arn("elsewhere")));
    let error = lambda([function]).await.err().expect("an error");
    assert!(matches!(error, DestinationError::UnknownDestination { .. }), "{error}");
}

#[tokio::test]
async fn role_must_allow_to_invoke_the_failure_destination() {
    let mut unable = function("answer");
    unable.event_invoke.on_failure = Some(FailureDestination::Function(service::arn("closer")));
    let error = lambda([unable, function("closer")]).await.err().expect("an error");
    let message = "Function answer: The function's execution role does not have permissions to call Invoke on \
                 arn:aws:lambda:eu-west-1:123456789012:function:closer";
    assert_eq!(error.to_string(), message);
}

#[tokio::test]
async fn role_must_allow_to_send_to_the_failure_queue() {
    let mut unable = function("closer");
    unable.event_invoke.on_failure = Some(FailureDestination::Queue(service::QUEUE_ARN.into()));
    let error = lambda([unable]).await.err().expect("an error");
    let message = "Function closer: The function's execution role does not have permissions to call SendMessage on \
                 arn:aws:sqs:eu-west-1:123456789012:failures";
    assert_eq!(error.to_string(), message);
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
}
