use std::process::Stdio;

use local::lambda::{InvocationType, InvokeError};
use serde_json::json;
use tokio::{join, process::Command};

use crate::{
    block_on,
    service::{Playing, Service, function, lambda},
};

#[tokio::test]
async fn no_process_outlives_the_service() {
    let service = Service::start([function("idle"), function("busy")]).await;
    service.ask("idle", json!({})).await.expect("an answer");
    let idle = service.told().await;
    let (answer, ()) = join!(service.ask("busy", json!({ "do": "hang" })), async {
        let busy = service.told().await;
        service.lambda.stop().await;
        busy.process_ended().await;
    });
    assert_eq!(answer, Err(InvokeError::Stopped));
    idle.process_ended().await;
    assert_eq!(service.ask("idle", json!({})).await, Err(InvokeError::Stopped));
}

#[tokio::test]
async fn stopping_forgets_an_event_that_waits_for_its_retry() {
    let service = Service::start([function("answer")]).await;
    service.queue("answer", json!({ "do": "exit" })).await;
    service.told().await.process_ended().await;
    service.lambda.stop().await;
}

#[tokio::test]
async fn a_call_goes_on_when_its_caller_has_left() {
    let service = Service::start([function("answer")]).await;
    let mut told = tokio::select! {
        answer = service.ask("answer", json!({ "do": "wait" })) => panic!("answered before its release: {answer:?}"),
        told = service.told() => told,
    };
    told.release().await;
    service.lambda.stop().await;
}

const PARENT_TEST: &str = "lifetime::a_process_ends_when_its_parent_is_killed";

#[test]
fn a_process_ends_when_its_parent_is_killed() {
    match std::env::var("PARENT_TELLS") {
        Ok(address) => block_on(be_the_parent(&address)),
        Err(_) => block_on(kill_the_parent()),
    }
}

async fn be_the_parent(address: &str) {
    let lambda = lambda([function("answer").telling(address)]).await.expect("functions that can be served");
    let answer = lambda.invoke("answer", InvocationType::RequestResponse, json!({ "do": "hang" })).await;
    panic!("the parent was not killed: {answer:?}");
}

async fn kill_the_parent() {
    let service = Service::start([]).await;
    let mut parent = Command::new(std::env::current_exe().expect("this binary"))
        .args([PARENT_TEST, "--exact"])
        .env("PARENT_TELLS", service.address())
        .stdout(Stdio::null())
        .spawn()
        .expect("a parent");
    let told = service.told().await;
    parent.kill().await.expect("the parent runs");
    told.process_ended().await;
}
