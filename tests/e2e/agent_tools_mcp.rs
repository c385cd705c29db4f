//! Agents whose tools are those of MCP servers.
use std::{collections::BTreeMap, fs};

use client::{
    errors::ErrorType,
    requests::{AnswerToolCall, CreateConversation, PutAgent, PutMcpServer, PutTool},
    schema::{ConversationEvent, ToolApproval, ToolEffect, ToolResult, ToolStatus},
};
use local::{
    fault_injection::{Call, CallPhase, FaultPlan, KillPoint},
    secrets_manager::LocalSecret,
    server::{Server, ServerOptions},
};
use serde_json::{Value, json};

use crate::{
    backend::{Backend, expect_api_error, iam_client, options},
    killed_handlers::{RETRY_AFTER_LEASE, run_checks},
    mcp_server::McpServer,
    subscriber::Subscriber,
    waiting::{answer_to, updates_until_wait},
};

/// Answers as the scripted model, with Claude's rules for transcripts.
const MODEL: &str = "anthropic.claude-sonnet-5";

#[tokio::test]
async fn tools_of_a_server_are_listed_and_run() {
    let server = McpServer::start().await;
    let backend = start([("ToolMcpUrls", server.url.clone())], |options| options).await;
    put_agent(&backend, mcp_tool(&server)).await;
    let document = "{ getAgent(id: \"tools\") { tools { name title description inputSchema effect approval \
        mcp { url authorizationSecretArn toolName } } } }";
    let response = backend.administrator.execute(document, json!({})).await.unwrap();
    let mcp = |name: &str| json!({ "url": server.url, "authorizationSecretArn": null, "toolName": name });
    let expected = json!([
        { "name": "s_look", "title": "Look", "description": "Looks.", "effect": "READ", "approval": "NEVER",
          "inputSchema": "{\"properties\":{\"at\":{}},\"type\":\"object\"}", "mcp": mcp("look") },
        { "name": "s_change", "title": null, "description": "Changes.", "effect": "WRITE", "approval": "ALWAYS",
          "inputSchema": "{\"type\":\"object\"}", "mcp": mcp("change") },
        { "name": "s_show_headers", "title": null, "description": "show-headers", "effect": "READ",
          "approval": "NEVER", "inputSchema": "{\"type\":\"object\"}", "mcp": mcp("show-headers") },
    ]);
    assert_eq!(response.data["getAgent"]["tools"], expected);
    server.wait_for_ended_sessions(1).await;

    let conversation = create_conversation(&backend).await;
    let question = r#"call s_look with {"at":[1]} call s_show_headers"#;
    let answered = backend.send_and_wait(&conversation, question).await;
    let results = results(answered.turn.answer.as_deref().unwrap());
    let texts: Vec<_> = results.iter().map(|result| (result.status, result.text.as_deref().unwrap())).collect();
    let expected = [(ToolStatus::Succeeded, r#"look: {"at":[1]}"#), (ToolStatus::Succeeded, "authorization: none")];
    assert_eq!(texts, expected);
    let [look, _] = server.calls().try_into().unwrap();
    let key = look["_meta"]["parlance/idempotencyKey"].as_str().unwrap();
    assert!(
        key.starts_with(&format!("{conversation}/{}/", answered.turn.id)) && key.ends_with(&results[0].tool_use_id),
        "{key}"
    );
    assert_eq!(look["_meta"]["parlance/conversationId"], conversation);
    server.wait_for_ended_sessions(2).await;
    backend.server.stop().await;
    assert_eq!(server.started_sessions(), 2, "one for the list of tools, and one for both calls");
}

#[tokio::test]
async fn tool_that_may_change_something_waits_for_an_approval() {
    let server = McpServer::start().await;
    let backend = start([("ToolMcpUrls", server.url.clone())], |options| options).await;
    put_agent(&backend, mcp_tool(&server)).await;
    let conversation = create_conversation(&backend).await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, r#"call s_change with {"to":2}"#).await;
    updates_until_wait(&mut subscriber).await;
    let waiting = backend.turn(&conversation, &turn.id).await;
    assert!(server.calls().is_empty());
    let approval = AnswerToolCall { approved: Some(true), ..answer_to(&waiting, 0) };
    backend.api.call(&approval).await.unwrap();
    subscriber.updates_until_end(&turn.id).await;
    let answered = backend.turn(&conversation, &turn.id).await;
    let [result] = results(answered.answer.as_deref().unwrap()).try_into().unwrap();
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Succeeded, Some(r#"change: {"to":2}"#)));
    assert_eq!(server.calls().len(), 1);
    backend.server.stop().await;
}

#[tokio::test]
async fn secret_is_sent_to_the_server_and_not_to_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "Bearer 0123456789abcdef\n").unwrap();
    let secret: LocalSecret = format!("mcp/token={}", file.display()).parse().unwrap();
    let server = McpServer::requiring(Some("Bearer 0123456789abcdef".into())).await;
    let backend = start([("ToolMcpUrls", server.url.clone())], |options| ServerOptions {
        secrets: vec![secret.clone()],
        ..options
    })
    .await;
    let without = agent(mcp_tool(&server));
    let (error_type, info) = expect_api_error(&backend.administrator, &without).await;
    assert_eq!((error_type, &info["field"]), (ErrorType::InvalidInput, &json!("tools[0].mcp.url")));

    let mut tool = mcp_tool(&server);
    tool.mcp.as_mut().unwrap().authorization_secret_arn = Some(secret.arn());
    put_agent(&backend, tool.clone()).await;
    let conversation = create_conversation(&backend).await;
    let answered = backend.send_and_wait(&conversation, "call s_show_headers").await;
    let [result] = results(answered.turn.answer.as_deref().unwrap()).try_into().unwrap();
    let expected = Some("authorization: [credential removed]");
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Succeeded, expected));

    tool.mcp.as_mut().unwrap().authorization_secret_arn = Some(secret.arn().replace("mcp/", "other/"));
    let (error_type, info) = expect_api_error(&backend.administrator, &agent(tool)).await;
    let field = json!("tools[0].mcp.authorizationSecretArn");
    assert_eq!((error_type, &info["field"]), (ErrorType::InvalidInput, &field));
    backend.server.stop().await;
}

