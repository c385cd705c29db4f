//! The Lambda service with real processes: this test binary is also the program that it starts.
mod answers;
mod events;
mod function;
mod lifetime;
mod service;
mod unkindly;

use local::lambda::Fault;
use serde_json::json;
use service::{Service, function, lambda};

#[test]
fn a_function_answers_through_the_runtime_api() {
    if function::is_asked_for() {
        return function::play();
    }
    block_on(async {
        let service = Service::start([service::function("answer")]).await;
        let answer = service.ask("answer", json!({ "text": "Hello" })).await;
        assert_eq!(answer, Ok(json!({ "text": "Hello" })));
        service.lambda.stop().await;
    });
}

#[tokio::test]
async fn a_function_is_not_its_own_failure_destination() {
    let mut own = function("answer");
    own.asynchronous.on_failure = Some(own.arn.clone());
    let fault = lambda([own]).await.err().expect("a refusal");
    assert_eq!(fault, Fault::OwnDestination { function: "answer".into() });
    let words = "Function answer: You can't specify the function as a destination for itself.";
    assert_eq!(fault.to_string(), words);
}

#[tokio::test]
async fn a_failure_destination_is_a_function_of_the_stack() {
    let mut lost = function("answer");
    lost.asynchronous.on_failure = Some(service::arn("elsewhere"));
    let fault = lambda([lost]).await.err().expect("a refusal");
    assert!(matches!(fault, Fault::UnknownDestination { .. }), "{fault}");
}

#[tokio::test]
async fn a_failure_destination_is_one_that_the_functions_role_may_invoke() {
    let mut unable = function("answer");
    unable.asynchronous.on_failure = Some(service::arn("closer"));
    let fault = lambda([unable, function("closer")]).await.err().expect("a refusal");
    let words = "Function answer: The function's execution role does not have permissions to call Invoke on \
                 arn:aws:lambda:eu-west-1:123456789012:function:closer";
    assert_eq!(fault.to_string(), words);
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
}
