//! Event invocations: retries, failure destinations, concurrency.
use local::{
    lambda::InvokeError,
    stack::{EventInvokeConfig, FailureDestination, Function, Role},
};
use serde_json::{Value, json};
use tokio::join;

use crate::service::{QUEUE_ARN, Service, arn, function};

fn function_with_destination(name: &str, destination: &str) -> Function {
    let statement = json!({ "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn(destination) });
    with_destination(function(name), FailureDestination::Function(arn(destination)), statement)
}

fn function_with_queue(name: &str) -> Function {
    let statement = json!({ "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE_ARN });
    with_destination(function(name), FailureDestination::Queue(QUEUE_ARN.into()), statement)
}

fn with_destination(function: Function, destination: FailureDestination, statement: Value) -> Function {
    let on_failure = Some(destination);
    let event_invoke = EventInvokeConfig { max_retries: 2, max_event_age_seconds: 21_600, on_failure };
    Function { event_invoke, role: Role { statements: vec![statement], ..function.role }, ..function }
}

#[tokio::test]
async fn failed_event_is_retried_twice_and_sent_to_its_destination() {
    let service = Service::start([function_with_destination("answer", "closer"), function("closer")]).await;
    let payload = json!({ "do": "fail", "message": "No such turn." });
    service.invoke_event("answer", payload.clone()).await;
    let tries = [service.next_report().await, service.next_report().await, service.next_report().await];
    let id = &tries[0].request_id;
    assert!(
        tries.iter().all(|report| report.function == "answer" && report.request_id == *id && report.payload == payload)
    );

    let mut report = service.next_report().await;
    assert_eq!(report.function, "closer");
    let timestamp = report.payload["timestamp"].take();
    assert!(timestamp.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z')), "{timestamp}");
    assert_eq!(
        report.payload,
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
async fn record_of_a_failed_closer_is_kept_in_its_queue() {
    let service = Service::start([function_with_destination("answer", "closer"), function_with_queue("closer")]).await;
    assert_eq!(service.lambda.failure_records(QUEUE_ARN), Vec::<Value>::new());
    let record_of_answer = json!({ "do": "fail", "message": "The table is away." });
    service.invoke_event("closer", record_of_answer.clone()).await;
    for _ in 0..3 {
        assert_eq!(service.next_report().await.function, "closer");
    }
    service.lambda.wait_for_events().await;
    let records = service.lambda.failure_records(QUEUE_ARN);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record["requestContext"]["functionArn"], format!("{}:$LATEST", arn("closer")));
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestPayload"], record_of_answer);
    assert_eq!(record["responsePayload"]["errorMessage"], "The table is away.");
    service.lambda.stop().await;
}

#[tokio::test]
async fn event_of_a_dead_process_is_retried() {
    let service = Service::start([function_with_destination("answer", "closer"), function("closer")]).await;
    service.invoke_event("answer", json!({ "do": "wait" })).await;
    let mut first = service.next_report().await;
    first.exit_process().await;
    let mut second = service.next_report().await;
    assert_eq!((second.function.as_str(), &second.request_id), ("answer", &first.request_id));
    second.release().await;
    service.invoke_event("closer", json!("last event")).await;
    assert_eq!(service.next_report().await.payload, "last event");
    service.lambda.stop().await;
}

#[tokio::test]
async fn event_waits_for_concurrency_while_a_caller_is_throttled() {
    let service = Service::start([Function { reserved_concurrency: Some(1), ..function("answer") }]).await;
    let (waited, second) = join!(service.invoke("answer", json!({ "do": "wait" })), async {
        let mut busy = service.next_report().await;
        assert_eq!(service.invoke("answer", json!({})).await, Err(InvokeError::Throttled));
        service.invoke_event("answer", json!("later")).await;
        busy.release().await;
        service.next_report().await
    });
    assert_eq!(waited, Ok(Value::Null));
    assert_eq!(second.payload, "later");
    service.lambda.stop().await;
}

#[tokio::test]
async fn throttled_event_is_discarded_at_its_maximum_age() {
    let mut blocked = Function { reserved_concurrency: Some(0), ..function_with_destination("answer", "closer") };
    blocked.event_invoke.max_event_age_seconds = 60;
    let service = Service::start([blocked, function("closer")]).await;
    service.invoke_event("answer", json!("never")).await;
    let report = service.next_report().await;
    assert_eq!(report.function, "closer");
    assert_eq!(report.payload["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(report.payload["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(report.payload["requestPayload"], "never");
    assert_eq!(report.payload["responsePayload"], Value::Null);
    service.lambda.stop().await;
}
