//! Tools of MCP servers.
use std::{sync::Arc, time::Duration};

use api::types::ToolStatus;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use turn::{
    model::ToolOutput,
    tool::{Caller, McpServer, McpTool, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use super::{NOT_ALLOWED, NOT_REACHED, Server, assert_failed, assert_unknown, run_for};
use crate::{
    aws::{
        mcp::test_server::{Reply, TestServer, event, text_result},
        tools::UNKNOWN_OUTCOME,
    },
    clock::now,
};

/// The runner of tools, and an MCP server that its deployment allows.
struct Fixture {
    runner: Server,
    mcp: TestServer,
}

impl Fixture {
    async fn start() -> Self {
        let mcp = TestServer::start().await;
        let mut runner = Server::start([]).await;
        runner.clients.mcp = mcp.clients();
        Self { runner, mcp }
    }

    async fn with_call_replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        let fixture = Self::start().await;
        fixture.mcp.script("tools/call", replies);
        fixture
    }

    fn run_of(&self, effect: ToolEffect, time_limit: Duration) -> ToolRun {
        self.run_at(self.mcp.server(), effect, time_limit)
    }

    fn run_at(&self, server: McpServer, effect: ToolEffect, time_limit: Duration) -> ToolRun {
        run_for(effect, ToolTarget::Mcp(McpTool { server, tool_name: "look-up".into() }), time_limit)
    }

    async fn read(&self) -> ToolOutcome {
        self.runner.run(&self.run_of(ToolEffect::Read, Duration::from_secs(5))).await
    }

    async fn write(&self) -> ToolOutcome {
        self.runner.run(&self.run_of(ToolEffect::Write, Duration::from_secs(5))).await
    }

    /// Drops a run once its call has come.
    async fn cut_off(&self, run: &ToolRun) {
        tokio::select! {
            outcome = self.runner.run(run) => panic!("the run has ended: {outcome:?}"),
            () = self.mcp.wait_for("tools/call", 1) => {}
        }
    }

    async fn close_sessions(&self) {
        self.runner.mcp_sessions.close(now() + Duration::from_secs(60)).await;
    }

    fn calls(&self) -> usize {
        self.mcp.take_methods().into_iter().filter(|method| method == "tools/call").count()
    }
}

#[tokio::test]
async fn server_gets_the_call_with_a_key_and_its_caller() {
    let fixture = Fixture::start().await;
    let mut run = fixture.run_of(ToolEffect::Read, Duration::from_secs(5));
    let outcome = fixture.runner.run(&run).await;
    assert_eq!((outcome.status, outcome.output), (ToolStatus::Succeeded, ToolOutput::Text("done".into())));
    assert!(outcome.started_at.is_some() && outcome.ended_at >= outcome.started_at);
    run.caller = Caller::default();
    fixture.runner.run(&run).await;
    fixture.close_sessions().await;
    let requests = fixture.mcp.take_requests();
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call", "tools/call", "DELETE"]);
    let params = &requests[2].body["params"];
    assert_eq!((&params["name"], &params["arguments"]), (&json!("look-up"), &json!({ "z": 1.0, "a": [] })));
    let meta = &params["_meta"];
    assert_eq!(meta["parlance/idempotencyKey"], "c1/t1/8/a.1");
    assert_eq!(meta["parlance/conversationId"], "c1");
    assert_eq!(meta["parlance/caller"], json!({ "id": "u1", "name": "Ann" }));
    let anonymous = &requests[3].body["params"]["_meta"]["parlance/caller"];
    assert_eq!(*anonymous, json!({ "id": null, "name": null }));
    for request in &requests[1..] {
        assert_eq!(request.header("mcp-session-id"), Some("session-1"), "{}", request.method);
    }
}

#[tokio::test]
async fn calls_at_the_same_time_share_a_session() {
    let fixture = Fixture::start().await;
    let held = Arc::new(Semaphore::new(0));
    fixture.mcp.script("tools/call", (0..8).map(|_| Reply::Held(Arc::clone(&held))));
    let runs: Vec<_> = (0..8).map(|_| fixture.run_of(ToolEffect::Read, Duration::from_secs(60))).collect();
    let release = async {
        fixture.mcp.wait_for("tools/call", 8).await;
        held.add_permits(8);
    };
    let (outcomes, ()) = tokio::join!(join_all(runs.iter().map(|run| fixture.runner.run(run))), release);
    for outcome in outcomes {
        assert_eq!(outcome.output, ToolOutput::Text("done".into()));
    }
    let methods = fixture.mcp.take_methods();
    assert_eq!(methods.iter().filter(|method| *method == "initialize").count(), 1);
}

#[tokio::test]
async fn result_is_structured_content_or_text_or_a_list_of_texts() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let image = json!({ "type": "image", "data": "AAAA", "mimeType": "image/png" });
    let resource = json!({ "type": "resource", "resource": { "uri": "a://1", "text": "inner" } });
    let blob = json!({ "type": "resource", "resource": { "uri": "a://2", "blob": "AAAA" } });
    let link = json!({ "type": "resource_link", "uri": "a://3", "name": "three" });
    let nothing = ToolOutput::Text("The tool returned nothing.".into());
    for (result, expected) in [
        (json!({ "content": [text("3")], "structuredContent": { "sum": 3 } }), ToolOutput::Json(r#"{"sum":3}"#.into())),
        (json!({ "content": [text("3")], "structuredContent": null }), ToolOutput::Text("3".into())),
        (json!({ "content": [text("{\"a\": 1.0}")] }), ToolOutput::Json("{\"a\": 1.0}".into())),
        (json!({ "content": [text("{a}")] }), ToolOutput::Text("{a}".into())),
        (json!({ "content": [text(" ")] }), nothing.clone()),
        (json!({ "content": [] }), nothing.clone()),
        (json!({}), nothing),
        (json!({ "content": [image] }), ToolOutput::Text("[An image (image/png) is left out.]".into())),
        (
            json!({ "content": [text("a"), image, resource, blob, link] }),
            ToolOutput::Json(
                json!([
                    "a",
                    "[An image (image/png) is left out.]",
                    "inner",
                    "[The resource a://2 is left out.]",
                    "[The resource a://3 is left out.]",
                ])
                .to_string(),
            ),
        ),
    ] {
        for reply in [Reply::Result(result.clone()), Reply::Event(result.clone())] {
            let fixture = Fixture::with_call_replies([reply]).await;
            let outcome = fixture.read().await;
            assert_eq!((outcome.status, outcome.output), (ToolStatus::Succeeded, expected.clone()), "{result}");
        }
    }
}

#[tokio::test]
async fn errors_of_the_tool_fail_with_their_texts() {
    let long = "é".repeat(1_500);
    let error = |texts: &[&str]| {
        let blocks: Vec<_> = texts.iter().map(|text| json!({ "type": "text", "text": text })).collect();
        Reply::Result(json!({ "content": blocks, "isError": true }))
    };
    for (reply, expected) in [
        (error(&["No such order."]), "No such order."),
        (error(&["No.", "Really."]), "No.\nReally."),
        (error(&[&long]), &long[..2_000]),
        (error(&[]), "The tool failed."),
        (Reply::Error("Unknown tool"), "Unknown tool"),
        (Reply::Error(" "), "The tool failed."),
    ] {
        let fixture = Fixture::with_call_replies([reply]).await;
        let outcome = fixture.write().await;
        assert_failed(&outcome, expected);
        assert!(outcome.ended_at.is_some());
        assert_eq!(fixture.calls(), 1);
    }
}

#[tokio::test]
async fn call_that_did_not_start_is_repeated() {
    for effect in [ToolEffect::Read, ToolEffect::Write] {
        let fixture = Fixture::with_call_replies([Reply::Status(429), Reply::Status(429)]).await;
        let outcome = fixture.runner.run(&fixture.run_of(effect, Duration::from_secs(5))).await;
        assert_eq!(outcome.status, ToolStatus::Succeeded, "{effect:?}");
        assert_eq!(fixture.calls(), 3);
    }
}

/// A stream that ends early is a broken connection.
#[tokio::test]
async fn only_calls_that_read_are_repeated_after_a_failure_in_between() {
    const BROKEN: &str = "The connection to the tool broke.";
    const FAILED: &str = "The tool's service failed.";
    let ended_stream = || Reply::Body("text/event-stream", "id: 1\ndata:\n\n".into());
    for (failures, text) in [
        ([Reply::Hangup, Reply::Hangup], BROKEN),
        ([ended_stream(), ended_stream()], BROKEN),
        ([Reply::Status(500), Reply::Status(500)], FAILED),
        ([Reply::Status(408), Reply::Status(408)], FAILED),
    ] {
        let [first, second] = failures;
        let fixture = Fixture::with_call_replies([first]).await;
        assert_eq!(fixture.read().await.status, ToolStatus::Succeeded);
        assert_eq!(fixture.calls(), 2);
        let fixture = Fixture::with_call_replies([second]).await;
        assert_unknown(&fixture.write().await, text);
        assert_eq!(fixture.calls(), 1);
    }
}

#[tokio::test]
async fn responses_that_cannot_be_used_leave_a_changing_call_unknown() {
    const BAD: &str = "The tool's response does not follow its protocol.";
    let replies: [fn() -> Reply; 5] = [
        || Reply::Body("text/html", "<html>".into()),
        || Reply::Body("application/json", "{".into()),
        || Reply::Status(202),
        || Reply::OpenStream(vec![event("{}")]),
        || Reply::Result(json!({ "resultType": "input_required", "inputRequests": {} })),
    ];
    for reply in replies {
        let fixture = Fixture::with_call_replies([reply(), reply()]).await;
        assert_failed(&fixture.read().await, BAD);
        let outcome = fixture.write().await;
        assert_unknown(&outcome, BAD);
    }
}

#[tokio::test]
async fn result_larger_than_a_megabyte_fails() {
    let params = json!({ "level": "info", "data": "a".repeat(100_000) });
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params });
    for reply in [
        Reply::Result(text_result(&"a".repeat(1024 * 1024))),
        Reply::EndlessStream(": nothing\n".repeat(100)),
        Reply::EndlessStream(event(&notification.to_string())),
    ] {
        let fixture = Fixture::with_call_replies([reply]).await;
        assert_failed(&fixture.write().await, "The tool's result is larger than 1 MB.");
    }
}

