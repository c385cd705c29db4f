//! Tools that the handler itself runs.
use std::future::pending;

use turn::tool::True;

use super::*;
use crate::tool::{Tool, ToolCall};

/// Does what its arguments say.
#[derive(Default)]
struct Look {
    calls: Arc<Mutex<Vec<ToolCall>>>,
}

impl Tool for Look {
    fn name(&self) -> &str {
        "look"
    }

    async fn run(&self, call: ToolCall) -> Result<Value, String> {
        self.calls.lock().unwrap().push(call.clone());
        let input: Value = call.arguments()?;
        match input["do"].as_str() {
            Some("panic") => panic!("deliberate"),
            Some("hang") => pending().await,
            Some("fail") => Err(format!("There is no {}.", "x".repeat(2000))),
            Some("fail silently") => Err(" ".to_owned()),
            Some("return much") => Ok("x".repeat(1024 * 1024).into()),
            Some("type") => call.arguments::<Vec<u32>>().map(Value::from),
            _ => Ok(json!({ "seen": input["do"] })),
        }
    }
}

fn call(effect: ToolEffect, action: &str) -> ToolRun {
    let mut run = run_for(effect, ToolTarget::Handler(True), Duration::from_secs(30));
    run.tool_use.input = json!({ "do": action }).to_string();
    run
}

async fn server_with_tool() -> (Server, Arc<Mutex<Vec<ToolCall>>>) {
    let mut server = Server::start([]).await;
    let look = Look::default();
    let calls = Arc::clone(&look.calls);
    server.clients.handler_tools.push(look);
    (server, calls)
}

#[tokio::test]
async fn tool_gets_the_call_and_returns_json() {
    let (server, calls) = server_with_tool().await;
    let outcome = server.run(&call(ToolEffect::Read, "this")).await;
    assert_eq!(
        (outcome.status, &outcome.output),
        (ToolStatus::Succeeded, &ToolOutput::Json(r#"{"seen":"this"}"#.into()))
    );
    assert!(outcome.started_at.is_some() && outcome.ended_at.is_some());
    let call = calls.lock().unwrap().pop().unwrap();
    assert_eq!((call.id.as_str(), call.input.as_str()), ("a.1", r#"{"do":"this"}"#));
    assert_eq!((call.caller.id.as_deref(), call.caller.name.as_deref()), (Some("u1"), Some("Ann")));
    assert_eq!(call.idempotency_key, format!("{}/{}/8/a.1", call.conversation_id, call.turn_id));
}

#[tokio::test]
async fn failure_or_panic_of_a_tool_is_a_failed_call() {
    let (server, _) = server_with_tool().await;
    let long = format!("There is no {}", "x".repeat(988));
    for (action, text) in [
        ("panic", "The tool failed."),
        ("fail", long.as_str()),
        ("fail silently", "The tool failed."),
        ("return much", "The tool's result is larger than 1 MB."),
        ("type", "The arguments are not valid: invalid type: map, expected a sequence at line 1 column 0."),
    ] {
        for effect in [ToolEffect::Read, ToolEffect::Write] {
            let mut run = call(effect, action);
            run.tool_use.id = format!("{effect:?}-{}", action.replace(' ', "-"));
            assert_failed(&server.run(&run).await, text);
        }
    }
}

#[tokio::test]
async fn tool_that_changes_something_is_started_once() {
    let (server, calls) = server_with_tool().await;
    let run = call(ToolEffect::Write, "this");
    let first = server.run(&run).await;
    let second = server.run_by_second_attempt(run).await;
    assert_eq!(second, first);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn tool_that_does_not_end_is_dropped_in_time() {
    let (server, _) = server_with_tool().await;
    let hanging = |effect| ToolRun { until: clock::now() + Duration::from_millis(1100), ..call(effect, "hang") };
    assert_failed(&server.run(&hanging(ToolEffect::Read)).await, "The tool did not answer within 1 seconds.");
    assert_unknown(&server.run(&hanging(ToolEffect::Write)).await, "The tool did not answer within 1 seconds.");
}

#[tokio::test]
async fn tool_that_the_handler_no_longer_has_is_not_run() {
    let server = Server::start([]).await;
    let outcome = server.run(&call(ToolEffect::Write, "this")).await;
    assert_failed(&outcome, NOT_ALLOWED);
    assert_eq!(outcome.started_at, None);
}