#[tokio::test]
async fn agent_with_a_server_that_is_refused_is_not_stored() {
    let server = McpServer::start().await;
    let web_page = "http://localhost:1/page";
    let urls = format!("{},{web_page}", server.url);
    let backend = start([("ToolMcpUrls", urls)], |options| options).await;
    let with_url =
        |url: &str| PutTool { mcp: Some(PutMcpServer { url: url.into(), ..PutMcpServer::default() }), ..named() };
    let with_tools = |names: &[&str]| {
        let mut tool = mcp_tool(&server);
        tool.mcp.as_mut().unwrap().tools = Some(names.iter().map(|name| (*name).to_owned()).collect());
        tool
    };
    for (tool, field) in [
        (with_url("https://mcp.example/mcp"), "tools[0].mcp.url"),
        (with_url(web_page), "tools[0].mcp.url"),
        (with_tools(&["look", "missing"]), "tools[0].mcp.tools"),
        (PutTool { effect: Some(ToolEffect::Read), ..mcp_tool(&server) }, "tools[0].effect"),
    ] {
        let (error_type, info) = expect_api_error(&backend.administrator, &agent(tool)).await;
        assert_eq!((error_type, &info["field"]), (ErrorType::InvalidInput, &json!(field)));
    }
    assert!(server.calls().is_empty());
    assert_eq!(backend.partition_items("AGENT#tools").await, Vec::<Value>::new());
    put_agent(&backend, with_tools(&["look"])).await;
    assert!(!backend.partition_items("AGENT#tools").await.is_empty());
    backend.server.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_the_deployment_no_longer_lists() {
    let server = McpServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let server_options =
        |urls: String| ServerOptions { ephemeral: false, ..options(&state, parameters([("ToolMcpUrls", urls)])) };
    let first = Server::start(server_options(server.url.clone())).await.unwrap();
    iam_client(&first, &first.endpoint.administrator).call(&agent(mcp_tool(&server))).await.unwrap();
    first.stop().await;

    let backend = Backend::start_with(server_options("none".to_owned()), state).await;
    let conversation = create_conversation(&backend).await;
    let answered = backend.send_and_wait(&conversation, "call s_look").await;
    let [result] = results(answered.turn.answer.as_deref().unwrap()).try_into().unwrap();
    let expected = "The tool may not be used or does not exist.";
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Failed, Some(expected)));
    assert!(server.calls().is_empty());
    backend.server.stop().await;
}

