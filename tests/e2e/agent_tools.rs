//! Agents whose tools are Lambda functions. This test binary is also the program of the functions.
use std::{collections::BTreeMap, fs, io::Write, path::Path, time::Duration};

use client::{
    errors::ErrorType,
    requests::{CreateConversation, PutAgent, PutLambdaTool, PutTool},
    schema::{
        ConversationEvent, ConversationUpdate, SenderKind, StopReason, ToolApproval, ToolEffect, ToolResult,
        ToolStatus, TurnStatus,
    },
};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use local::{
    fault_injection::{Call, CallPhase, FaultPlan, KillPoint},
    lambda::LocalFunction,
    server::ServerOptions,
};
use serde_json::{Value, json};

use crate::{
    backend::{Backend, FinishedTurn, expect_api_error, options},
    killed_handlers::{RETRY_AFTER_LEASE, UNKNOWN, run_checks},
    lambda_function::{exit_when_input_closes, is_started_as_function},
    subscriber::Subscriber,
};

/// The test that is the program of the functions.
const FUNCTION_TEST: &str = "agent_tools::program_of_the_functions";
/// Answers as the scripted model, with Claude's rules for transcripts.
pub const MODEL: &str = "anthropic.claude-sonnet-5";

#[test]
fn program_of_the_functions() {
    if is_started_as_function() {
        serve_functions();
    }
}

/// Serves invocations until standard input closes.
#[tokio::main(flavor = "current_thread")]
async fn serve_functions() {
    exit_when_input_closes();
    lambda_runtime::run(service_fn(run_function)).await.expect("the Runtime API answers");
}

/// Does what the arguments say, and returns the whole payload.
async fn run_function(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let input = &event.payload["input"];
    if let Some(file) = input["file"].as_str() {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file).expect("a writable file");
        writeln!(file, "run").expect("a writable file");
    }
    if let Some(milliseconds) = input["milliseconds"].as_u64() {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    match input["error"].as_str() {
        Some(message) => Err(Diagnostic { error_type: "Deliberate".into(), error_message: message.to_owned() }),
        None => Ok(event.payload),
    }
}

