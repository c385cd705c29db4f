//! The program as a user starts it.
use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
};

use local::server::Endpoint;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

use crate::backend::{Backend, patiently};

fn parlance(arguments: &[&str], state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    // A folder that is not there yet, as in a fresh clone.
    let state = state.join(".parlance");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
    command.arg("--state").arg(state).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn serve(state: &Path, port: u16) -> (Child, Vec<String>) {
    serve_with(state, &["--port", &port.to_string()]).await
}

/// A running server, and what it printed up to and with the curl line.
async fn serve_with(state: &Path, arguments: &[&str]) -> (Child, Vec<String>) {
    let mut server = parlance(arguments, state).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while let Some(line) = patiently(lines.next_line()).await.unwrap() {
        printed.push(line);
        if printed.last().is_some_and(|line| line.contains("cargo run -- chat")) {
            break;
        }
    }
    (server, printed)
}

fn port(printed: &[String]) -> u16 {
    let line = printed.iter().find(|line| line.contains("GraphQL")).expect("the URL is printed");
    line.split([':', '/']).filter_map(|part| part.parse().ok()).next().expect("the URL has a port")
}

async fn interrupt(program: &Child) {
    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
}

async fn stop(mut server: Child) {
    interrupt(&server).await;
    assert!(patiently(server.wait()).await.unwrap().success());
}

async fn chat(state: &Path, text: &str) -> Output {
    patiently(parlance(&["chat", text], state).output()).await.unwrap()
}

async fn refused(arguments: &[&str]) -> String {
    let state = TempDir::new().unwrap();
    let output = patiently(parlance(arguments, state.path()).output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(sentence.lines().count(), 1, "one sentence: {sentence}");
    sentence
}

#[tokio::test]
async fn the_printed_curl_line_sends_a_message_and_reads_its_answer() {
    let state = TempDir::new().unwrap();
    let (server, printed) = serve(state.path(), 0).await;
    let line = printed.iter().find(|line| line.trim().starts_with("curl ")).expect("a curl line is printed");
    let output = patiently(Command::new("bash").args(["-c", line]).output()).await.unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.contains("COMPLETED") && answer.contains("stand-in"), "{answer}");
    stop(server).await;
}

#[tokio::test]
async fn a_second_chat_goes_on_with_the_conversation_after_a_restart() {
    let state = TempDir::new().unwrap();
    let (server, printed) = serve(state.path(), 0).await;
    let port = port(&printed);
    let first = chat(state.path(), "My name is Ada.").await;
    assert!(first.status.success() && !first.stdout.is_empty(), "{first:?}");
    stop(server).await;
    let (server, _) = serve(state.path(), port).await;
    let second = chat(state.path(), "What is my name?").await;
    let answer = String::from_utf8(second.stdout).unwrap();
    assert!(answer.contains("My name is Ada."), "{answer}");
    stop(server).await;
}

#[tokio::test]
async fn ctrl_c_cancels_the_answer_that_streams_and_the_chat_goes_on_with_it_or_asks_anew() {
    let state = TempDir::new().unwrap();
    let (server, printed) = serve_with(state.path(), &["--port", "0", "--parameter", "ModelId=parlance.slow"]).await;
    let mut talking = parlance(&["chat", "Count."], state.path()).spawn().unwrap();
    let mut lines = BufReader::new(talking.stdout.take().unwrap());
    let mut first = [0];
    patiently(lines.read_exact(&mut first)).await.unwrap();
    interrupt(&talking).await;
    let mut told = String::new();
    patiently(lines.read_to_string(&mut told)).await.unwrap();
    assert!(patiently(talking.wait()).await.unwrap().success());
    assert!(told.ends_with("(Cancelled. /continue goes on.)\n"), "{told}");
    stop(server).await;

    let (server, _) = serve_with(state.path(), &["--port", &port(&printed).to_string()]).await;
    let continued = chat(state.path(), "/continue").await;
    assert!(continued.status.success() && !continued.stdout.is_empty(), "{continued:?}");
    let anew = String::from_utf8(chat(state.path(), "/retry").await.stdout).unwrap();
    assert!(anew.contains("Count."), "the question is asked again: {anew}");
    stop(server).await;
}

#[tokio::test]
async fn a_user_signs_in_and_chats_with_the_token() {
    let state = TempDir::new().unwrap();
    let users = ["--user", "ada:administrators", "--oidc", "--parameter", "ApiKeyAccess=false"];
    let (server, printed) = serve_with(state.path(), &[&["--port", "0"], &users[..]].concat()).await;
    assert!(printed.iter().any(|line| line.contains("User pool") && line.ends_with("/pool")), "{printed:?}");
    let keyless = chat(state.path(), "Hello?").await;
    let sentence = String::from_utf8(keyless.stderr).unwrap();
    assert!(sentence.contains("takes no key") && sentence.contains("--token"), "{sentence}");
    for sign_in in [&["token", "ada"][..], &["token", "anybody", "--oidc"]] {
        let printed = patiently(parlance(sign_in, state.path()).output()).await.unwrap();
        let token = String::from_utf8(printed.stdout).unwrap();
        let said = patiently(parlance(&["chat", "--token", token.trim(), "Hello!"], state.path()).output()).await;
        let said = said.unwrap();
        assert!(said.status.success() && !said.stdout.is_empty(), "{said:?}");
    }
    let unknown = patiently(parlance(&["token", "mallory"], state.path()).output()).await.unwrap();
    let sentence = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(sentence, "parlance: The server gives no token: there is no user 'mallory'.\n");
    stop(server).await;
}

#[tokio::test]
async fn each_user_goes_on_with_their_own_last_conversation() {
    let state = TempDir::new().unwrap();
    let (server, _) = serve_with(state.path(), &["--port", "0", "--user", "ada", "--user", "bob"]).await;
    let mut tokens = Vec::new();
    for name in ["ada", "bob"] {
        let printed = patiently(parlance(&["token", name], state.path()).output()).await.unwrap();
        tokens.push(String::from_utf8(printed.stdout).unwrap());
    }
    for said in [["I am Ada.", "I am Bob."], ["/retry"; 2]] {
        for ((said, token), name) in said.iter().zip(&tokens).zip(["Ada", "Bob"]) {
            let told = parlance(&["chat", "--token", token.trim(), said], state.path()).output();
            let answer = String::from_utf8(patiently(told).await.unwrap().stdout).unwrap();
            assert!(answer.contains(&format!("I am {name}.")), "{said}: {answer}");
        }
    }
    stop(server).await;
}

#[tokio::test]
async fn what_is_kept_is_for_its_owner_alone() {
    let folder = TempDir::new().unwrap();
    let (server, _) = serve_with(folder.path(), &["--port", "0", "--user", "ada", "--oidc"]).await;
    let state = folder.path().join(".parlance");
    let mode = |place: &Path| place.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in ["api-key", "endpoint.json", "pool-key", "oidc-key"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    stop(server).await;
}

#[tokio::test]
async fn a_token_is_good_after_a_restart() {
    let state = TempDir::new().unwrap();
    let (server, printed) = serve_with(state.path(), &["--port", "0", "--user", "ada"]).await;
    let token = patiently(parlance(&["token", "ada"], state.path()).output()).await.unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    stop(server).await;
    let (server, _) = serve_with(state.path(), &["--port", &port(&printed).to_string(), "--user", "ada"]).await;
    let said = parlance(&["chat", "--token", token.trim(), "Hello!"], state.path()).output();
    assert!(patiently(said).await.unwrap().status.success());
    stop(server).await;
}

#[tokio::test]
async fn options_that_contradict_parameters_are_one_clear_sentence() {
    let no_pool = refused(&["--port", "0", "--user", "ada", "--parameter", "UserPool=none"]).await;
    assert_eq!(no_pool, "parlance: the parameter UserPool is none, so there is no pool here for the users of --user\n");
    let elsewhere = ["--port", "0", "--oidc", "--parameter", "OidcIssuer=https://id.example.com"];
    let sentence = "is https://id.example.com, so the provider of --oidc would not be trusted";
    assert_eq!(refused(&elsewhere).await, format!("parlance: the parameter OidcIssuer {sentence}\n"));
}

#[tokio::test]
async fn the_schema_is_printed_for_the_modes_that_parameters_choose() {
    let mut schema = Command::new(env!("CARGO_BIN_EXE_parlance"));
    schema.args(["schema", "--parameter", "ApiKeyAccess=false"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let printed = String::from_utf8(patiently(schema.output()).await.unwrap().stdout).unwrap();
    assert!(printed.contains("type Query {") && printed.contains("@aws_iam") && !printed.contains("@aws_api_key"));
}

#[tokio::test]
async fn a_chat_without_a_server_says_so() {
    let state = TempDir::new().unwrap();
    let output = chat(state.path(), "Hello?").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cargo run"));
}

#[tokio::test]
async fn a_taken_port_is_one_clear_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(refused(&["--port", &port]).await.contains(&port));
}

#[tokio::test]
async fn a_parameter_that_the_template_does_not_have_is_one_clear_sentence() {
    assert!(refused(&["--port", "0", "--parameter", "Nothing=1"]).await.contains("Nothing"));
}

#[tokio::test]
async fn a_template_that_cannot_be_honoured_is_one_clear_sentence() {
    let root = TempDir::new().unwrap();
    std::fs::write(root.path().join("template.yaml"), "Resources: { Queue: { Type: AWS::SQS::Queue } }").unwrap();
    let sentence = refused(&["--port", "0", "--root", root.path().to_str().unwrap()]).await;
    assert!(sentence.contains("Queue") && sentence.contains("AWS::SQS::Queue"), "{sentence}");
}

#[tokio::test]
async fn a_resolver_with_a_fault_is_one_clear_sentence_with_its_place() {
    let root = TempDir::new().unwrap();
    let mut copy = Command::new("cp");
    copy.args(["-r", "template.yaml", "schema.graphql", "resolvers"])
        .arg(root.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(copy.status().await.unwrap().success());
    let file = root.path().join("resolvers/publishing/putBatch.js");
    std::fs::write(&file, "export function request(ctx) {\n  throw 1;\n}\nexport function response(ctx) {}\n").unwrap();
    let sentence = refused(&["--port", "0", "--root", root.path().to_str().unwrap()]).await;
    assert!(sentence.contains("resolvers/publishing/putBatch.js:2:3"), "{sentence}");
}

#[tokio::test]
async fn the_readmes_curl_lines_work_as_they_stand() {
    let backend = Backend::start().await;
    let Endpoint { url, api_key, administrator, .. } = &backend.server.endpoint;
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> = readme.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks.len(), 2, "one talks, one puts an agent");
    for block in blocks {
        let mut shell = Command::new("bash");
        shell.args(["-c", block]).env("URL", url).env("KEY", api_key.as_ref().unwrap());
        shell.env("ACCESS_KEY", &administrator.access_key_id).env("SECRET", &administrator.secret_access_key);
        let output = patiently(shell.output()).await.unwrap();
        let answers = String::from_utf8(output.stdout).unwrap();
        assert!(answers.contains("\"data\"") && !answers.contains("\"errors\""), "{block}\n{answers}");
    }
}
