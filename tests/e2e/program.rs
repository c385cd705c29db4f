//! The `parlance` program, started as a user starts it.
use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
};

use fancy_regex::Regex;
use local::fault_injection::Fault;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

use crate::backend::with_timeout;

/// A command of the program, whose `--state` folder is inside `folder` and does not exist yet, as in a fresh
/// clone. A server has no chat page.
fn parlance(arguments: &[&str], folder: &Path) -> Command {
    let mut command = parlance_with_page(arguments, folder);
    let is_server = arguments.first().is_some_and(|argument| argument.starts_with("--"));
    command.args(is_server.then_some("--no-page"));
    command
}

fn parlance_with_page(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.args(arguments).arg("--state").arg(folder.join(".parlance"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(arguments: &[&str], folder: &Path) -> Output {
    with_timeout(parlance(arguments, folder).output()).await.unwrap()
}

async fn chat(folder: &Path, text: &str) -> Output {
    run(&["chat", text], folder).await
}

async fn token(name: &str, folder: &Path) -> String {
    stdout(&run(&["token", name], folder).await).trim().to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn serve(folder: &Path, port: u16) -> (Child, Vec<String>) {
    serve_with(folder, &["--port", &port.to_string()]).await
}

async fn serve_with(folder: &Path, arguments: &[&str]) -> (Child, Vec<String>) {
    start(parlance(arguments, folder)).await
}

/// A running server, and the lines that it has printed up to the command that starts a chat.
async fn start(mut command: Command) -> (Child, Vec<String>) {
    let mut server = command.spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while let Some(line) = with_timeout(lines.next_line()).await.unwrap() {
        let is_last = line.contains("cargo run -- chat");
        printed.push(line);
        if is_last {
            break;
        }
    }
    (server, printed)
}

fn port(printed: &[String]) -> u16 {
    let line = printed.iter().find(|line| line.contains("GraphQL")).expect("the URL is printed");
    line.split([':', '/']).find_map(|part| part.parse().ok()).expect("the URL has a port")
}

async fn interrupt(program: &Child) {
    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
}

async fn stop(mut server: Child) {
    interrupt(&server).await;
    assert!(with_timeout(server.wait()).await.unwrap().success());
}

/// The sentence with which the program exits at once.
async fn startup_error(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let output = run(arguments, folder.path()).await;
    assert_eq!(output.status.code(), Some(1));
    let sentence = stderr(&output);
    assert_eq!(sentence.lines().count(), 1, "one sentence: {sentence}");
    sentence
}

#[tokio::test]
async fn version_is_printed() {
    let folder = TempDir::new().unwrap();
    let output = run(&["--version"], folder.path()).await;
    assert!(output.status.success());
    assert_eq!(stdout(&output), format!("parlance {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn fault_help_lists_every_fault_on_one_line() {
    let folder = TempDir::new().unwrap();
    let output = run(&["--fault", "help"], folder.path()).await;
    assert!(output.status.success());
    let list = stdout(&output);
    assert_eq!(list.lines().count(), Fault::ALL.len(), "{list}");
    for (line, fault) in list.lines().zip(Fault::ALL) {
        assert!(line.starts_with(fault.name()) && line.ends_with(fault.description()), "{line}");
    }
}

#[tokio::test]
async fn unknown_fault_is_an_error_that_names_the_faults() {
    let folder = TempDir::new().unwrap();
    let output = run(&["--fault", "bad-luck=1"], folder.path()).await;
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("bad-luck") && error.contains("stale-read"), "{error}");
}

#[tokio::test]
async fn printed_curl_command_sends_a_message_and_reads_its_answer() {
    let folder = TempDir::new().unwrap();
    let (server, printed) = serve(folder.path(), 0).await;
    let command = printed.iter().find(|line| line.trim().starts_with("curl ")).expect("a curl command is printed");
    let output = with_timeout(Command::new("bash").args(["-c", command]).output()).await.unwrap();
    let answer = stdout(&output);
    assert!(answer.contains("COMPLETED") && answer.contains("scripted"), "{answer}");
    stop(server).await;
}

#[tokio::test]
async fn chat_continues_its_conversation_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let (server, printed) = serve(folder.path(), 0).await;
    let first = chat(folder.path(), "My name is Ada.").await;
    assert!(first.status.success() && !first.stdout.is_empty(), "{first:?}");
    stop(server).await;
    let (server, _) = serve(folder.path(), port(&printed)).await;
    let answer = stdout(&chat(folder.path(), "What is my name?").await);
    assert!(answer.contains("My name is Ada."), "{answer}");
    stop(server).await;
}

#[tokio::test]
async fn ctrl_c_cancels_an_answer_that_can_be_continued_retried_and_edited() {
    let folder = TempDir::new().unwrap();
    let (server, printed) = serve_with(folder.path(), &["--port", "0", "--parameter", "ModelId=parlance.slow"]).await;
    let mut chat_process = parlance(&["chat", "Count."], folder.path()).spawn().unwrap();
    let mut output = BufReader::new(chat_process.stdout.take().unwrap());
    let mut first_byte = [0];
    with_timeout(output.read_exact(&mut first_byte)).await.unwrap();
    interrupt(&chat_process).await;
    let mut rest = String::new();
    with_timeout(output.read_to_string(&mut rest)).await.unwrap();
    assert!(with_timeout(chat_process.wait()).await.unwrap().success());
    assert!(rest.ends_with("(Cancelled. /continue continues the answer.)\n"), "{rest}");
    stop(server).await;

    let (server, _) = serve(folder.path(), port(&printed)).await;
    let continued = chat(folder.path(), "/continue").await;
    assert!(continued.status.success() && !continued.stdout.is_empty(), "{continued:?}");
    let retried = stdout(&chat(folder.path(), "/retry").await);
    assert!(retried.contains("Count."), "the question is answered again: {retried}");
    let edited = stdout(&chat(folder.path(), "/edit Count backwards.").await);
    assert!(edited.contains("This is your first question: “Count backwards.”"), "{edited}");
    stop(server).await;
}

#[tokio::test]
async fn chat_help_lists_the_commands_without_a_server() {
    let folder = TempDir::new().unwrap();
    let output = chat(folder.path(), "/help").await;
    assert!(output.status.success(), "{output:?}");
    let help = stdout(&output);
    for expected in ["/retry ", "/continue ", "/edit ", "/help ", "/quit ", "space before the slash"] {
        assert!(help.contains(expected), "{help}");
    }
}

#[tokio::test]
async fn unknown_chat_command_fails_with_one_sentence() {
    let sentence = startup_error(&["chat", "/shrug"]).await;
    let expected = "parlance: There is no command /shrug: the commands are /retry, /continue, /edit, /help and /quit, \
                    and a space before the slash sends a message.\n";
    assert_eq!(sentence, expected);
}

#[tokio::test]
async fn unknown_chat_command_is_not_sent_and_a_space_sends_it() {
    let folder = TempDir::new().unwrap();
    let (server, _) = serve(folder.path(), 0).await;
    let mut chat_process = parlance(&["chat"], folder.path()).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = chat_process.stdin.take().unwrap();
    input.write_all(b"/wave\n /shrug\n/help\n/quit\nnot read\n").await.unwrap();
    drop(input);
    let output = with_timeout(chat_process.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = stdout(&output);
    let (error, rest) = printed.split_once('\n').unwrap();
    assert!(error.starts_with("(There is no command /wave: "), "{printed}");
    assert!(rest.contains("first question: “/shrug”"), "the first command was not sent: {printed}");
    assert!(rest.contains("/retry     answer the last message again"), "{printed}");
    assert!(!rest.contains("not read"), "{printed}");
    stop(server).await;
}

#[tokio::test]
async fn user_chats_with_a_token_of_the_pool_or_the_provider() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--port", "0", "--user", "ada:administrators", "--oidc", "--parameter", "ApiKeyAccess=false"];
    let (server, printed) = serve_with(folder.path(), &arguments).await;
    assert!(printed.iter().any(|line| line.contains("User pool") && line.ends_with("/pool")), "{printed:?}");
    let sentence = stderr(&chat(folder.path(), "Hello?").await);
    assert!(sentence.contains("accepts no API key") && sentence.contains("--token"), "{sentence}");
    for token_arguments in [&["token", "ada"][..], &["token", "anybody", "--oidc"]] {
        let token = stdout(&run(token_arguments, folder.path()).await);
        let answer = run(&["chat", "--token", token.trim(), "Hello!"], folder.path()).await;
        assert!(answer.status.success() && !answer.stdout.is_empty(), "{answer:?}");
    }
    let sentence = stderr(&run(&["token", "mallory"], folder.path()).await);
    assert_eq!(sentence, "parlance: The server gives no token: there is no user 'mallory'.\n");
    stop(server).await;
}

#[tokio::test]
async fn each_user_continues_their_own_last_conversation() {
    let folder = TempDir::new().unwrap();
    let (server, _) = serve_with(folder.path(), &["--port", "0", "--user", "ada", "--user", "bob"]).await;
    let tokens = [token("ada", folder.path()).await, token("bob", folder.path()).await];
    for texts in [["I am Ada.", "I am Bob."], ["/retry", "/retry"]] {
        for ((text, token), name) in texts.iter().zip(&tokens).zip(["Ada", "Bob"]) {
            let answer = stdout(&run(&["chat", "--token", token, text], folder.path()).await);
            assert!(answer.contains(&format!("I am {name}.")), "{text}: {answer}");
        }
    }
    stop(server).await;
}

#[tokio::test]
async fn state_folder_is_readable_by_its_owner_only() {
    let folder = TempDir::new().unwrap();
    let (server, _) = serve_with(folder.path(), &["--port", "0", "--user", "ada", "--oidc"]).await;
    let state = folder.path().join(".parlance");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in ["api-key", "endpoint.json", "pool-key", "oidc-key"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    stop(server).await;
}

#[tokio::test]
async fn token_is_valid_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let (server, printed) = serve_with(folder.path(), &["--port", "0", "--user", "ada"]).await;
    let token = token("ada", folder.path()).await;
    stop(server).await;
    let (server, _) = serve_with(folder.path(), &["--port", &port(&printed).to_string(), "--user", "ada"]).await;
    let answer = run(&["chat", "--token", &token, "Hello!"], folder.path()).await;
    assert!(answer.status.success(), "{answer:?}");
    stop(server).await;
}

#[tokio::test]
async fn options_that_contradict_parameters_fail_with_one_sentence() {
    let no_pool = startup_error(&["--port", "0", "--user", "ada", "--parameter", "UserPool=none"]).await;
    assert_eq!(no_pool, "parlance: the parameter UserPool is none, so there is no pool here for the users of --user\n");
    let other_issuer =
        startup_error(&["--port", "0", "--oidc", "--parameter", "OidcIssuer=https://id.example.com"]).await;
    let sentence = "is https://id.example.com, so the provider of --oidc would not be trusted";
    assert_eq!(other_issuer, format!("parlance: the parameter OidcIssuer {sentence}\n"));
}

#[tokio::test]
async fn schema_is_printed_for_the_modes_that_parameters_switch_on() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.args(["schema", "--parameter", "ApiKeyAccess=false"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let schema = stdout(&with_timeout(command.output()).await.unwrap());
    assert!(schema.contains("type Query {") && schema.contains("@aws_iam") && !schema.contains("@aws_api_key"));
}

#[tokio::test]
async fn chat_without_a_server_fails_with_one_sentence() {
    assert!(startup_error(&["chat", "Hello?"]).await.contains("cargo run"));
}

#[tokio::test]
async fn second_server_with_the_same_state_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let (first, _) = serve(folder.path(), 0).await;
    for arguments in [&["--port", "0"][..], &["--port", "0", "--ephemeral"]] {
        let second = run(arguments, folder.path()).await;
        assert_eq!(second.status.code(), Some(1));
        let sentence = stderr(&second);
        assert!(sentence.starts_with("parlance: another server runs with the folder "), "{sentence}");
        assert!(sentence.contains("--state") && sentence.lines().count() == 1, "{sentence}");
    }
    assert!(folder.path().join(".parlance/endpoint.json").exists(), "the first server can still be found");
    stop(first).await;
    let (third, _) = serve(folder.path(), 0).await;
    stop(third).await;
}

#[tokio::test]
async fn deployment_that_nobody_may_call_fails_with_one_sentence() {
    let arguments = ["--port", "0", "--parameter", "ApiKeyAccess=false", "--parameter", "IamAccess=false"];
    assert!(startup_error(&arguments).await.contains("Nobody may call this API"));
}

/// The second signal ends the server at once.
#[tokio::test]
async fn server_waits_at_its_end_for_answers_that_are_running() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--port", "0", "--parameter", "ModelId=parlance.deltas-40-50"];
    let (mut server, _) = serve_with(folder.path(), &arguments).await;
    let mut chat = parlance(&["chat", "Count."], folder.path()).spawn().unwrap();
    let mut output = BufReader::new(chat.stdout.take().unwrap());
    let mut first_number = [0; 4];
    with_timeout(output.read_exact(&mut first_number)).await.unwrap();
    assert_eq!(&first_number, b"0001");
    interrupt(&server).await;
    let mut rest = String::new();
    with_timeout(output.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.contains("0040"), "{rest}");
    assert!(with_timeout(server.wait()).await.unwrap().success());
}

#[tokio::test]
async fn port_in_use_fails_with_one_sentence() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    assert!(startup_error(&["--port", &port]).await.contains(&port));
}

#[tokio::test]
async fn unknown_parameter_fails_with_one_sentence() {
    assert!(startup_error(&["--port", "0", "--parameter", "Nothing=1"]).await.contains("Nothing"));
}

#[tokio::test]
async fn unsupported_resource_fails_with_one_sentence() {
    let root = TempDir::new().unwrap();
    std::fs::write(root.path().join("template.yaml"), "Resources: { Topic: { Type: AWS::SNS::Topic } }").unwrap();
    let sentence = startup_error(&["--port", "0", "--root", root.path().to_str().unwrap()]).await;
    assert!(sentence.contains("Topic") && sentence.contains("AWS::SNS::Topic"), "{sentence}");
}

#[tokio::test]
async fn invalid_resolver_error_names_file_and_line() {
    let root = TempDir::new().unwrap();
    let mut copy = Command::new("cp");
    copy.args(["-r", "template.yaml", "schema.graphql", "resolvers"])
        .arg(root.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(copy.status().await.unwrap().success());
    let file = root.path().join("resolvers/publishing/putBatch.js");
    std::fs::write(&file, "export function request(ctx) {\n  throw 1;\n}\nexport function response(ctx) {}\n").unwrap();
    let sentence = startup_error(&["--port", "0", "--root", root.path().to_str().unwrap()]).await;
    assert!(sentence.contains("resolvers/publishing/putBatch.js:2:3"), "{sentence}");
}

/// A folder with two documents, and a file that is none.
fn documents() -> TempDir {
    let documents = TempDir::new().unwrap();
    std::fs::write(documents.path().join("leave.md"), "Employees get 25 days of leave in a calendar year.\n").unwrap();
    std::fs::write(documents.path().join("travel.md"), "Hotels cost at most 140 euros for each night.\n").unwrap();
    std::fs::write(documents.path().join("broken.docx"), "no archive").unwrap();
    documents
}

#[tokio::test]
async fn chat_prints_the_numbered_sources_of_an_answer() {
    let (folder, documents) = (TempDir::new().unwrap(), documents());
    let arguments = ["--port", "0", "--knowledge", documents.path().to_str().unwrap()];
    let mut server = parlance(&arguments, folder.path()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while !printed.last().is_some_and(|line: &String| line.starts_with("  broken.docx: ")) {
        printed.push(with_timeout(lines.next_line()).await.unwrap().expect("the failed document is named"));
    }
    assert!(printed.iter().any(|line| line.starts_with("  Documents      ")), "{printed:?}");
    let report = &printed[printed.len() - 2];
    assert!(report.starts_with("Documents: 2 new, 1 failed; 2 in 2 chunks ("), "{report}");

    let question = "How many days of leave do employees get?";
    let answer = stdout(&run(&["chat", "--sources", question], folder.path()).await);
    assert!(answer.contains("25 days of leave"), "{answer}");
    let source = "([1] leave.md: s3://local-knowledge/leave.md)\n(Employees get 25 days of leave in a calendar year.)";
    assert!(answer.contains(source), "{answer}");
    stop(server).await;
}

#[tokio::test]
async fn index_is_kept_from_one_start_to_the_next() {
    let (folder, documents) = (TempDir::new().unwrap(), documents());
    let arguments = ["--port", "0", "--knowledge", documents.path().to_str().unwrap()];
    for report in ["Documents: 2 new, 1 failed; 2 in 2 chunks (", "Documents: 1 failed; 2 in 2 chunks ("] {
        let mut server = parlance(&arguments, folder.path()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut line = String::new();
        while !line.starts_with("Documents: ") {
            line = with_timeout(lines.next_line()).await.unwrap().expect("a report is printed");
        }
        assert!(line.starts_with(report), "{line}");
        stop(server).await;
    }
    let mode = folder.path().join(".parlance/knowledge").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn missing_folder_of_documents_fails_with_one_sentence() {
    let sentence = startup_error(&["--port", "0", "--knowledge", "/no/such/folder"]).await;
    assert!(sentence.starts_with("parlance: The folder /no/such/folder cannot be read: "), "{sentence}");
}

#[tokio::test]
async fn retrieve_prints_the_passages_of_a_question() {
    let (folder, documents) = (TempDir::new().unwrap(), documents());
    let knowledge = documents.path().to_str().unwrap();
    let question = "How many days of leave?";
    let arguments = ["retrieve", "--knowledge", knowledge, "--results", "1", question];
    for report in ["Documents: 2 new, 1 failed; 2 in 2 chunks (", "Documents: 1 failed; 2 in 2 chunks ("] {
        let output = run(&arguments, folder.path()).await;
        let text = stdout(&output);
        let score = text.strip_prefix("[1] ").and_then(|rest| rest.split(' ').next()).unwrap();
        assert!((0.0..=1.0).contains(&score.parse::<f64>().unwrap()), "{text}");
        assert!(text.ends_with(" leave.md\nEmployees get 25 days of leave in a calendar year.\n"), "{text}");
        let errors = stderr(&output);
        assert!(errors.starts_with(report) && errors.contains("\n  broken.docx: "), "{errors}");
    }
}

#[tokio::test]
async fn retrieve_measures_every_method_with_a_file_of_questions() {
    let (folder, documents) = (TempDir::new().unwrap(), documents());
    let questions = folder.path().join("questions.jsonl");
    let lines = [
        r#"{"id":"1","kind":"same words","question":"days of leave","sources":["leave.md"],"passage":"25 days"}"#,
        r#"{"id":"2","kind":"typo","question":"hottels a night","sources":["travel.md"]}"#,
        r#"{"id":"3","kind":"no answer","question":"Who founded Rome?"}"#,
    ];
    std::fs::write(&questions, lines.join("\n")).unwrap();
    let [knowledge, file] = [documents.path(), &questions].map(|path| path.to_str().unwrap());
    let arguments = ["retrieve", "--knowledge", knowledge, "--questions", file, "--results", "1"];
    let table = stdout(&run(&arguments, folder.path()).await);
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["kind", "same words", "typo", "all", "has an answer (AUC)"], "{table}");
    let header: Vec<&str> = rows[0].iter().map(|cell| cell.trim()).collect();
    let methods = ["lexical recall@1", "MRR@10", "semantic recall@1", "MRR@10", "hybrid recall@1", "MRR@10"];
    assert_eq!(header[2..], methods, "{table}");
    assert!(
        rows[1][1..].iter().map(|cell| cell.trim()).eq(["1", "1.00", "1.00", "1.00", "1.00", "1.00", "1.00"]),
        "{table}"
    );
    std::fs::write(&questions, "no question").unwrap();
    let error = stderr(&run(&arguments, folder.path()).await);
    assert!(error.contains("parlance: Line 1 of the questions is not a question: "), "{error}");
}

#[tokio::test]
async fn readme_shows_what_the_first_commands_print() {
    let folder = TempDir::new().unwrap();
    let mut command = parlance_with_page(&["--port", "0"], folder.path());
    // Nothing is built where there is no Node.
    command.env("PATH", folder.path());
    let (server, printed) = start(command).await;
    let [welcome, curl, chat] = readme_outputs();
    let port = port(&printed).to_string();
    let state = folder.path().join(".parlance");
    let as_default = |text: &str| text.replace(&port, "4000").replace(state.to_str().unwrap(), ".parlance");
    assert_matches(&as_default(&printed.join("\n")), &welcome);

    let command = printed.iter().find(|line| line.trim().starts_with("curl ")).unwrap();
    let output = with_timeout(Command::new("bash").args(["-c", command]).output()).await.unwrap();
    assert_matches(&stdout(&output), &curl);

    assert_matches(&stdout(&run(&["chat", "What is a monad?"], folder.path()).await), &chat);
    stop(server).await;
}

/// What the README shows after the command of each of its three console blocks.
fn readme_outputs() -> [String; 3] {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    let outputs: Vec<String> = blocks.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect();
    outputs.try_into().unwrap()
}

/// In `expected`, `…` stands for any text within a line.
#[track_caller]
fn assert_matches(printed: &str, expected: &str) {
    let pattern = fancy_regex::escape(expected.trim()).replace('…', "[^\\n]*");
    let is_match = Regex::new(&format!("^{pattern}$")).unwrap().is_match(printed.trim()).unwrap();
    assert!(is_match, "printed:\n{printed}\nthe README shows:\n{expected}");
}
