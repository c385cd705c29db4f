//! Killed processes and events that are delivered more than once.
use local::{
    fault_injection::{Fault, FaultPlan},
    lambda::InvokeError,
};
use serde_json::json;
use tokio::join;

use crate::service::{Service, function};

async fn access_key_id(service: &Service) -> String {
    let description = service.invoke("answer", json!({ "do": "describe" })).await.expect("an answer");
    service.next_report().await;
    description["environment"]["AWS_ACCESS_KEY_ID"].as_str().expect("a key").to_owned()
}

#[tokio::test]
async fn busy_process_is_killed_by_its_access_key_id() {
    let service = Service::start([function("answer")]).await;
    let key = access_key_id(&service).await;
    let (result, is_killed) = join!(service.invoke("answer", json!({ "do": "hang" })), async {
        let report = service.next_report().await;
        let is_killed = service.lambda.kill(&key).await;
        report.process_ended().await;
        is_killed
    });
    assert!(is_killed);
    let Err(InvokeError::Unhandled(error)) = result else { panic!("a killed process responded: {result:?}") };
    assert_eq!(error.kind, "Runtime.ExitError");
    assert!(error.message.ends_with("signal: 9 (SIGKILL)"), "{}", error.message);
    assert!(!service.lambda.kill(&key).await, "the process has ended");
    assert_ne!(access_key_id(&service).await, key, "each process has its own key");
    service.lambda.stop().await;
}

#[tokio::test]
async fn killed_idle_process_is_not_reused() {
    let service = Service::start([function("answer")]).await;
    let key = access_key_id(&service).await;
    assert!(service.lambda.kill(&key).await);
    assert_ne!(access_key_id(&service).await, key);
    service.lambda.stop().await;
}

#[tokio::test]
async fn duplicate_deliveries_have_the_same_request_id() {
    for (fault, deliveries) in [(Fault::EventTwice, 2), (Fault::EventThrice, 3), (Fault::EventAgain, 2)] {
        let plan = FaultPlan { on_hits: [(fault, 1)].into(), ..FaultPlan::default() };
        let service = Service::start_with_faults([function("answer")], &plan).await;
        service.invoke_event("answer", json!("once")).await;
        let first = service.next_report().await;
        for _ in 1..deliveries {
            let again = service.next_report().await;
            assert_eq!((&again.request_id, &again.payload), (&first.request_id, &first.payload), "{fault}");
        }
        service.invoke_event("answer", json!("another")).await;
        assert_eq!(service.next_report().await.payload, "another", "{fault} is injected into one event only");
        service.lambda.stop().await;
    }
}
