//! What Lambda promises and nobody likes: processes die at any moment, and events come more than once.
use local::{
    fault_injection::{Fault, FaultPlan},
    lambda::InvokeError,
};
use serde_json::json;
use tokio::join;

use crate::service::{Service, function};

async fn access_key_id(service: &Service) -> String {
    let told = service.ask("answer", json!({ "do": "describe" })).await.expect("an answer");
    service.told().await;
    told["environment"]["AWS_ACCESS_KEY_ID"].as_str().expect("a key").to_owned()
}

#[tokio::test]
async fn a_process_that_works_is_killed_by_its_access_key_id() {
    let service = Service::start([function("answer")]).await;
    let key = access_key_id(&service).await;
    let (answer, killed) = join!(service.ask("answer", json!({ "do": "hang" })), async {
        let working = service.told().await;
        let killed = service.lambda.kill(&key).await;
        working.process_ended().await;
        killed
    });
    assert!(killed);
    let Err(InvokeError::Unhandled(failure)) = answer else { panic!("a killed process answered: {answer:?}") };
    assert_eq!(failure.kind, "Runtime.ExitError");
    assert!(failure.message.ends_with("signal: 9 (SIGKILL)"), "{}", failure.message);
    assert!(!service.lambda.kill(&key).await, "it is gone");
    assert_ne!(access_key_id(&service).await, key, "each process has its own");
    service.lambda.stop().await;
}

#[tokio::test]
async fn a_process_that_idles_is_killed_and_not_used_again() {
    let service = Service::start([function("answer")]).await;
    let key = access_key_id(&service).await;
    assert!(service.lambda.kill(&key).await);
    assert_ne!(access_key_id(&service).await, key);
    service.lambda.stop().await;
}

#[tokio::test]
async fn an_event_is_delivered_twice_three_times_and_again_later_under_one_id() {
    for (fault, deliveries) in [(Fault::EventTwice, 2), (Fault::EventThrice, 3), (Fault::EventAgain, 2)] {
        let plan = FaultPlan { on_hits: [(fault, 1)].into(), ..FaultPlan::default() };
        let service = Service::start_with_faults([function("answer")], &plan).await;
        service.queue("answer", json!("once")).await;
        let first = service.told().await;
        for _ in 1..deliveries {
            let again = service.told().await;
            assert_eq!((&again.request_id, &again.payload), (&first.request_id, &first.payload), "{fault}");
        }
        service.queue("answer", json!("another")).await;
        assert_eq!(service.told().await.payload, "another", "{fault} befell one event");
        service.lambda.stop().await;
    }
}
