//! Runs of tools against an HTTP server that stands for Lambda, and an embedded table.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::types::{ToolStatus, ToolUse};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Response, StatusCode, Uri},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use turn::{
    model::ToolOutput,
    tool::{Caller, LambdaTool, Tool, ToolApproval, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use super::{Lambda, ToolRunner, UNKNOWN_OUTCOME};
use crate::{
    aws::{
        dynamodb::{
            Table,
            test_support::{
                FAR, NOW, claim, embedded_table, interceptors::TRANSACTION_CANCELLED, number, time, turn_item, with,
            },
        },
        http_client,
    },
    clock::{self, Clock},
};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:look";
const NOT_REACHED: &str = "The tool could not be reached.";
const NOT_ALLOWED: &str = "The tool may not be used or does not exist.";

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
    let expected = r#"{"toolUseId":"a.1","name":"look","input":{"z": 1.0,"a":[]},"caller":{"id":"u1","name":"Ann"},"conversationId":"c1","turnId":"t1"}"#;
    assert_eq!(first.body, expected);
    let payload: Value = serde_json::from_str(&second.body).unwrap();
    assert_eq!(payload["caller"], json!({ "id": null, "name": null }));
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
    for reply in [Reply::status(500), Reply::status(503), Reply::Hangup] {
        let server = Server::start([reply, Reply::json("7")]).await;
        let outcome = server.run(&tool_run(ToolEffect::Write)).await;
        assert_failed(&outcome, NOT_REACHED);
        assert!(outcome.started_at.is_some() && outcome.ended_at.is_none());
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn tool_that_does_not_answer_in_time_fails_with_an_unknown_end() {
    for effect in [ToolEffect::Read, ToolEffect::Write] {
        let server = Server::start([Reply::Delayed(Duration::from_secs(20))]).await;
        let outcome = server.run(&run_for(effect, Duration::from_secs(1))).await;
        assert_failed(&outcome, "The tool did not answer within 1 seconds.");
        assert!(outcome.started_at.is_some() && outcome.ended_at.is_none());
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn changing_tool_is_run_by_the_first_attempt_alone_and_its_outcome_is_reused() {
    let server = Server::start([Reply::json("{\"orders\":1}")]).await;
    let first = server.run(&tool_run(ToolEffect::Write)).await;
    assert_eq!(first.status, ToolStatus::Succeeded);
    let second = server.run_by_second_attempt().await;
    assert_eq!(second, first);
    assert_eq!(server.take_requests().len(), 1);
}

#[tokio::test]
async fn outcome_of_a_run_that_was_cut_off_is_unknown_to_the_next_attempt() {
    let server = Server::start([Reply::Delayed(Duration::from_secs(20))]).await;
    let run = tool_run(ToolEffect::Write);
    assert!(timeout(Duration::from_millis(300), server.run(&run)).await.is_err());
    let outcome = server.run_by_second_attempt().await;
    let output = ToolOutput::Text(UNKNOWN_OUTCOME.into());
    let expected = ToolOutcome { status: ToolStatus::Unknown, output, started_at: None, ended_at: None };
    assert_eq!(outcome, expected);
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

fn assert_failed(outcome: &ToolOutcome, text: &str) {
    assert_eq!((outcome.status, &outcome.output), (ToolStatus::Failed, &ToolOutput::Text(text.into())));
}

fn tool_run(effect: ToolEffect) -> ToolRun {
    run_for(effect, Duration::from_secs(30))
}

fn run_for(effect: ToolEffect, time_limit: Duration) -> ToolRun {
    let tool = Tool {
        name: "look".into(),
        title: None,
        description: "Looks.".into(),
        input_schema: r#"{"type":"object"}"#.into(),
        effect,
        approval: ToolApproval::Never,
        target: ToolTarget::Lambda(LambdaTool { function_arn: ARN.into() }),
    };
    let input = r#"{"z": 1.0,"a":[]}"#.into();
    ToolRun {
        claim: claim(),
        caller: Caller { id: Some("u1".into()), name: Some("Ann".into()) },
        position: 8,
        tool: Arc::new(tool),
        tool_use: ToolUse { id: "a.1".into(), name: "look".into(), title: None, input },
        until: clock::now() + time_limit,
    }
}

/// What the server does with one request.
enum Reply {
    Answer(Response<Body>),
    Delayed(Duration),
    /// Closes the connection in the middle of the response.
    Hangup,
}

impl Reply {
    fn json(body: impl Into<Body>) -> Self {
        Self::Answer(Response::new(body.into()))
    }

    fn status(status: u16) -> Self {
        let body = Body::from(r#"{"message":"secret"}"#);
        Self::Answer(Response::builder().status(status).header("location", "/").body(body).unwrap())
    }

    fn header(self, name: &'static str, value: &'static str) -> Self {
        let Self::Answer(mut response) = self else { panic!("not an answer") };
        response.headers_mut().insert(name, value.parse().unwrap());
        Self::Answer(response)
    }

    async fn into_response(self) -> Response<Body> {
        match self {
            Self::Answer(response) => response,
            Self::Delayed(delay) => {
                sleep(delay).await;
                Response::new(Body::empty())
            }
            Self::Hangup => Response::builder().header("content-length", "100").body(broken_body()).unwrap(),
        }
    }
}

fn broken_body() -> Body {
    let error = std::io::Error::other("hung up");
    Body::from_stream(futures::stream::iter([Ok("1".to_owned()), Err(error)]))
}

#[derive(Debug)]
struct Request {
    path: String,
    headers: HeaderMap,
    body: String,
}

/// A Lambda service with scripted replies, and the table of a turn that attempt 1 owns.
struct Server {
    lambda: Lambda,
    table: Table,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let received = Arc::clone(&requests);
        let respond = move |uri: Uri, headers: HeaderMap, body: String| async move {
            received.lock().unwrap().push(Request { path: uri.path().to_owned(), headers, body });
            let reply = replies.lock().unwrap().pop_front();
            match reply {
                Some(reply) => reply.into_response().await,
                None => Reply::status(StatusCode::IM_A_TEAPOT.as_u16()).into_response().await,
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(respond)).await });
        let credentials = Credentials::new("any", "any", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let table = embedded_table().await;
        table.put_items([turn_item("RUNNING", Some(FAR), FAR)]).await;
        let lambda = Lambda::new(http_client().unwrap(), &config, Some(endpoint)).unwrap();
        Self { lambda, table, requests }
    }

    async fn run(&self, run: &ToolRun) -> ToolOutcome {
        let clock = Clock::starting_at(time(NOW));
        ToolRunner { table: &self.table, lambda: &self.lambda, clock }.run(run).await
    }

    /// Runs the changing tool again, as the next attempt does with a stored call.
    async fn run_by_second_attempt(&self) -> ToolOutcome {
        self.claim_for_attempt(2).await;
        let mut run = tool_run(ToolEffect::Write);
        run.claim.attempt = 2;
        self.run(&run).await
    }

    async fn claim_for_attempt(&self, attempt: u32) {
        let turn = turn_item("RUNNING", Some(FAR), FAR);
        self.table.put_items([with(turn, "attempt", number(attempt))]).await;
    }

    fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}
