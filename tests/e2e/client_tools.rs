//! Tools of clients that commands of `parlance chat` run.
use std::{process::Stdio, time::SystemTime};

use client::{
    AppSync,
    requests::{CancelTurn, CreateConversation, GetEvents, PutAgent, PutTool, ShareConversation},
    schema::{Access, ConversationEvent, ToolApproval, ToolEffect, ToolResult, ToolStatus, TurnStatus},
};
use local::server::ServerOptions;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::Command,
};

use crate::{
    agent_tools::{self, MODEL, count_lines, tool},
    backend::{Backend, User, run_with_input, with_timeout},
};

#[tokio::test]
async fn command_runs_the_call_and_the_answer_completes() {
    let fixture = Fixture::new().await;
    let question = r#"call page with {"city" : "Paris"}"#;
    for (text, lines) in [(Some(question), String::new()), (None, format!("{question}\n"))] {
        let (code, output, error) = fixture.chat(&["--tool", "page=tee -a calls"], text, &lines).await;
        assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
        assert!(output.contains("(page runs by the command: tee -a calls)"), "{output}");
        assert!(output.contains("(The command of page ended after 0."), "{output}");
        assert!(output.contains(r#"The tool page returned: {"city":"Paris"}"#), "{output}");
    }
    let calls = std::fs::read_to_string(fixture.folder.path().join("calls")).unwrap();
    assert_eq!(calls, r#"{"city" : "Paris"}"#.repeat(2), "the arguments are as the model wrote them");
}

#[tokio::test]
async fn several_calls_run_by_their_commands_before_approvals_are_asked_for() {
    let fixture = Fixture::new().await;
    let file = fixture.folder.path().join("runs");
    let question = format!(r#"call order with {{"file":{file:?}}} and call page and call page and call screen"#);
    let tools = ["--tool", "page=echo page shown", "--tool", "screen=sh -c 'echo No screen. >&2; exit 1'"];
    let (code, output, error) = fixture.chat(&tools, None, &format!("{question}\ny\n")).await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    let runs: Vec<_> =
        output.lines().filter(|line| line.contains("runs by the command") || *line == APPROVAL_PROMPT).collect();
    let screen = "(screen runs by the command: sh -c 'echo No screen. >&2; exit 1')";
    let page = "(page runs by the command: echo page shown)";
    assert_eq!(runs, [page, page, screen, APPROVAL_PROMPT]);
    let expected = [ToolStatus::Succeeded, ToolStatus::Succeeded, ToolStatus::Succeeded, ToolStatus::Failed];
    let results = fixture.results().await;
    assert_eq!(results.iter().map(|result| result.status).collect::<Vec<_>>(), expected);
    assert_eq!(results[1].json.as_deref(), Some(r#""page shown""#));
    assert_eq!(results[3].json.as_deref(), Some(r#""No screen.""#));
    assert_eq!(count_lines(&file), 1);
}

#[tokio::test]
async fn later_chat_runs_a_call_that_waits() {
    let fixture = Fixture::new().await;
    let (code, output, _) = fixture.chat(&["--tool", "screen=echo {}"], Some("call page"), "").await;
    assert_eq!(code, Some(1), "no command for this call: {output}");
    assert!(output.contains("(page must be answered by a page of your application."), "{output}");
    let (code, output, error) = fixture.chat(&["--tool", "page=echo 7"], None, "").await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    assert!(output.contains("The tool page returned: 7"), "{output}");
}

/// Only the user who asked may give the result, so nobody else's command runs.
#[tokio::test]
async fn command_is_not_run_for_the_call_of_another_user() {
    let mut fixture = Fixture::new().await;
    fixture.share_with_bob().await;
    fixture.sign_in("ada");
    let (code, output, _) = fixture.chat(&[], Some("call page"), "").await;
    assert_eq!(code, Some(1), "{output}");

    let tools = ["--tool", "page=tee -a calls"];
    fixture.sign_in("bob");
    let (code, output, _) = fixture.chat(&tools, None, "").await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("(page must be answered by a page of your application."), "{output}");
    assert!(!fixture.folder.path().join("calls").exists());
    fixture.sign_in("ada");
    let (code, output, error) = fixture.chat(&tools, None, "").await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    assert!(fixture.folder.path().join("calls").exists());
}

/// The answer to a retry runs for the user who has asked for it.
#[tokio::test]
async fn result_for_another_user_is_left_to_that_user() {
    let mut fixture = Fixture::new().await;
    let bob = fixture.share_with_bob().await;
    fixture.sign_in("ada");
    let (code, output, _) = fixture.chat(&[], Some("call page"), "").await;
    assert_eq!(code, Some(1), "{output}");
    let turn_id = fixture.newest_events().await[0].turn_id.clone().unwrap();
    bob.api.call(&CancelTurn { conversation_id: fixture.conversation.clone(), id: turn_id }).await.unwrap();
    fixture.sign_in("bob");
    let (code, output, _) = fixture.chat(&[], Some("/retry"), "").await;
    assert_eq!(code, Some(1), "{output}");

    fixture.sign_in("ada");
    let (code, output, error) = fixture.chat(&["--tool", "page=echo 7"], None, "").await;
    let note = "(The result was not accepted: Unauthorized: Only the user for whom this turn runs may approve this \
                call or give its result.)";
    assert!(output.contains(note), "{output}");
    let sentence = "parlance: The answer waits for another user, who may answer the tool call.\n";
    assert_eq!((code, error.as_str()), (Some(1), sentence));
    fixture.sign_in("bob");
    let (code, output, _) = fixture.chat(&["--tool", "page=echo 8"], None, "").await;
    assert!(code == Some(1) && output.contains("(page must be answered by a page"), "{output}");
}

#[tokio::test]
async fn user_who_may_not_approve_is_asked_again_and_may_deny() {
    let mut fixture = Fixture::new().await;
    fixture.share_with_bob().await;
    fixture.sign_in("ada");
    let (code, output, _) = fixture.chat(&[], Some("call order"), "").await;
    assert_eq!(code, Some(1), "{output}");
    fixture.sign_in("bob");
    let (code, output, error) = fixture.chat(&[], None, "y\nn\nToo dear.\n").await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    assert!(output.contains("(The answer was not accepted: Unauthorized: Only the user for whom"), "{output}");
    assert_eq!(output.lines().filter(|line| *line == APPROVAL_PROMPT).count(), 2, "{output}");
    let results: Vec<_> = fixture.results().await.into_iter().map(|result| (result.status, result.text)).collect();
    let text = "The user denied this call. Reason: Too dear.".to_owned();
    assert_eq!(results, [(ToolStatus::Denied, Some(text))]);
}

#[tokio::test]
async fn output_that_is_too_large_or_not_accepted_becomes_a_failed_result() {
    let fixture = Fixture::new().await;
    for (command, text) in [
        ("yes", "The output of the command is larger than 48 KB."),
        (r#"printf '"\\ud800"'"#, "The tool's result was not accepted."),
    ] {
        let (code, output, error) = fixture.chat(&["--tool", &format!("page={command}")], Some("call page"), "").await;
        assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
        let last = fixture.results().await.pop().unwrap();
        assert_eq!((last.status, last.json), (ToolStatus::Failed, Some(format!("{text:?}"))), "{output}");
    }
}

#[tokio::test]
async fn ctrl_c_kills_the_command_with_its_children_and_cancels_the_turn() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // The child of the command has the connection until it ends.
    let command = format!("page=bash -c '(exec 3<>/dev/tcp/127.0.0.1/{port}; exec sleep 600) & sleep 600'");
    let mut chat = fixture.command(&["--tool", &command], Some("call page")).spawn().unwrap();
    let mut output = BufReader::new(chat.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("(page runs by the command: ") {
        line.clear();
        with_timeout(output.read_line(&mut line)).await.unwrap();
        assert!(!line.is_empty(), "the command is printed");
    }
    let (mut child, _) = with_timeout(listener.accept()).await.unwrap();
    let id = chat.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let mut rest = String::new();
    with_timeout(output.read_to_string(&mut rest)).await.unwrap();
    assert!(with_timeout(chat.wait()).await.unwrap().success());
    assert!(rest.starts_with("(The command of page was killed.)\n(Cancelling. Ctrl-C again leaves.)\n"), "{rest}");
    assert!(rest.ends_with("(Cancelled. /continue continues the answer.)\n"), "{rest}");
    assert_eq!(fixture.last_status().await, TurnStatus::Cancelled);
    let statuses: Vec<_> = fixture.results().await.iter().map(|result| result.status).collect();
    assert_eq!(statuses, [ToolStatus::Cancelled]);
    let received = with_timeout(child.read(&mut [0])).await;
    assert_eq!(received.unwrap(), 0, "the child was killed");
}

#[tokio::test]
async fn unfit_tool_option_fails_with_one_sentence() {
    let fixture = Fixture::new().await;
    for (tools, sentence) in [
        (&["--tool", "maps=true"][..], "The agent clients has no tool maps for --tool: clients run page, screen."),
        (&["--tool", "order=true"], "The tool order of the agent clients is not for clients, so --tool cannot run it."),
        (&["--tool", "page=true", "--tool", "page=false"], "--tool names the tool page twice."),
    ] {
        let (code, output, error) = fixture.chat(tools, Some("call page"), "").await;
        assert_eq!((code, output.as_str(), error), (Some(1), "", format!("parlance: {sentence}\n")));
    }
    let (code, _, error) = fixture.chat(&["--tool", "page"], None, "").await;
    let expected = "error: invalid value 'page' for '--tool <NAME=COMMAND>': it must be NAME=COMMAND\n";
    assert!(code == Some(2) && error.starts_with(expected), "{error}");
}

const APPROVAL_PROMPT: &str = "Run it? [y/n]";

/// A conversation whose agent has two tools for clients, `page` and `screen`, and one that needs an approval.
struct Fixture {
    backend: Backend,
    conversation: String,
    /// The option of `chat` with a credential.
    credential: [String; 2],
    /// Reads what is stored.
    reader: AppSync,
    /// Where the chat runs.
    folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let users = || ["ada", "bob"].map(|user| user.parse().unwrap()).into();
        let backend = agent_tools::start(|options| ServerOptions { users: users(), ..options }).await;
        let order = PutTool { approval: Some(ToolApproval::Always), ..tool("order", ToolEffect::Write) };
        let client_tool =
            |name| PutTool { approval: None, lambda: None, client: Some(true), ..tool(name, ToolEffect::Read) };
        let tools = Some(vec![order, client_tool("page"), client_tool("screen")]);
        let agent = PutAgent { id: "clients".into(), model_id: MODEL.into(), tools, ..PutAgent::default() };
        backend.administrator.call(&agent).await.unwrap();
        let conversation = CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() };
        let conversation = backend.create(conversation).await.id;
        let api_key = backend.server.endpoint.api_key.clone().unwrap();
        let credential = ["--api-key".to_owned(), api_key];
        let reader = backend.api.clone();
        Self { backend, conversation, credential, reader, folder: tempfile::tempdir().unwrap() }
    }

    /// A new conversation of Ada's, to which Bob may write. Returns Bob.
    async fn share_with_bob(&mut self) -> User {
        let [ada, bob] = [self.backend.pool_user("ada"), self.backend.pool_user("bob")];
        let conversation = CreateConversation { agent_id: Some("clients".into()), ..CreateConversation::default() };
        self.conversation = ada.api.call(&conversation).await.unwrap().id;
        let conversation_id = self.conversation.clone();
        let share = ShareConversation { conversation_id, user_id: bob.id.clone(), access: Access::Write };
        ada.api.call(&share).await.unwrap();
        self.reader = ada.api;
        bob
    }

    /// The chat runs as this user from now on.
    fn sign_in(&mut self, user: &str) {
        let pool = self.backend.server.issuers.pool.as_ref().unwrap();
        let tokens = pool.issue_tokens(user, SystemTime::now()).unwrap();
        self.credential = ["--token".to_owned(), tokens.access_token];
    }

    /// `parlance chat` with these options, and with a text or else with lines of its input.
    fn command(&self, options: &[&str], text: Option<&str>) -> Command {
        let endpoint = &self.backend.server.endpoint;
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
        command.args(["chat", "--url", &endpoint.url]).args(&self.credential);
        command.args(["--conversation", &self.conversation, "--state", "state"]).args(options).args(text);
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns the exit code of a chat and what it has written to its output and its error output.
    async fn chat(&self, options: &[&str], text: Option<&str>, lines: &str) -> (Option<i32>, String, String) {
        run_with_input(self.command(options, text), lines).await
    }

    /// The results of all calls, in the order of the calls within each answer.
    async fn results(&self) -> Vec<ToolResult> {
        let events = self.newest_events().await;
        let calls: Vec<_> = events.iter().flat_map(|event| event.tool_uses()).collect();
        let results: Vec<_> = events.iter().flat_map(|event| event.tool_results()).collect();
        let result_of = |id: &str| results.iter().find(|result| result.tool_use_id == id);
        calls.iter().map(|call| (*result_of(&call.id).expect("the call has a result")).clone()).collect()
    }

    async fn newest_events(&self) -> Vec<ConversationEvent> {
        let conversation_id = self.conversation.clone();
        let page = self.reader.call(&GetEvents { conversation_id, ..GetEvents::default() }).await.unwrap();
        page.events.unwrap().items
    }

    async fn last_status(&self) -> TurnStatus {
        let events = self.newest_events().await;
        let turn_id = events.last().and_then(|event| event.turn_id.clone()).unwrap();
        self.backend.turn(&self.conversation, &turn_id).await.status
    }
}