#[tokio::test]
async fn calls_that_do_not_end_are_given_up_in_time() {
    for reply in [
        || Reply::Delayed(Duration::from_secs(60), Box::new(Reply::Status(202))),
        || Reply::OpenStream(vec![": open\n\n".into()]),
    ] {
        let fixture = Fixture::with_call_replies([reply(), reply()]).await;
        let limit = Duration::from_millis(600);
        let outcome = fixture.runner.run(&fixture.run_of(ToolEffect::Read, limit)).await;
        assert_failed(&outcome, "The tool did not answer within 1 seconds.");
        let outcome = fixture.runner.run(&fixture.run_of(ToolEffect::Write, limit)).await;
        assert_unknown(&outcome, "The tool did not answer within 1 seconds.");
    }
}

#[tokio::test]
async fn server_is_told_of_calls_that_are_given_up() {
    let fixture = Fixture::with_call_replies([Reply::OpenStream(Vec::new())]).await;
    let run = fixture.run_of(ToolEffect::Read, Duration::from_secs(60));
    fixture.cut_off(&run).await;
    fixture.mcp.wait_for("notifications/cancelled", 1).await;
    fixture.mcp.take_requests();
    fixture.close_sessions().await;
    assert_eq!(fixture.mcp.take_methods(), ["DELETE"]);
}