/// A call that changes something is sent at most once.
pub async fn check_killed_handlers() {
    let checks = [
        // The call is claimed, and nobody can know that it was not sent.
        (KillPoint { call: Call::TransactWriteItems, number: 1, phase: CallPhase::During }, 0, ToolStatus::Unknown),
        // The call has taken effect, and its outcome is not stored.
        (KillPoint { call: Call::PutItem, number: 1, phase: CallPhase::Before }, 1, ToolStatus::Unknown),
        // The outcome is stored.
        (KillPoint { call: Call::PutItem, number: 1, phase: CallPhase::During }, 1, ToolStatus::Succeeded),
    ]
    .map(|(point, calls, status)| check_kill(point, calls, status));
    run_checks(checks).await;
}

async fn check_kill(point: KillPoint, calls: usize, status: ToolStatus) {
    let server = McpServer::start().await;
    // The first process checks the agent's tools, and then answers the turn.
    let fault_plan = FaultPlan { kills: BTreeMap::from([(1, point)]), ..FaultPlan::default() };
    let backend = start([("ToolMcpUrls", server.url.clone())], |options| ServerOptions {
        fault_plan,
        time_scale: RETRY_AFTER_LEASE,
        ..options
    })
    .await;
    let tool = PutTool { approval: Some(ToolApproval::Never), ..mcp_tool(&server) };
    put_agent(&backend, tool).await;
    let conversation = create_conversation(&backend).await;
    let answered = backend.send_and_wait(&conversation, "call s_change").await;
    let [result] = results(answered.turn.answer.as_deref().unwrap()).try_into().unwrap();
    assert_eq!(backend.server.call_recorder.kills(), BTreeMap::from([(1, point)]));
    assert_eq!((server.calls().len(), result.status), (calls, status), "{point:?}");
    backend.server.stop().await;
}

async fn start<const N: usize>(
    parameters: [(&str, String); N],
    change: impl FnOnce(ServerOptions) -> ServerOptions,
) -> Backend {
    let state = tempfile::tempdir().unwrap();
    let options = options(&state, self::parameters(parameters));
    Backend::start_with(change(options), state).await
}

fn parameters<const N: usize>(parameters: [(&str, String); N]) -> BTreeMap<String, String> {
    // The handler may call this model.
    let model = ("ModelId".to_owned(), MODEL.to_owned());
    parameters.map(|(name, value)| (name.to_owned(), value)).into_iter().chain([model]).collect()
}

async fn put_agent(backend: &Backend, tool: PutTool) {
    backend.administrator.call(&agent(tool)).await.unwrap();
}

async fn create_conversation(backend: &Backend) -> String {
    backend.create(CreateConversation { agent_id: Some("tools".into()), ..CreateConversation::default() }).await.id
}

fn agent(tool: PutTool) -> PutAgent {
    PutAgent { id: "tools".into(), model_id: MODEL.into(), tools: Some(vec![tool]), ..PutAgent::default() }
}

fn mcp_tool(server: &McpServer) -> PutTool {
    PutTool { mcp: Some(PutMcpServer { url: server.url.clone(), ..PutMcpServer::default() }), ..named() }
}

fn named() -> PutTool {
    PutTool { name: "s".into(), ..PutTool::default() }
}

fn results(events: &[ConversationEvent]) -> Vec<ToolResult> {
    events.iter().flat_map(ConversationEvent::tool_results).cloned().collect()
}
