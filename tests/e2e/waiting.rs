//! Tool calls that wait for a user's approval or for a client.
use std::path::Path;

use client::{
    requests::{AnswerToolCall, CreateConversation, PutAgent, PutTool},
    schema::{ConversationUpdate, SenderKind, ToolApproval, ToolEffect, ToolStatus, Turn, TurnStatus},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    agent_tools::{MODEL, answer, backend_with_tools, count_lines, results, tool},
    backend::{Backend, FinishedTurn, run_with_input},
    subscriber::Subscriber,
};

#[tokio::test]
async fn approved_call_is_run_once_and_the_answer_completes() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    let runs = Runs::new();
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, &format!("call order with {}", runs.input())).await;
    let updates = updates_until_wait(&mut subscriber).await;
    let waiting = backend.turn(&conversation, &turn.id).await;
    assert_eq!(waiting.status, TurnStatus::Waiting);
    assert_eq!(statuses(&waiting), [ToolStatus::ApprovalNeeded]);
    let metadata = updates.last().unwrap().metadata.as_ref().unwrap();
    assert_eq!(metadata.pending, waiting.pending);
    assert_eq!(runs.count(), 0);

    let approval = AnswerToolCall { approved: Some(true), ..answer_to(&waiting, 0) };
    assert_eq!(backend.api.call(&approval).await.unwrap().status, TurnStatus::Queued);
    backend.api.call(&approval).await.unwrap();
    let updates = subscriber.updates_until_end(&turn.id).await;
    assert_eq!(updates[0].metadata.as_ref().unwrap().continues, Some(true));
    let finished = FinishedTurn { turn: backend.turn(&conversation, &turn.id).await, updates };
    assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);
    assert_eq!((result_statuses(&finished), runs.count()), (vec![ToolStatus::Succeeded], 1));
    assert_eq!(finished.turn.pending, None);
    let kinds: Vec<_> = answer(&finished).iter().map(|event| event.sender.kind).collect();
    assert_eq!(kinds, [SenderKind::Agent, SenderKind::Tool, SenderKind::Agent]);
}

#[tokio::test]
async fn denied_call_is_not_run_and_the_model_is_told() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    let runs = Runs::new();
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, &format!("call order with {}", runs.input())).await;
    updates_until_wait(&mut subscriber).await;
    let waiting = backend.turn(&conversation, &turn.id).await;
    let reason = Some("Too expensive.".to_owned());
    let denial = AnswerToolCall { approved: Some(false), reason, ..answer_to(&waiting, 0) };
    backend.api.call(&denial).await.unwrap();
    let updates = subscriber.updates_until_end(&turn.id).await;
    let finished = FinishedTurn { turn: backend.turn(&conversation, &turn.id).await, updates };
    assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);
    assert_eq!((result_statuses(&finished), runs.count()), (vec![ToolStatus::Denied], 0));
    let text = finished.final_event().text_or_empty();
    assert!(text.contains("The user denied this call. Reason: Too expensive."), "{text}");
}

#[tokio::test]
async fn answer_goes_on_after_the_last_of_several_calls_is_answered() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    let runs = Runs::new();
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let question = format!(r#"call order with {} and call page with {{"a":1}} and call look"#, runs.input());
    let turn = backend.send_message(&conversation, &question).await;
    updates_until_wait(&mut subscriber).await;
    let waiting = backend.turn(&conversation, &turn.id).await;
    assert_eq!(statuses(&waiting), [ToolStatus::ApprovalNeeded, ToolStatus::ClientNeeded]);

    let approval = AnswerToolCall { approved: Some(true), ..answer_to(&waiting, 0) };
    assert_eq!(backend.api.call(&approval).await.unwrap().status, TurnStatus::Waiting);
    let update = subscriber.next_update().await;
    let metadata = update.metadata.unwrap();
    let answered = metadata.tool_call.as_ref().map(|call| call.status);
    assert_eq!((metadata.status, answered), (TurnStatus::Waiting, Some(ToolStatus::Running)));
    let waiting = backend.turn(&conversation, &turn.id).await;
    assert_eq!(statuses(&waiting), [ToolStatus::Running, ToolStatus::ClientNeeded]);
    assert_eq!(runs.count(), 0);

    let result = Some(r#"{"color":"red"}"#.to_owned());
    let of_page = AnswerToolCall { result, ..answer_to(&waiting, 1) };
    assert_eq!(backend.api.call(&of_page).await.unwrap().status, TurnStatus::Queued);
    let updates = subscriber.updates_until_end(&turn.id).await;
    let finished = FinishedTurn { turn: backend.turn(&conversation, &turn.id).await, updates };
    assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);
    // The call of look was run before the wait.
    assert_eq!((result_statuses(&finished), runs.count()), (vec![ToolStatus::Succeeded; 3], 1));
    let page_result = results(&finished).into_iter().find(|result| result.tool_use_id == of_page.tool_use_id);
    let json: Value = serde_json::from_str(page_result.unwrap().json.as_ref().unwrap()).unwrap();
    assert_eq!(json, json!({ "color": "red" }));
}

#[tokio::test]
async fn new_message_to_a_waiting_conversation_closes_the_wait() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    let runs = Runs::new();
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, &format!("call order with {}", runs.input())).await;
    updates_until_wait(&mut subscriber).await;
    let next = backend.send_and_wait(&conversation, "Never mind.").await;
    assert_eq!(next.turn.status, TurnStatus::Completed, "{:?}", next.turn.failure);
    let closed = FinishedTurn { turn: backend.turn(&conversation, &turn.id).await, updates: Vec::new() };
    assert_eq!(closed.turn.status, TurnStatus::Cancelled);
    let [result] = results(&closed).try_into().unwrap();
    assert_eq!(result.status, ToolStatus::Denied);
    assert_eq!(result.text.as_deref(), Some("The user sent a new message instead of answering."));
    assert_eq!(runs.count(), 0);
}

