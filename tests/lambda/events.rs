use local::{
    lambda::InvokeError,
    stack::{Asynchronous, Function, Role},
};
use serde_json::{Value, json};
use tokio::join;

use crate::service::{Service, arn, function};

fn telling(name: &str, destination: &str) -> Function {
    let asynchronous = Asynchronous { retries: 2, event_age_seconds: 21_600, on_failure: Some(arn(destination)) };
    let statement = json!({ "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn(destination) });
    let told = function(name);
    Function { asynchronous, role: Role { statements: vec![statement], ..told.role }, ..told }
}

#[tokio::test]
async fn a_failed_event_is_retried_twice_under_one_id_and_then_told_of() {
    let service = Service::start([telling("answer", "closer"), function("closer")]).await;
    let payload = json!({ "do": "fail", "message": "No such turn." });
    service.queue("answer", payload.clone()).await;
    let tries = [service.told().await, service.told().await, service.told().await];
    let id = &tries[0].request_id;
    assert!(tries.iter().all(|told| told.function == "answer" && told.request_id == *id && told.payload == payload));

    let mut told = service.told().await;
    assert_eq!(told.function, "closer");
    let timestamp = told.payload["timestamp"].take();
    assert!(timestamp.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z')), "{timestamp}");
    assert_eq!(
        told.payload,
        json!({
            "version": "1.0",
            "timestamp": null,
            "requestContext": {
                "requestId": id,
                "functionArn": format!("{}:$LATEST", arn("answer")),
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": payload,
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "responsePayload": { "errorType": "Deliberate", "errorMessage": "No such turn." },
        })
    );
    service.lambda.stop().await;
}

#[tokio::test]
async fn an_event_whose_process_died_is_answered_by_its_retry() {
    let service = Service::start([telling("answer", "closer"), function("closer")]).await;
    service.queue("answer", json!({ "do": "wait" })).await;
    let mut first = service.told().await;
    first.break_down().await;
    let mut second = service.told().await;
    assert_eq!((second.function.as_str(), &second.request_id), ("answer", &first.request_id));
    second.release().await;
    service.queue("closer", json!("nothing else was told")).await;
    assert_eq!(service.told().await.payload, "nothing else was told");
    service.lambda.stop().await;
}

#[tokio::test]
async fn an_event_waits_for_a_place_while_a_caller_is_throttled() {
    let service = Service::start([Function { reserved_concurrency: Some(1), ..function("answer") }]).await;
    let (waited, second) = join!(service.ask("answer", json!({ "do": "wait" })), async {
        let mut busy = service.told().await;
        assert_eq!(service.ask("answer", json!({})).await, Err(InvokeError::Throttled));
        service.queue("answer", json!("later")).await;
        busy.release().await;
        service.told().await
    });
    assert_eq!(waited, Ok(Value::Null));
    assert_eq!(second.payload, "later");
    service.lambda.stop().await;
}

#[tokio::test]
async fn an_event_that_finds_no_place_in_its_time_is_told_of_without_a_response() {
    let mut blocked = Function { reserved_concurrency: Some(0), ..telling("answer", "closer") };
    blocked.asynchronous.event_age_seconds = 60;
    let service = Service::start([blocked, function("closer")]).await;
    service.queue("answer", json!("never")).await;
    let told = service.told().await;
    assert_eq!(told.function, "closer");
    assert_eq!(told.payload["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(told.payload["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(told.payload["requestPayload"], "never");
    assert_eq!(told.payload["responsePayload"], Value::Null);
    service.lambda.stop().await;
}
