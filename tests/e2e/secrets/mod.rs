//! Secrets and conversations cross the program; everything that it writes or sends is scanned for them.
mod fixture;
mod invalid_requests;
mod planted_secrets;
mod traffic_capture;
mod user_requests;

use std::{fs, path::Path};

use client::{
    AppSync, Credentials,
    credentials::IamKeys,
    requests::{CancelTurn, GetEvents, PutAgent, SendMessage},
    schema::ToolStatus,
};
use futures::future::join_all;
use local::{
    identity::{LocalIssuers, PoolUser},
    secrets_manager::LocalSecret,
    template::REGION,
};
use serde_json::json;
use tokio::process::Command;

use self::{
    fixture::{Fixture, KMS_KEY_FILE, TestServer},
    planted_secrets::{ADMINISTRATOR_KEY, API_KEY, Findings, Location},
    user_requests::{Session, share_and_unshare},
};
use crate::{backend::with_timeout, mcp_server::McpServer};

/// The scripted models that fail or answer in an unusual way.
const FAULTY_MODELS: [&str; 15] = [
    "throttled-twice",
    "throttled-midway",
    "refused",
    "forbidden",
    "missing",
    "unavailable",
    "cut",
    "cut-at-once",
    "silent",
    "falls-silent",
    "exception",
    "stream-error",
    "blank",
    "max-tokens",
    "filtered",
];
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
/// The beginnings of sealed credentials in the payloads of the handler.
const SEALED_API_KEY: &str = r#"{"kind":"API_KEY","sealed":""#;
const SEALED_TOKEN: &str = r#"{"kind":"TOKEN","sealed":""#;
const STATE_FILES: [&str; 9] = [
    "api-key",
    "endpoint.json",
    KMS_KEY_FILE,
    "lock",
    "table.db",
    "table.db-shm",
    "table.db-wal",
    "tls-certificate.pem",
    "tls-key.pem",
];

/// A client for each kind of caller.
struct Clients {
    api_key: AppSync,
    /// An administrator of the user pool.
    ada: AppSync,
    ada_token: String,
    /// A user of the user pool.
    bob: AppSync,
    bob_id: String,
    /// A user of the OpenID Connect provider.
    carol: AppSync,
    administrator: AppSync,
}

impl Clients {
    async fn new(fixture: &Fixture, server: &TestServer) -> Self {
        let ada_token = print_token(fixture, &["ada"]).await;
        let bob_token = print_token(fixture, &["bob"]).await;
        let carol_token = print_token(fixture, &["carol", "--oidc"]).await;
        let pool_url = LocalIssuers::pool_url(server.url.trim_end_matches("/graphql"));
        Self {
            api_key: server.api_key_client(),
            ada: server.client(Credentials::Token(ada_token.clone())),
            ada_token,
            bob: server.client(Credentials::Token(bob_token)),
            bob_id: format!("{pool_url}#{}", PoolUser::named("bob").subject()),
            carol: server.client(Credentials::Token(carol_token)),
            administrator: administrator(server),
        }
    }
}

fn administrator(server: &TestServer) -> AppSync {
    let [access_key, secret_key] =
        ["accessKeyId", "secretAccessKey"].map(|name| server.administrator[name].as_str().unwrap().to_owned());
    server.client(Credentials::Iam(IamKeys { access_key, secret_key, session_token: None, region: REGION.into() }))
}

/// The token that the program prints for a user.
async fn print_token(fixture: &Fixture, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.arg("token").args(arguments).arg("--state").arg(fixture.state());
    let output = with_timeout(command.output()).await.unwrap();
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(output.status.success() && !token.is_empty(), "{:?}", output.stderr);
    fixture.plant_token(&format!("{}'s token", arguments[0]), token)
}

#[tokio::test]
async fn secrets_of_valid_requests_appear_only_in_allowed_locations() {
    let fixture = Fixture::new().await;
    let (server, clients) = start_with_users(&fixture).await;
    let session = |client| Session { fixture: &fixture, client };
    put_agents(&fixture, &clients).await;
    let callers = [&clients.api_key, &clients.ada, &clients.carol, &clients.administrator].map(session);
    join_all(callers.iter().map(|caller| async {
        caller.use_every_operation().await;
        caller.make_refused_requests().await;
    }))
    .await;
    share_and_unshare(session(&clients.ada), session(&clients.bob), &clients.bob_id).await;
    fixture.stop(server).await;
    exceed_quota_after_restart(&fixture).await;

    let findings = fixture.scan();
    assert_no_leaks(&findings);
    assert_state_files(&fixture, &["oidc-key", "pool-key"]);
    assert_found_where_expected(&fixture, &findings);
    assert!(fixture.captured_text(&Location::ResponseError).contains("QuotaExceeded"));
    assert_contains_all(&fixture.captured_text(&Location::Log), &["answered"]);
}