#[tokio::test]
async fn tools_of_a_step_are_run_and_their_results_answered() {
    let backend = backend_with_tools().await;
    let conversation = conversation_with_tools(&backend, 10).await;
    let question = r#"Please call look with {"a" : 1.0} and call look with {"milliseconds":1500}."#;
    let finished = backend.send_and_wait(&conversation, question).await;
    assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);

    let events = backend.newest_events(&conversation).await;
    let kinds: Vec<_> = events.iter().map(|event| (event.position, event.sender.kind)).collect();
    let expected = [(1, SenderKind::User), (2, SenderKind::Agent), (3, SenderKind::Tool), (4, SenderKind::Agent)];
    assert_eq!(kinds, expected);
    let calls: Vec<_> = events[1].tool_uses().collect();
    let inputs: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.input.as_str())).collect();
    assert_eq!(inputs, [("look", r#"{"a" : 1.0}"#), ("look", r#"{"milliseconds":1500}"#)]);
    assert_eq!(calls[0].title.as_deref(), Some("Look up"));

    let results: Vec<_> = events[2].tool_results().collect();
    let ids: Vec<_> = results.iter().map(|result| (&result.tool_use_id, result.status)).collect();
    assert_eq!(ids, [(&calls[0].id, ToolStatus::Succeeded), (&calls[1].id, ToolStatus::Succeeded)]);
    assert!(results[0].started_at.is_some() && results[0].ended_at > results[0].started_at);
    let payload: Value = serde_json::from_str(results[0].json.as_ref().unwrap()).unwrap();
    let key = format!("{conversation}/{}/2/{}", finished.turn.id, calls[0].id);
    let expected = json!({
        "idempotencyKey": key,
        "toolUseId": calls[0].id, "name": "look", "input": { "a": 1.0 }, "caller": { "id": null, "name": null },
        "conversationId": conversation, "turnId": finished.turn.id,
    });
    assert_eq!(payload, expected);
    assert!(events[3].text_or_empty().contains("The tool look returned: "), "{}", events[3].text_or_empty());
    assert_eq!(finished.turn.answer.as_deref(), Some(&events[1..]));
}

/// Llama and Mistral take tools in Converse alone, and no message with both texts and tool blocks.
#[tokio::test]
async fn models_that_take_no_tools_in_a_stream_answer_whole() {
    for model_id in ["us.meta.llama3-3-70b-instruct-v1:0", "mistral.mistral-large-2407-v1:0"] {
        let backend = start_with_model(model_id, |options| options).await;
        let conversation = conversation_with_model(&backend, model_id, 10).await;
        let question = r#"Please call look with {"a":1} and call look. Then call look."#;
        let finished = backend.send_and_wait(&conversation, question).await;
        assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);
        let second = backend.send_and_wait(&conversation, "And call look now.").await;
        assert_eq!(second.turn.status, TurnStatus::Completed, "{:?}", second.turn.failure);
        let results: Vec<_> = [finished, second]
            .iter()
            .flat_map(|finished| finished.turn.answer.iter().flatten())
            .flat_map(|event| event.tool_results().map(|result| result.status).collect::<Vec<_>>())
            .collect();
        assert_eq!(results, [ToolStatus::Succeeded; 4], "{model_id}");
    }
}

#[tokio::test]
async fn subscriber_receives_calls_progress_results_and_answer_in_order() {
    let backend = backend_with_tools().await;
    let conversation = conversation_with_tools(&backend, 10).await;
    let question = r#"Please call look and call look with {"milliseconds":1500}."#;
    let finished = backend.send_and_wait(&conversation, question).await;
    let expected: Vec<u32> = (1..=finished.updates.len() as u32).collect();
    assert_eq!(finished.sequences(), expected);
    let steps: Vec<_> = finished.updates.iter().filter_map(describe).collect();
    let expected = [
        "event 1",
        "event 2: 2 calls, 0 results",
        "look Succeeded",
        "event 3: 0 calls, 2 results",
        "event 4: 0 calls, 0 results",
    ];
    assert_eq!(steps, expected);
    assert_eq!(finished.final_event().stop_reason, Some(StopReason::EndTurn));
    assert!(finished.final_event().usage.is_some());
}

/// An event or the progress of a call; `None` for text and notes.
fn describe(update: &ConversationUpdate) -> Option<String> {
    if let Some(call) = update.metadata.as_ref().and_then(|metadata| metadata.tool_call.as_ref()) {
        return Some(format!("{} {:?}", call.name, call.status));
    }
    let event = update.event.as_ref()?;
    let (calls, results) = (event.tool_uses().count(), event.tool_results().count());
    Some(match event.sender.kind {
        SenderKind::User => format!("event {}", event.position),
        SenderKind::Agent | SenderKind::Tool => format!("event {}: {calls} calls, {results} results", event.position),
    })
}

#[tokio::test]
async fn error_of_a_tool_is_its_result() {
    let backend = backend_with_tools().await;
    let conversation = conversation_with_tools(&backend, 10).await;
    let finished = backend.send_and_wait(&conversation, r#"call look with {"error":"No such order."}"#).await;
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    let result = only_result(&finished);
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Failed, Some("No such order.")));
    let answer = finished.final_event().text_or_empty();
    assert!(answer.contains("The tool look failed: No such order."), "{answer}");
}

/// What a killed handler leaves behind.
struct Kill {
    effect: ToolEffect,
    at: (Call, CallPhase),
    /// How often the tool ran.
    runs: usize,
    status: ToolStatus,
}

/// A tool that changes something is run at most once.
pub async fn check_killed_handlers() {
    use CallPhase::{Before, During};
    let kills = [
        // The call is not claimed yet.
        Kill {
            effect: ToolEffect::Write,
            at: (Call::TransactWriteItems, Before),
            runs: 1,
            status: ToolStatus::Succeeded,
        },
        // The call is claimed, and nobody can know that it was not started.
        Kill {
            effect: ToolEffect::Write,
            at: (Call::TransactWriteItems, During),
            runs: 0,
            status: ToolStatus::Unknown,
        },
        Kill { effect: ToolEffect::Write, at: (Call::Invoke, During), runs: 1, status: ToolStatus::Unknown },
        // The outcome is stored.
        Kill { effect: ToolEffect::Write, at: (Call::PutItem, During), runs: 1, status: ToolStatus::Succeeded },
        Kill { effect: ToolEffect::Read, at: (Call::Invoke, During), runs: 2, status: ToolStatus::Succeeded },
    ];
    run_checks(kills.map(check_kill)).await;
}

