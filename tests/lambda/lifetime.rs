//! Processes end with the service, with its parent, and not with a caller.
use std::process::Stdio;

use local::lambda::{InvocationType, InvokeError};
use serde_json::json;
use tokio::{join, process::Command};

use crate::{
    block_on,
    service::{ReportInvocations, Service, function, lambda},
};

#[tokio::test]
async fn stop_ends_every_process() {
    let service = Service::start([function("idle"), function("busy")]).await;
    service.invoke("idle", json!({})).await.expect("an answer");
    let idle = service.next_report().await;
    let (answer, ()) = join!(service.invoke("busy", json!({ "do": "hang" })), async {
        let busy = service.next_report().await;
        service.lambda.stop().await;
        busy.process_ended().await;
    });
    assert_eq!(answer, Err(InvokeError::Stopped));
    idle.process_ended().await;
    assert_eq!(service.invoke("idle", json!({})).await, Err(InvokeError::Stopped));
}

#[tokio::test]
async fn stop_discards_an_event_that_waits_for_its_retry() {
    let service = Service::start([function("answer")]).await;
    service.invoke_event("answer", json!({ "do": "exit" })).await;
    service.next_report().await.process_ended().await;
    service.lambda.stop().await;
}

#[tokio::test]
async fn invocation_continues_when_its_caller_is_dropped() {
    let service = Service::start([function("answer")]).await;
    let mut report = tokio::select! {
        answer = service.invoke("answer", json!({ "do": "wait" })) => panic!("answered before its release: {answer:?}"),
        report = service.next_report() => report,
    };
    report.release().await;
    service.lambda.stop().await;
}

const PARENT_TEST: &str = "lifetime::process_ends_when_its_parent_is_killed";

#[test]
fn process_ends_when_its_parent_is_killed() {
    match std::env::var("PARENT_REPORTS_TO") {
        Ok(address) => block_on(run_parent(&address)),
        Err(_) => block_on(kill_parent()),
    }
}

async fn run_parent(address: &str) {
    let lambda = lambda([function("answer").reporting_to(address)]).await.expect("functions that can be served");
    let answer = lambda.invoke("answer", InvocationType::RequestResponse, json!({ "do": "hang" })).await;
    panic!("the parent was not killed: {answer:?}");
}

async fn kill_parent() {
    let service = Service::start([]).await;
    let mut parent = Command::new(std::env::current_exe().expect("this binary"))
        .args([PARENT_TEST, "--exact"])
        .env("PARENT_REPORTS_TO", service.address())
        .stdout(Stdio::null())
        .spawn()
        .expect("a parent");
    let report = service.next_report().await;
    parent.kill().await.expect("the parent runs");
    report.process_ended().await;
}