/// The scan sees what the program writes, because each secret is found where it is expected.
fn assert_found_where_expected(fixture: &Fixture, findings: &Findings) {
    let is_table_file = |location: &Location| match location {
        Location::StateFile(name) => name.starts_with("table.db"),
        _ => false,
    };
    let in_table_files = findings.names_in(is_table_file);
    let in_items = findings.names_in(|location| *location == Location::TableItem);
    for name in ["a new title", "a question", "a cancelled question", "a prompt", "an agent's name"] {
        assert!(in_table_files.contains(name) && in_items.contains(name), "the table contains {name}");
    }
    for location in [Location::StateFile("endpoint.json".into()), Location::StartupOutput] {
        let names = findings.names_in(|other| *other == location);
        assert_eq!(names, [API_KEY, ADMINISTRATOR_KEY].map(str::to_owned).into(), "{location:?}");
    }
    for name in
        ["a process's AWS_SECRET_ACCESS_KEY", "a process's AWS_SESSION_TOKEN", "pool-key", "oidc-key", KMS_KEY_FILE]
    {
        assert!(fixture.has_planted(name), "{name} is known");
    }
    let in_invocations = findings.names_in(|location| *location == Location::Invocation);
    assert!(in_invocations.contains("a question") && in_invocations.contains("a prompt"), "{in_invocations:?}");
    assert!(findings.names_in(|location| *location == Location::ResponseData).contains("a question"));
}

