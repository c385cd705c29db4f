//! Tools that are Lambda functions.
use std::{sync::Arc, time::Duration};

use api::types::ToolStatus;
use serde_json::{Value, json};
use tokio::time::timeout;
use turn::{
    model::ToolOutput,
    tool::{Caller, LambdaTool, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use super::*;
use crate::aws::{dynamodb::test_support::interceptors::TRANSACTION_CANCELLED, tools::UNKNOWN_OUTCOME};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:look";

#[tokio::test]
async fn result_is_the_body_byte_for_byte() {
    for body in [r#"{"b": 1.0,"a":"\u00e9\ud83d"}"#, "null", " [1, 2] ", "\"So.\""] {
        let server = Server::start([Reply::json(body)]).await;
        let outcome = server.run(&tool_run(ToolEffect::Read)).await;
        assert_eq!((outcome.status, outcome.output), (ToolStatus::Succeeded, ToolOutput::Json(body.into())));
        assert!(outcome.started_at.is_some() && outcome.ended_at >= outcome.started_at);
    }
}

#[tokio::test]
async fn function_gets_the_call_and_its_caller_in_a_signed_request() {
    let server = Server::start([Reply::json("1"), Reply::json("1")]).await;
    let mut run = tool_run(ToolEffect::Read);
    server.run(&run).await;
    run.caller = Caller::default();
    server.run(&run).await;
    let [first, second] = server.take_requests().try_into().unwrap();
    let encoded = "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Alook";
    assert_eq!(first.path, format!("/2015-03-31/functions/{encoded}/invocations"));
    let authorization = first.headers["authorization"].to_str().unwrap();
    assert!(authorization.contains("/eu-west-1/lambda/aws4_request"), "{authorization}");
    assert_eq!(first.headers["x-amz-invocation-type"], "RequestResponse");
    let expected = r#"{"idempotencyKey":"c1/t1/8/a.1","toolUseId":"a.1","name":"look","input":{"z": 1.0,"a":[]},"caller":{"id":"u1","name":"Ann"},"conversationId":"c1","turnId":"t1"}"#;
    assert_eq!(first.body, expected);
    let payload: Value = serde_json::from_str(&second.body).unwrap();
    assert_eq!(payload["caller"], json!({ "id": null, "name": null }));
}

#[tokio::test]
async fn idempotency_key_is_the_same_for_each_attempt_at_a_call_alone() {
    let server = Server::start((0..4).map(|_| Reply::json("1"))).await;
    let first = tool_run(ToolEffect::Read);
    let mut again = first.clone();
    again.claim.attempt += 1;
    // A later run of the turn gives the same id to a call of a later event.
    let mut later = again.clone();
    later.position += 1;
    let mut other = first.clone();
    other.tool_use.id = "b.1".into();
    for run in [first, again, later, other] {
        server.run(&run).await;
    }
    let key = |request: &Request| serde_json::from_str::<Value>(&request.body).unwrap()["idempotencyKey"].to_string();
    let keys: Vec<_> = server.take_requests().iter().map(key).collect();
    assert_eq!(keys[0], keys[1]);
    assert!(keys[1] != keys[2] && keys[1] != keys[3] && keys[2] != keys[3], "{keys:?}");
}

#[tokio::test]
async fn error_of_the_function_fails_with_its_message_alone() {
    let long = "é".repeat(1_500);
    for (body, expected) in [
        (json!({ "errorMessage": "No such order.", "errorType": "E", "stackTrace": ["secret"] }), "No such order."),
        (json!({ "errorMessage": long }), &long[..2_000]),
        (json!({ "errorType": "E" }), "The tool failed."),
        (json!({ "errorMessage": " " }), "The tool failed."),
        (json!("text"), "The tool failed."),
    ] {
        let reply = Reply::json(body.to_string()).header("x-amz-function-error", "Unhandled");
        let server = Server::start([reply]).await;
        let outcome = server.run(&tool_run(ToolEffect::Read)).await;
        assert_failed(&outcome, expected);
        assert!(outcome.ended_at.is_some());
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn result_that_is_not_json_or_too_large_fails() {
    let json_of = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    for (body, expected) in [
        (String::new(), "The tool's result is not JSON."),
        ("So.".to_owned(), "The tool's result is not JSON."),
        (json_of(1024 * 1024 + 1), "The tool's result is larger than 1 MB."),
    ] {
        let server = Server::start([Reply::json(body)]).await;
        assert_failed(&server.run(&tool_run(ToolEffect::Read)).await, expected);
    }
    let server = Server::start([Reply::json(json_of(1024 * 1024))]).await;
    assert_eq!(server.run(&tool_run(ToolEffect::Read)).await.status, ToolStatus::Succeeded);
}

#[tokio::test]
async fn missing_permission_or_function_fails_at_once_without_a_run() {
    for status in [403, 404] {
        let server = Server::start([Reply::status(status)]).await;
        let outcome = server.run(&tool_run(ToolEffect::Read)).await;
        assert_failed(&outcome, NOT_ALLOWED);
        assert_eq!((outcome.started_at, outcome.ended_at), (None, None));
        assert_eq!(server.take_requests().len(), 1);
    }
    let server = Server::start([]).await;
    let mut run = tool_run(ToolEffect::Read);
    let tool = Arc::make_mut(&mut run.tool);
    let function_arn = "arn:aws:lambda:evil.example/:123456789012:function:look".into();
    tool.target = ToolTarget::Lambda(LambdaTool { function_arn });
    assert_failed(&server.run(&run).await, NOT_ALLOWED);
    assert_eq!(server.take_requests().len(), 0);
}

#[tokio::test]
async fn other_refusals_fail_at_once() {
    for status in [400, 413, 302] {
        let server = Server::start([Reply::status(status)]).await;
        assert_failed(&server.run(&tool_run(ToolEffect::Read)).await, NOT_REACHED);
        assert_eq!(server.take_requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn reading_tool_is_called_again_after_throttling_and_server_errors() {
    let server = Server::start([Reply::status(429), Reply::status(503), Reply::Hangup, Reply::json("7")]).await;
    let outcome = server.run(&tool_run(ToolEffect::Read)).await;
    assert_eq!(outcome.output, ToolOutput::Json("7".into()));
    assert_eq!(server.take_requests().len(), 4);
}

#[tokio::test]
async fn reading_tool_is_not_called_again_after_its_time() {
    let server = Server::start((0..100).map(|_| Reply::status(500))).await;
    let outcome = server.run(&run_for(ToolEffect::Read, Duration::from_secs(1))).await;
    assert_failed(&outcome, NOT_REACHED);
    assert!((2..10).contains(&server.take_requests().len()));
}

#[tokio::test]
async fn changing_tool_is_called_again_only_if_it_was_not_started() {
    let server = Server::start([Reply::status(429), Reply::json("7")]).await;
    assert_eq!(server.run(&tool_run(ToolEffect::Write)).await.output, ToolOutput::Json("7".into()));
    let failed = "The tool's service failed.";
    let broken = "The connection to the tool broke.";
    for (reply, expected) in [(Reply::status(500), failed), (Reply::status(503), failed), (Reply::Hangup, broken)] {
        let server = Server::start([reply, Reply::json("7")]).await;
        let outcome = server.run(&tool_run(ToolEffect::Write)).await;
        assert_unknown(&outcome, expected);
        assert!(outcome.started_at.is_some() && outcome.ended_at.is_none());
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn tool_that_does_not_answer_in_time_has_an_unknown_end() {
    for effect in [ToolEffect::Read, ToolEffect::Write] {
        let server = Server::start([Reply::Delayed(Duration::from_secs(20))]).await;
        let outcome = server.run(&run_for(effect, Duration::from_secs(1))).await;
        let text = "The tool did not answer within 1 seconds.";
        match effect {
            ToolEffect::Read => assert_failed(&outcome, text),
            ToolEffect::Write => assert_unknown(&outcome, text),
        }
        assert!(outcome.started_at.is_some() && outcome.ended_at.is_none());
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn changing_tool_is_run_once_and_its_outcome_is_reused() {
    let server = Server::start([Reply::json("{\"orders\":1}")]).await;
    let first = server.run(&tool_run(ToolEffect::Write)).await;
    assert_eq!(first.status, ToolStatus::Succeeded);
    let second = server.run_by_second_attempt(tool_run(ToolEffect::Write)).await;
    assert_eq!(second, first);
    assert_eq!(server.take_requests().len(), 1);
}

#[tokio::test]
async fn outcome_of_a_run_that_was_cut_off_is_unknown_to_the_next_attempt() {
    let server = Server::start([Reply::Delayed(Duration::from_secs(20))]).await;
    server.cut_off(&tool_run(ToolEffect::Write)).await;
    let outcome = server.run_by_second_attempt(tool_run(ToolEffect::Write)).await;
    let output = ToolOutput::Text(UNKNOWN_OUTCOME.into());
    let expected = ToolOutcome { status: ToolStatus::Unknown, output, started_at: None, ended_at: None };
    assert_eq!(outcome, expected);
    assert_eq!(server.take_requests().len(), 1);
}

#[tokio::test]
async fn attempt_that_cannot_claim_a_call_has_the_outcome_of_the_attempt_before() {
    let mut server = Server::start([Reply::json("7")]).await;
    let first = server.run(&tool_run(ToolEffect::Write)).await;
    server.table = server.table.throttling_calls_with("ConditionCheck");
    let second = server.run_by_second_attempt(run_for(ToolEffect::Write, Duration::from_secs(1))).await;
    assert_eq!((second, server.take_requests().len()), (first, 1));
}

#[tokio::test]
async fn call_that_nobody_can_claim_has_failed() {
    let mut server = Server::start([Reply::json("7")]).await;
    server.table = server.table.throttling_calls_with("ConditionCheck");
    let outcome = server.run(&run_for(ToolEffect::Write, Duration::from_secs(1))).await;
    assert_failed(&outcome, NOT_REACHED);
    assert_eq!(server.take_requests().len(), 0);
}

#[tokio::test]
async fn call_with_an_unknown_claim_has_an_unknown_outcome() {
    let mut server = Server::start([Reply::json("7")]).await;
    server.table = server.table.throttling_calls_with("TOOL#");
    let outcome = server.run(&run_for(ToolEffect::Write, Duration::from_secs(1))).await;
    assert_unknown(&outcome, "It is not known whether this call was run.");
    assert_eq!(server.take_requests().len(), 0);
}

#[tokio::test]
async fn unknown_outcome_of_a_run_is_stored_for_the_next_attempt() {
    let server = Server::start([Reply::Hangup, Reply::json("7")]).await;
    let first = server.run(&tool_run(ToolEffect::Write)).await;
    assert_eq!(server.run_by_second_attempt(tool_run(ToolEffect::Write)).await, first);
    assert_unknown(&first, "The connection to the tool broke.");
    assert_eq!(server.take_requests().len(), 1);
}

#[tokio::test]
async fn superseded_attempt_neither_runs_a_changing_tool_nor_has_a_result() {
    let server = Server::start([Reply::json("1")]).await;
    server.claim_for_attempt(2).await;
    let run = tool_run(ToolEffect::Write);
    assert!(timeout(Duration::from_millis(300), server.run(&run)).await.is_err());
    assert_eq!(server.take_requests().len(), 0);
}

#[tokio::test]
async fn conflicting_claims_are_repeated() {
    let mut server = Server::start([Reply::json("7")]).await;
    server.table = server.table.replacing_first_response("TransactWriteItems", TRANSACTION_CANCELLED);
    assert_eq!(server.run(&tool_run(ToolEffect::Write)).await.output, ToolOutput::Json("7".into()));
    assert_eq!(server.take_requests().len(), 1);
}

#[tokio::test]
async fn failed_write_of_the_outcome_does_not_change_it() {
    let mut server = Server::start([Reply::json("7")]).await;
    server.table = server.table.throttling_calls_with("outcome");
    assert_eq!(server.run(&tool_run(ToolEffect::Write)).await.output, ToolOutput::Json("7".into()));
}

#[tokio::test]
async fn reading_tool_is_not_claimed() {
    let server = Server::start([Reply::json("7")]).await;
    server.run(&tool_run(ToolEffect::Read)).await;
    assert_eq!(server.table.all_items().await.len(), 1);
}

fn tool_run(effect: ToolEffect) -> ToolRun {
    run_for(effect, Duration::from_secs(30))
}

fn run_for(effect: ToolEffect, time_limit: Duration) -> ToolRun {
    let target = ToolTarget::Lambda(LambdaTool { function_arn: ARN.into() });
    super::run_for(effect, target, time_limit)
}