async fn check_kill(kill: Kill) {
    let (call, phase) = kill.at;
    let point = KillPoint { call, number: 1, phase };
    // The first process checks the agent's tools, and then answers the turn.
    let fault_plan = FaultPlan { kills: BTreeMap::from([(1, point)]), ..FaultPlan::default() };
    let backend = start(|options| ServerOptions { fault_plan, time_scale: RETRY_AFTER_LEASE, ..options }).await;
    let conversation = conversation_with_tools(&backend, 10).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    let tool = match kill.effect {
        ToolEffect::Read => "look",
        _ => "order",
    };
    let question = format!("call {tool} with {}", json!({ "file": file.to_str() }));
    let finished = backend.send_and_wait(&conversation, &question).await;
    assert_eq!(backend.server.call_recorder.kills(), BTreeMap::from([(1, point)]));
    let context = format!("{tool} {point:?}");
    assert_eq!(finished.turn.status, TurnStatus::Completed, "{context}");
    assert_eq!(count_lines(&file), kill.runs, "{context}");
    let result = only_result(&finished);
    assert_eq!(result.status, kill.status, "{context}");
    let is_unknown = kill.status == ToolStatus::Unknown;
    assert_eq!(result.text.as_deref(), is_unknown.then_some(UNKNOWN), "{context}");

    // The second attempt keeps the call of the first one.
    let continues =
        |update: &ConversationUpdate| update.metadata.as_ref().is_some_and(|metadata| metadata.continues == Some(true));
    let continued: Vec<_> = finished.updates.iter().filter(|update| continues(update)).collect();
    assert_eq!(continued.iter().map(|update| update.attempt).collect::<Vec<_>>(), [Some(2)], "{context}");
    let answer = finished.turn.answer.as_ref().unwrap();
    let attempts: Vec<_> = answer.iter().map(|event| (event.position, event.attempt)).collect();
    assert_eq!(attempts, [(2, Some(1)), (3, Some(2)), (4, Some(2))], "{context}");
    assert_eq!(backend.newest_events(&conversation).await.len(), 4, "{context}");
    backend.server.stop().await;
}

