//! The program with `--models`, started as a user starts it.
use std::{path::Path, process::Stdio, time::Duration};

use local::openai_models::{MAX_ARGUMENT_BYTES, MAX_EVENT_BYTES, MAX_TOOL_CALLS};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::fake_server::{Behaviour, Dialect, FakeServer};

/// Longer than the program takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(180);

fn parlance(arguments: &[&str], state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.args(["--port", "0", "--no-page", "--ephemeral", "--state"]).arg(state).args(arguments);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("PARLANCE_MODEL_KEY").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The sentence with which the program exits at once.
async fn startup_error(arguments: &[&str]) -> String {
    let state = tempfile::tempdir().unwrap();
    let output = timeout(TIMEOUT, parlance(arguments, state.path()).output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(sentence.lines().count(), 1, "one sentence: {sentence}");
    sentence
}

#[tokio::test]
async fn start_message_names_the_model() {
    let server = FakeServer::start(Behaviour::Dialect(Dialect::Ollama)).await;
    let state = tempfile::tempdir().unwrap();
    let arguments = ["--models", &server.url, "--model", "us.amazon.nova-2-lite-v1:0=small"];
    let mut command = parlance(&arguments, state.path());
    let mut program = command.env("PARLANCE_MODEL_KEY", "sk-secret").spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut printed = None;
    while let Some(line) = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap() {
        if line.starts_with("  Models") {
            printed = Some(line);
            break;
        }
    }
    let expected = format!(
        "  Models         us.amazon.nova-2-lite-v1:0 is small:latest, others are small:latest at {}",
        server.url
    );
    assert_eq!(printed, Some(expected));
    assert_eq!(server.keys(), ["Bearer sk-secret"]);
}

#[tokio::test]
async fn missing_server_or_model_fails_with_one_sentence() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/v1");
    let sentence = startup_error(&["--models", &url]).await;
    let expected = format!("parlance: no model server answers at {url}: start one, for example with `ollama serve`");
    assert!(sentence.starts_with(&expected), "{sentence}");

    let server = FakeServer::start(Behaviour::Dialect(Dialect::Ollama)).await;
    let sentence = startup_error(&["--models", &server.url, "--model", "large"]).await;
    let listed = "has no model large; it has nomic-embed-text:latest, small:latest\n";
    assert!(sentence.ends_with(listed), "{sentence}");

    let other = server.url.replace("/v1", "/other");
    let sentence = startup_error(&["--models", &other]).await;
    assert!(sentence.contains("there is no OpenAI-compatible server at"), "{sentence}");
}

#[tokio::test]
async fn models_of_the_server_are_listed() {
    let server = FakeServer::start(Behaviour::Dialect(Dialect::Ollama)).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.args(["models", "--models", &server.url]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = timeout(TIMEOUT, command.output()).await.unwrap().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["MODEL", "FAMILY", "ALLOWED", "TOOLS"], "{table}");
    assert_eq!(rows[2][..4], ["small:latest", "unknown", "yes", "streamed"], "{table}");
}

#[test]
fn page_has_the_limits() {
    let page = include_str!("../../docs/real-models.md");
    for row in [
        format!("| one event of a stream | {} MiB |", MAX_EVENT_BYTES >> 20),
        format!("| calls in an answer | {MAX_TOOL_CALLS} |"),
        format!("| arguments of all calls of an answer | {} MiB |", MAX_ARGUMENT_BYTES >> 20),
    ] {
        assert!(page.contains(&row), "docs/real-models.md should have:\n{row}");
    }
}