#[tokio::test]
async fn credentials_for_tools_are_sealed_in_every_location() {
    let fixture = Fixture::new().await;
    let (server, clients) = start_with_users(&fixture).await;
    let session = |client| Session { fixture: &fixture, client };
    session(&clients.ada).put_agent_with_operation("caller").await;
    for client in [&clients.api_key, &clients.ada, &clients.bob, &clients.carol] {
        assert_eq!(session(client).call_operation("caller").await, (ToolStatus::Succeeded, None));
        assert_eq!(session(client).approve_change("caller").await, (ToolStatus::Succeeded, None));
    }
    let without = "This tool needs the caller's own sign-in, and callers with IAM have none that can be passed on.";
    let result = session(&clients.administrator).call_operation("caller").await;
    assert_eq!(result, (ToolStatus::Failed, Some(without.into())));
    fixture.stop(server).await;

    assert_no_leaks(&fixture.scan());
    assert_state_files(&fixture, &["oidc-key", "pool-key"]);
    let invocations = fixture.captured_text(&Location::Invocation);
    assert_contains_all(&invocations, &[SEALED_API_KEY, SEALED_TOKEN, r#"{"kind":"NONE","reason":"IAM"}"#]);
}

/// The response of the handler has the text, because it is the answer.
#[tokio::test]
async fn text_of_a_one_shot_question_is_neither_stored_nor_logged() {
    const QUESTION: &str = "a one-shot question";
    let fixture = Fixture::new().await;
    let server = fixture.start(Path::new(PROJECT), "info", &[]).await;
    let document = "mutation ($input: String!) { invokeModel(input: $input) }";
    let input = json!({ "input": fixture.text(QUESTION) });
    assert!(fixture.execute(&server.api_key_client(), document, input).await["invokeModel"].is_string());
    fixture.stop(server).await;

    let findings = fixture.scan();
    let traffic = [Location::ResponseData, Location::Invocation, Location::FunctionResponse];
    for location in &traffic {
        assert!(findings.names_in(|other| other == location).contains(QUESTION), "{location:?}");
    }
    assert!(!findings.names_in(|location| !traffic.contains(location)).contains(QUESTION));
    assert_contains_all(&fixture.captured_text(&Location::Log), &["answered"]);
}

/// The server repeats it in a result, and later refuses it.
#[tokio::test]
async fn secret_for_an_mcp_server_appears_nowhere() {
    let fixture = Fixture::new().await;
    let token = fixture.credential("an MCP server's token");
    let mcp_server = McpServer::requiring(Some(format!("Bearer {token}"))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("Bearer {token}")).unwrap();
    let secret: LocalSecret = format!("mcp={}", file.display()).parse().unwrap();
    let parameter = format!("ToolMcpUrls={}", mcp_server.url);
    let option = format!("mcp={}", file.display());
    let arguments = ["--secret", &option, "--parameter", &parameter];
    let server = fixture.start(Path::new(PROJECT), "info,rmcp=trace", &arguments).await;
    let administrator = administrator(&server);
    let session = Session { fixture: &fixture, client: &administrator };
    session.put_agent_with_mcp_server("caller", &mcp_server.url, &secret.arn()).await;
    let result = session.call_tool("caller", "s_show_headers").await;
    assert_eq!(result, (ToolStatus::Succeeded, Some("authorization: [credential removed]".into())));

    // Another session is refused, with the secret that is kept and with the one that is read again.
    let wrong_token = fixture.credential("a wrong token");
    mcp_server.require(Some("Bearer another".into()));
    fs::write(&file, format!("Bearer {wrong_token}")).unwrap();
    let result = session.call_tool("caller", "s_show_headers").await;
    let text = "The tool's server did not accept the sign-in of this deployment.";
    assert_eq!(result, (ToolStatus::Failed, Some(text.into())));
    fixture.stop(server).await;
    assert_no_leaks(&fixture.scan());
    assert_contains_all(&fixture.captured_text(&Location::Invocation), &["checkTools", &secret.arn()]);
}

#[tokio::test]
async fn secrets_of_failing_turns_appear_only_in_allowed_locations() {
    let fixture = Fixture::new().await;
    let arguments = ["--parameter", "ModelSilenceSeconds=2"];
    let server = fixture.start(Path::new(PROJECT), "info", &arguments).await;
    let administrator = administrator(&server);
    let session = Session { fixture: &fixture, client: &administrator };
    join_all(FAULTY_MODELS.map(|model| async move {
        session.put_agent(model).await;
        session.complete_turn(model).await;
    }))
    .await;
    fixture.stop(server).await;
    assert_no_leaks(&fixture.scan());
    assert_contains_all(&fixture.captured_text(&Location::Log), &["answered", "failed", "bedrock"]);
}

#[tokio::test]
async fn secrets_of_invalid_requests_appear_only_in_allowed_locations() {
    let fixture = Fixture::new().await;
    let (server, clients) = start_with_users(&fixture).await;
    invalid_requests::send_over_http(&fixture, &server, &clients.ada_token).await;
    invalid_requests::send_over_websockets(&fixture, &server, &clients.ada_token).await;
    fixture.stop(server).await;
    assert_no_leaks(&fixture.scan());
}

#[tokio::test]
async fn secrets_appear_only_in_allowed_locations_despite_faults() {
    let faults =
        ["event-twice=1", "publish-outage=1", "table-conflict=0.1", "table-throttled=0.1", "table-answer-lost=0.1"];
    let fixture = Fixture::new().await;
    let server = start_with_faults(&fixture, &faults).await;
    let client = server.api_key_client();
    let session = Session { fixture: &fixture, client: &client };
    let (conversation, turn) = start_turn(&fixture, &server, session, "deltas-300-15").await;
    with_timeout(fixture.traffic.wait_for_failure_records(1)).await;
    session.wait_for_end(&conversation, &turn).await;
    session.call(&CancelTurn { conversation_id: conversation.clone(), id: turn }).await;
    session.call(&GetEvents { conversation_id: conversation, ..GetEvents::default() }).await;
    fixture.stop(server).await;

    assert_no_leaks(&fixture.scan());
    assert_state_files(&fixture, &[]);
    let records = fixture.captured_text(&Location::FailureRecord);
    assert_contains_all(&records, &["RetriesExhausted", "Handler.Leased"]);
    assert_contains_all(&fixture.captured_text(&Location::Invocation), &[SEALED_API_KEY]);
    let log = fixture.captured_text(&Location::Log);
    assert_contains_all(&log, &["not published", "written directly", "an invocation failed for good"]);
}

#[tokio::test]
async fn secrets_appear_only_in_allowed_locations_when_processes_die() {
    let fixture = Fixture::new().await;
    let server = start_with_faults(&fixture, &["process-killed=1"]).await;
    let client = server.api_key_client();
    let session = Session { fixture: &fixture, client: &client };
    // Long enough for the process to make the call at which it is killed.
    let (conversation, turn) = start_turn(&fixture, &server, session, "deltas-2000-20").await;
    with_timeout(fixture.traffic.wait_for_failure_records(1)).await;
    session.call(&CancelTurn { conversation_id: conversation.clone(), id: turn }).await;
    session.call(&GetEvents { conversation_id: conversation, ..GetEvents::default() }).await;
    fixture.stop(server).await;

    assert_no_leaks(&fixture.scan());
    assert_state_files(&fixture, &[]);
    let records = fixture.captured_text(&Location::FailureRecord);
    assert_contains_all(&records, &["RetriesExhausted", "Runtime.ExitError"]);
    assert_contains_all(&fixture.captured_text(&Location::Invocation), &[SEALED_API_KEY]);
    assert_contains_all(&fixture.captured_text(&Location::Log), &["an invocation failed for good"]);
}

#[tokio::test]
async fn secrets_logged_by_a_resolver_are_found() {
    let fixture = Fixture::new().await;
    let root = fixture.copy_project();
    let resolver = root.join("resolvers/messages/validateMessage.js");
    let code = fs::read_to_string(&resolver).unwrap();
    let logging = code.replacen("ctx.args.input;", "ctx.args.input;\n  console.log(text, ctx.request.headers);", 1);
    assert_ne!(logging, code);
    fs::write(&resolver, logging).unwrap();

    let server = fixture.start(&root, "local::graphql=debug", &[]).await;
    let session = Session { fixture: &fixture, client: &server.api_key_client() };
    let conversation = session.create_conversation(None).await;
    session.send_until_accepted(&conversation, fixture.text("a question")).await;
    fixture.stop(server).await;
    let findings = fixture.scan();
    let in_log = findings.names_in(|location| *location == Location::Log);
    assert_eq!(in_log, ["a question", API_KEY].map(str::to_owned).into());
    let leaks = findings.leaks().into_iter().collect::<Vec<_>>().join("\n");
    assert_contains_all(&leaks, &["Log contains a question", "Log contains the API key"]);
}

fn assert_no_leaks(findings: &Findings) {
    let leaks: Vec<_> = findings.leaks().into_iter().collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

fn assert_state_files(fixture: &Fixture, keys: &[&str]) {
    let expected = STATE_FILES.iter().chain(keys).map(|name| (*name).to_owned()).collect();
    assert_eq!(fixture.state_files(), expected);
}

fn assert_contains_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// Starts a server with a user pool and an OpenID Connect provider.
async fn start_with_users(fixture: &Fixture) -> (TestServer, Clients) {
    let arguments = ["--user", "ada:administrators", "--user", "bob", "--oidc", "--parameter", "MessagesPerMinute=100"];
    let server = fixture.start(Path::new(PROJECT), "info", &arguments).await;
    let clients = Clients::new(fixture, &server).await;
    (server, clients)
}

async fn put_agents(fixture: &Fixture, clients: &Clients) {
    let session = |client| Session { fixture, client };
    session(&clients.administrator).put_agent("deltas-2000-20").await;
    let ada = session(&clients.ada);
    ada.put_agent("echo").await;
    for client in [&clients.api_key, &clients.bob, &clients.carol] {
        assert!(session(client).call(&ada.agent("echo")).await.is_none());
    }
    let malformed_id = PutAgent { id: fixture.text("a malformed id") + " !", ..ada.agent("echo") };
    assert!(ada.call(&malformed_id).await.is_none());
    let long_name = PutAgent { name: Some(fixture.text("a long name").repeat(9)), ..ada.agent("echo") };
    assert!(ada.call(&long_name).await.is_none());
}

/// Starts the server again with the state of the requests before, and exceeds a quota.
async fn exceed_quota_after_restart(fixture: &Fixture) {
    let arguments = ["--user", "bob", "--parameter", "MessagesPerMinute=1"];
    let server = fixture.start(Path::new(PROJECT), "info", &arguments).await;
    let client = server.client(Credentials::Token(print_token(fixture, &["bob"]).await));
    let bob = Session { fixture, client: &client };
    for is_accepted in [true, false] {
        let message = SendMessage { text: fixture.text("a first message"), ..SendMessage::default() };
        assert_eq!(bob.call(&message).await.is_some(), is_accepted);
    }
    fixture.stop(server).await;
}

/// Starts a server that injects faults and does not retry failed invocations.
async fn start_with_faults(fixture: &Fixture, faults: &[&str]) -> TestServer {
    let root = fixture.copy_project();
    let template_path = root.join("template.yaml");
    let template = fs::read_to_string(&template_path).unwrap();
    let without_retries = template.replace("MaximumRetryAttempts: 2", "MaximumRetryAttempts: 0");
    assert_ne!(without_retries, template);
    fs::write(&template_path, without_retries).unwrap();
    let arguments: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    fixture.start(&root, "info", &arguments).await
}

/// Starts a turn with an agent of a scripted model, and returns the ids of its conversation and the turn.
async fn start_turn(fixture: &Fixture, server: &TestServer, session: Session<'_>, model: &str) -> (String, String) {
    Session { fixture, client: &administrator(server) }.put_agent_with_operation(model).await;
    let conversation = session.create_conversation(Some(model)).await;
    let turn = session.send_until_accepted(&conversation, fixture.text("a question")).await;
    (conversation, turn)
}