pub fn count_lines(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn cancel_ends_a_running_tool() {
    let backend = backend_with_tools().await;
    let conversation = conversation_with_tools(&backend, 10).await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, r#"call look and call order with {"milliseconds":280000}"#).await;
    let mut updates = subscriber.updates_until(|update| describe(update).as_deref() == Some("look Succeeded")).await;
    assert_eq!(backend.cancel(&conversation, &turn.id).await.status, TurnStatus::Cancelling);
    updates.extend(subscriber.updates_until_end(&turn.id).await);
    let finished = FinishedTurn { turn: backend.turn(&conversation, &turn.id).await, updates };
    assert_eq!(finished.turn.status, TurnStatus::Cancelled);
    assert_eq!(finished.final_event().stop_reason, Some(StopReason::Cancelled));
    let events = backend.newest_events(&conversation).await;
    let statuses: Vec<_> = events[2].tool_results().map(|result| result.status).collect();
    assert_eq!(statuses, [ToolStatus::Succeeded, ToolStatus::Cancelled]);
    assert_eq!(events.len(), 4);
    let next = backend.send_and_wait(&conversation, "And now something else.").await;
    assert_eq!(next.turn.status, TurnStatus::Completed, "the model accepts the conversation");
}

#[tokio::test]
async fn answer_with_the_most_steps_is_continued() {
    let backend = backend_with_tools().await;
    let conversation = conversation_with_tools(&backend, 2).await;
    let question = r#"call look with {"n":1}, then call look with {"n":2}, then call look with {"n":3}"#;
    let finished = backend.send_and_wait(&conversation, question).await;
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    assert_eq!(finished.final_event().stop_reason, Some(StopReason::MaxSteps));
    assert_eq!(inputs(&finished), [r#"{"n":1}"#, r#"{"n":2}"#]);

    let continued = backend.continue_and_wait(&conversation, &finished.turn.id).await;
    assert_eq!(continued.final_event().stop_reason, Some(StopReason::EndTurn));
    assert_eq!(inputs(&continued), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    let statuses: Vec<_> = results(&continued).iter().map(|result| result.status).collect();
    assert_eq!(statuses, [ToolStatus::Succeeded; 3]);
    let text = continued.final_event().text_or_empty();
    assert_eq!(text.matches("The tool look returned: ").count(), 3, "{text}");
}

#[tokio::test]
async fn agent_with_tools_that_the_handler_refuses_is_not_stored() {
    let backend = backend_with_tools().await;
    let mut other_function = tool("look", ToolEffect::Read);
    let function_arn = "arn:aws:lambda:us-east-1:000000000000:function:other".into();
    other_function.lambda = Some(PutLambdaTool { function_arn });
    let mut no_object = tool("look", ToolEffect::Read);
    no_object.input_schema = Some(r#"{"type":"string"}"#.into());
    for (refused, field) in [(other_function, "tools[1].lambda.functionArn"), (no_object, "tools[1].inputSchema")] {
        let tools = Some(vec![tool("order", ToolEffect::Write), refused]);
        let agent = PutAgent { id: "refused".into(), model_id: MODEL.into(), tools, ..PutAgent::default() };
        let (error_type, info) = expect_api_error(&backend.administrator, &agent).await;
        assert_eq!((error_type, &info["field"]), (ErrorType::InvalidInput, &json!(field)));
    }
    assert_eq!(backend.partition_items("AGENT#refused").await, Vec::<Value>::new());
}

fn inputs(finished: &FinishedTurn) -> Vec<&str> {
    let calls = answer(finished).iter().flat_map(ConversationEvent::tool_uses);
    calls.map(|call| call.input.as_str()).collect()
}

pub fn results(finished: &FinishedTurn) -> Vec<&ToolResult> {
    answer(finished).iter().flat_map(ConversationEvent::tool_results).collect()
}

fn only_result(finished: &FinishedTurn) -> &ToolResult {
    let [result] = results(finished).try_into().expect("one result");
    result
}

pub fn answer(finished: &FinishedTurn) -> &[ConversationEvent] {
    finished.turn.answer.as_deref().unwrap()
}

pub async fn backend_with_tools() -> Backend {
    start(|options| options).await
}

/// A server with the function `tools`.
pub async fn start(change: impl FnOnce(ServerOptions) -> ServerOptions) -> Backend {
    start_with_model(MODEL, change).await
}

async fn start_with_model(model_id: &str, change: impl FnOnce(ServerOptions) -> ServerOptions) -> Backend {
    let state = tempfile::tempdir().unwrap();
    // The handler may call this model.
    let parameters = BTreeMap::from([("ModelId".to_owned(), model_id.to_owned())]);
    let options = ServerOptions { functions: vec![function()], ..options(&state, parameters) };
    Backend::start_with(change(options), state).await
}

fn function() -> LocalFunction {
    let program = std::env::current_exe().unwrap();
    format!("tools='{}' {FUNCTION_TEST} --exact --nocapture", program.display()).parse().unwrap()
}

/// A conversation with an agent that has a tool `look`, which may be repeated, and a tool `order`, which may
/// not.
async fn conversation_with_tools(backend: &Backend, max_steps: u32) -> String {
    conversation_with_model(backend, MODEL, max_steps).await
}

async fn conversation_with_model(backend: &Backend, model_id: &str, max_steps: u32) -> String {
    let agent = PutAgent {
        id: "tools".into(),
        model_id: model_id.into(),
        tools: Some(vec![tool("look", ToolEffect::Read), tool("order", ToolEffect::Write)]),
        max_steps: Some(max_steps),
        tool_timeout_seconds: Some(300),
        ..PutAgent::default()
    };
    backend.administrator.call(&agent).await.unwrap();
    let conversation = CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() };
    backend.create(conversation).await.id
}

pub fn tool(name: &str, effect: ToolEffect) -> PutTool {
    PutTool {
        name: name.into(),
        title: (name == "look").then(|| "Look up".into()),
        description: Some("Does what its arguments say.".into()),
        input_schema: Some(r#"{"type":"object"}"#.into()),
        effect: Some(effect),
        approval: Some(ToolApproval::Never),
        lambda: Some(PutLambdaTool { function_arn: function().arn() }),
        ..PutTool::default()
    }
}