#[tokio::test]
async fn message_that_replaces_a_waiting_turn_closes_the_wait() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    let runs = Runs::new();
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, &format!("call order with {}", runs.input())).await;
    updates_until_wait(&mut subscriber).await;
    let next = backend.replace_and_wait(&conversation, &turn.id, "Never mind.").await;
    assert_eq!(next.turn.status, TurnStatus::Completed, "{:?}", next.turn.failure);
    let closed = FinishedTurn { turn: backend.turn(&conversation, &turn.id).await, updates: Vec::new() };
    assert_eq!((closed.turn.status, runs.count()), (TurnStatus::Cancelled, 0));
    let [result] = results(&closed).try_into().unwrap();
    assert_eq!(result.status, ToolStatus::Denied);
    assert!(closed.turn.answer.unwrap().iter().all(|event| event.superseded == Some(true)));
    assert_eq!(closed.turn.pending, None);
}

#[tokio::test]
async fn chat_prints_the_pending_call_and_a_later_chat_asks_for_it() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    let runs = Runs::new();
    let question = format!("call order with {}", runs.input());
    let (code, output, error) = chat(&backend, &conversation, Some(&question), "").await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("(order needs your approval. Its arguments: {\"file\":"), "{output}");
    let expected = "parlance: The answer waits for your approval: `parlance chat` without a text asks for it.\n";
    assert_eq!(error, expected);

    let (code, output, error) = chat(&backend, &conversation, None, "perhaps\ny\n").await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    assert!(output.matches("Run it? [y/n]").count() == 2 && output.contains("The tool order returned: "), "{output}");
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn chat_asks_about_a_call_and_sends_the_reason_of_a_denial() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    let runs = Runs::new();
    let input = format!("call order with {}\nn\nToo expensive.\n", runs.input());
    let (code, output, error) = chat(&backend, &conversation, None, &input).await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    assert!(output.contains("(order was denied: The user denied this call. Reason: Too expensive.)"), "{output}");
    assert_eq!(runs.count(), 0);
}

#[tokio::test]
async fn chat_names_a_call_that_a_page_must_answer() {
    let (backend, conversation) = backend_with_waiting_tools().await;
    for (text, input) in [(Some("call page"), ""), (None, "call page\n")] {
        let (code, output, error) = chat(&backend, &conversation, text, input).await;
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains("(page must be answered by a page of your application. Its arguments: {}"), "{output}");
        let expected = "The answer waits for a page of your application, which runs the tool that was called.\n";
        assert_eq!(error, format!("parlance: {expected}"));
    }
}

/// A file to which the tool writes a line each time it runs.
struct Runs(TempDir);

impl Runs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn input(&self) -> Value {
        json!({ "file": self.file() })
    }

    fn count(&self) -> usize {
        count_lines(Path::new(&self.file()))
    }

    fn file(&self) -> String {
        self.0.path().join("runs").to_str().unwrap().to_owned()
    }
}

/// A conversation whose agent may run `look` at once, `order` with an approval, and `page` by a client.
async fn backend_with_waiting_tools() -> (Backend, String) {
    let backend = backend_with_tools().await;
    let order = PutTool { approval: Some(ToolApproval::Always), ..tool("order", ToolEffect::Write) };
    let page = PutTool { approval: None, lambda: None, client: Some(true), ..tool("page", ToolEffect::Read) };
    let tools = Some(vec![tool("look", ToolEffect::Read), order, page]);
    let agent = PutAgent { id: "waiting".into(), model_id: MODEL.into(), tools, ..PutAgent::default() };
    backend.administrator.call(&agent).await.unwrap();
    let conversation = CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() };
    let conversation = backend.create(conversation).await.id;
    (backend, conversation)
}

/// Runs `parlance chat` with a text, or else with these lines as its input. Returns its exit code and what it
/// has written to its output and its error output.
async fn chat(backend: &Backend, conversation: &str, text: Option<&str>, lines: &str) -> (Option<i32>, String, String) {
    let endpoint = &backend.server.endpoint;
    let state = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.args(["chat", "--url", &endpoint.url, "--api-key", endpoint.api_key.as_ref().unwrap()]);
    command.args(["--conversation", conversation, "--state"]).arg(state.path().join("state")).args(text);
    run_with_input(command, lines).await
}

/// Receives updates up to the one with which the turn begins to wait.
pub async fn updates_until_wait(subscriber: &mut Subscriber) -> Vec<ConversationUpdate> {
    let is_wait = |update: &ConversationUpdate| {
        let status = update.metadata.as_ref().map(|metadata| metadata.status);
        assert!(!status.is_some_and(TurnStatus::is_end), "the turn has ended: {update:?}");
        status == Some(TurnStatus::Waiting)
    };
    subscriber.updates_until(is_wait).await
}

/// An answer to a pending call, without its content.
pub fn answer_to(turn: &Turn, index: usize) -> AnswerToolCall {
    AnswerToolCall {
        conversation_id: turn.conversation_id.clone(),
        turn_id: turn.id.clone(),
        tool_use_id: turn.pending.as_ref().unwrap()[index].id.clone(),
        ..AnswerToolCall::default()
    }
}

fn statuses(turn: &Turn) -> Vec<ToolStatus> {
    turn.pending.iter().flatten().map(|call| call.status).collect()
}

fn result_statuses(finished: &FinishedTurn) -> Vec<ToolStatus> {
    results(finished).iter().map(|result| result.status).collect()
}