#[tokio::test]
async fn expired_session_is_replaced_once() {
    for effect in [ToolEffect::Read, ToolEffect::Write] {
        let fixture = Fixture::with_call_replies([Reply::Status(404)]).await;
        let outcome = fixture.runner.run(&fixture.run_of(effect, Duration::from_secs(5))).await;
        assert_eq!(outcome.status, ToolStatus::Succeeded);
        let calls: Vec<_> =
            fixture.mcp.take_requests().into_iter().filter(|request| request.method == "tools/call").collect();
        let sessions: Vec<_> = calls.iter().map(|call| call.header("mcp-session-id").unwrap()).collect();
        assert_eq!(sessions, ["session-1", "session-2"]);
    }
    let fixture = Fixture::with_call_replies([Reply::Status(404), Reply::Status(404)]).await;
    assert_failed(&fixture.write().await, "The tool's server did not accept the request.");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn refusals_fail_without_anything_of_the_response() {
    for (status, text) in [
        (400, "The tool's server did not accept the request."),
        (302, "The tool's server did not accept the request."),
        (401, "The tool's server did not accept the sign-in of this deployment."),
        (403, "The tool's server does not allow this call to the sign-in of this deployment."),
    ] {
        let fixture = Fixture::with_call_replies([Reply::Status(status)]).await;
        assert_failed(&fixture.write().await, text);
        assert_eq!(fixture.calls(), 1, "no redirect is followed");
    }
}

#[tokio::test]
async fn session_is_opened_before_the_call_is_claimed() {
    let fixture = Fixture::start().await;
    fixture.mcp.script("initialize", [Reply::Status(500), Reply::Hangup]);
    assert_eq!(fixture.write().await.status, ToolStatus::Succeeded);
    let fixture = Fixture::start().await;
    fixture.mcp.script("initialize", [Reply::Status(401)]);
    let run = fixture.run_of(ToolEffect::Write, Duration::from_secs(5));
    let outcome = fixture.runner.run(&run).await;
    assert_failed(&outcome, "The tool's server did not accept the sign-in of this deployment.");
    assert_eq!((outcome.started_at, fixture.calls()), (None, 0));
    let outcome = fixture.runner.run_by_second_attempt(run).await;
    assert_eq!(outcome.status, ToolStatus::Succeeded, "the first attempt has claimed nothing");
}

#[tokio::test]
async fn changing_call_of_an_earlier_attempt_is_not_sent_again() {
    let fixture = Fixture::start().await;
    let run = fixture.run_of(ToolEffect::Write, Duration::from_secs(5));
    let outcome = fixture.runner.run(&run).await;
    assert_eq!(fixture.runner.run_by_second_attempt(run.clone()).await.output, outcome.output);
    assert_eq!(fixture.calls(), 1);
    let fixture = Fixture::with_call_replies([Reply::OpenStream(Vec::new())]).await;
    let run = fixture.run_of(ToolEffect::Write, Duration::from_secs(60));
    fixture.cut_off(&run).await;
    let outcome = fixture.runner.run_by_second_attempt(run).await;
    assert_eq!(outcome.output, ToolOutput::Text(UNKNOWN_OUTCOME.into()));
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn what_the_deployment_has_taken_back_gets_nothing() {
    let fixture = Fixture::start().await;
    let mut other = fixture.mcp.server();
    other.url.push_str("/other");
    let mut with_other_secret = fixture.mcp.server_with_secret();
    with_other_secret.authorization_secret_arn = Some("arn:aws:secretsmanager:eu-west-1:1:secret:b-AbC123".into());
    for server in [other, with_other_secret] {
        let run = fixture.run_at(server, ToolEffect::Write, Duration::from_secs(5));
        assert_failed(&fixture.runner.run(&run).await, NOT_ALLOWED);
    }
    assert!(fixture.mcp.take_requests().is_empty());
}

#[tokio::test]
async fn server_that_is_not_there_cannot_be_reached() {
    let fixture = Fixture::start().await;
    let url = "http://127.0.0.1:1/mcp".to_owned();
    let mut runner = fixture.runner;
    runner.clients.mcp = fixture.mcp.clients_for(&url);
    let server = McpServer { url, authorization_secret_arn: None };
    let target = ToolTarget::Mcp(McpTool { server, tool_name: "look".into() });
    let run = run_for(ToolEffect::Write, target, Duration::from_millis(500));
    assert_failed(&runner.run(&run).await, NOT_REACHED);
}

#[tokio::test]
async fn refused_secret_is_read_again_in_the_middle_of_a_session() {
    let fixture = Fixture::with_call_replies([Reply::Result(text_result("one")), Reply::Status(401)]).await;
    let server = fixture.mcp.server_with_secret();
    let run = fixture.run_at(server, ToolEffect::Write, Duration::from_secs(5));
    let mut second = run.clone();
    second.tool_use.id = "a.2".into();
    assert_eq!(fixture.runner.run(&run).await.status, ToolStatus::Succeeded);
    fixture.mcp.set_secret("Bearer second-token");
    assert_eq!(fixture.runner.run(&second).await.status, ToolStatus::Succeeded);
    let calls = fixture.mcp.take_requests().into_iter().filter(|request| request.method == "tools/call");
    let headers: Vec<_> = calls.map(|call| call.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(headers, ["Bearer first-token", "Bearer first-token", "Bearer second-token"]);
}

#[tokio::test]
async fn forbidden_call_is_sent_once_with_the_secret_as_it_is() {
    let fixture = Fixture::with_call_replies([Reply::Status(403)]).await;
    let run = fixture.run_at(fixture.mcp.server_with_secret(), ToolEffect::Read, Duration::from_secs(5));
    let text = "The tool's server does not allow this call to the sign-in of this deployment.";
    assert_failed(&fixture.runner.run(&run).await, text);
    let methods = fixture.mcp.take_methods();
    assert_eq!(methods, ["GetSecretValue", "initialize", "notifications/initialized", "tools/call"]);
}

#[tokio::test]
async fn error_codes_of_the_server_are_its_own() {
    for code in [1, 2, -1, i32::MAX] {
        let fixture = Fixture::with_call_replies([Reply::CodedError(code, "Out of stock")]).await;
        assert_failed(&fixture.write().await, "Out of stock");
    }
}

#[tokio::test]
async fn secret_that_the_server_repeats_is_removed() {
    let error = || Reply::Result(json!({ "isError": true, "content": text_result("first-token!")["content"] }));
    let structured = json!({ "content": [], "structuredContent": { "headers": { "auth": "Bearer first-token" } } });
    for (reply, expected) in [
        (Reply::Result(text_result("You sent Bearer first-token.")), "You sent [credential removed]."),
        (Reply::Event(text_result("first-token")), "[credential removed]"),
        (Reply::Result(structured), r#"{"headers":{"auth":"[credential removed]"}}"#),
        (error(), "[credential removed]!"),
    ] {
        let fixture = Fixture::with_call_replies([reply]).await;
        let run = fixture.run_at(fixture.mcp.server_with_secret(), ToolEffect::Read, Duration::from_secs(5));
        let (ToolOutput::Text(output) | ToolOutput::Json(output)) = fixture.runner.run(&run).await.output;
        assert_eq!(output, expected);
    }
}

#[tokio::test]
async fn requests_of_the_server_are_refused() {
    let ask = json!({ "jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage",
        "params": { "messages": [], "maxTokens": 1 } });
    let ping = json!({ "jsonrpc": "2.0", "id": 8, "method": "ping" });
    let stream = Reply::OpenStream(vec![event(&ask.to_string()), event(&ping.to_string())]);
    let fixture = Fixture::with_call_replies([stream]).await;
    let run = fixture.run_of(ToolEffect::Read, Duration::from_millis(500));
    fixture.runner.run(&run).await;
    let answers: Vec<Value> = fixture
        .mcp
        .take_requests()
        .into_iter()
        .filter(|request| request.method == "POST")
        .map(|request| request.body)
        .collect();
    let answer_to = |id: u64| answers.iter().find(|answer| answer["id"] == id);
    assert_eq!(answer_to(7).expect("an answer")["error"]["code"], -32601);
    assert_eq!(answer_to(8).expect("an answer")["result"], json!({}));
}
