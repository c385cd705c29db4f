//! Agents whose tools are GraphQL operations, which run with the caller's own credential.
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header::LOCATION},
};
use client::{
    AppSync,
    errors::ErrorType,
    requests::{CreateConversation, GetConversation, ListConversations, PutAgent, PutGraphqlTool, PutTool},
    schema::{ConversationEvent, SenderKind, ToolApproval, ToolResult, ToolStatus},
};
use local::{
    fault_injection::{Call, CallPhase, FaultPlan, KillPoint},
    server::{Server, ServerOptions},
};
use serde_json::{Value, json};

use crate::{
    backend::{Backend, expect_api_error, iam_client, new_id, options, send_message},
    killed_handlers::{RETRY_AFTER_LEASE, UNKNOWN, run_checks},
    subscriber::Subscriber,
};

pub const LIST: &str = "query { listConversations { items { id title } } }";
const RENAME: &str =
    "mutation Rename($id: ID!, $title: String!) { updateConversation(input: {id: $id, title: $title}) { id title } }";
/// Answers as the scripted model, with Claude's rules for transcripts.
const MODEL: &str = "anthropic.claude-sonnet-5";

#[tokio::test]
async fn tools_list_and_rename_only_the_conversations_of_the_caller() {
    let backend = start(|options| ServerOptions {
        users: ["ada", "bob"].map(|user| user.parse().unwrap()).into(),
        oidc: true,
        ..options
    })
    .await;
    put_agent(&backend, tools(None)).await;
    let callers = [backend.pool_user("ada").api, backend.oidc_user("bob").api, backend.api.clone()];
    let mut conversations = Vec::new();
    for caller in &callers {
        conversations.push(create_conversation(caller).await);
    }
    for (caller, own) in callers.iter().zip(&conversations) {
        let question = format!("call rename with {}", json!({ "id": own, "title": "Plans" }));
        let result = only_result(caller, own, &question).await;
        assert_eq!(result.status, ToolStatus::Succeeded, "{result:?}");
        let expected = json!({ "updateConversation": { "id": own, "title": "Plans" } });
        assert_eq!(serde_json::from_str::<Value>(result.json.as_ref().unwrap()).unwrap(), expected);
        let conversation = caller.call(&GetConversation { id: own.clone() }).await.unwrap();
        assert_eq!(conversation.title.as_deref(), Some("Plans"));

        let result = only_result(caller, own, "call list").await;
        let expected = json!({ "listConversations": { "items": [{ "id": own, "title": "Plans" }] } });
        assert_eq!(serde_json::from_str::<Value>(result.json.as_ref().unwrap()).unwrap(), expected);
        let list = caller.call(&ListConversations::default()).await.unwrap();
        assert_eq!(list.items.len(), 1);

        for other in conversations.iter().filter(|other| *other != own) {
            let question = format!("call rename with {}", json!({ "id": other, "title": "Stolen" }));
            let result = only_result(caller, own, &question).await;
            let expected = format!("There is no conversation {other}.");
            assert_eq!((result.status, result.text), (ToolStatus::Failed, Some(expected)));
        }
    }
    for (caller, own) in callers.iter().zip(&conversations) {
        let conversation = caller.call(&GetConversation { id: own.clone() }).await.unwrap();
        assert_eq!(conversation.title.as_deref(), Some("Plans"));
    }
}

#[tokio::test]
async fn iam_caller_has_no_credential_for_tools() {
    let backend = start(|options| options).await;
    put_agent(&backend, tools(None)).await;
    let ann = backend.iam_user("ann").api;
    let own = create_conversation(&ann).await;
    let result = only_result(&ann, &own, "call list").await;
    let expected = "This tool needs the caller's own sign-in, and callers with IAM have none that can be passed on.";
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Failed, Some(expected)));
}

#[tokio::test]
async fn deployment_without_caller_tools_passes_no_credential_on() {
    let backend = start_with_parameters([("CallerTools", "false".to_owned())], |options| options).await;
    put_agent(&backend, tools(None)).await;
    let own = create_conversation(&backend.api).await;
    let result = only_result(&backend.api, &own, "call list").await;
    let expected = "This deployment does not pass sign-ins to tools.";
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Failed, Some(expected)));
}

#[tokio::test]
async fn agent_with_a_refused_document_or_url_is_not_stored() {
    let api = OtherApi::start().await;
    let backend = start(|options| options).await;
    let input_object = "mutation($input: UpdateConversationInput!) { updateConversation(input: $input) { id } }";
    for (document, url, field) in [
        (LIST, Some(api.url()), "tools[0].graphql.url"),
        ("{ a", None, "tools[0].graphql.document"),
        ("subscription { subscribe(conversationId: \"c\") { id } }", None, "tools[0].graphql.document"),
        ("mutation { rename: continueTurn(id: 1) { id } }", None, "tools[0].graphql.document"),
        (input_object, None, "tools[0].inputSchema"),
    ] {
        let agent = agent(vec![tool("list", document, url)]);
        let (error_type, info) = expect_api_error(&backend.administrator, &agent).await;
        assert_eq!((error_type, &info["field"]), (ErrorType::InvalidInput, &json!(field)));
    }
    assert_eq!(backend.partition_items("AGENT#tools").await, Vec::<Value>::new());
    assert_eq!(api.requests(), 0);
}

#[tokio::test]
async fn listed_api_gets_the_credential_and_its_redirect_is_not_followed() {
    let target = OtherApi::start().await;
    let redirecting = OtherApi::redirecting_to(&target).await;
    let urls = format!("{},{}", target.url(), redirecting.url());
    let backend = start_with_parameters([("ToolGraphqlUrls", urls)], |options| options).await;
    put_agent(&backend, tools(Some(target.url()))).await;
    let own = create_conversation(&backend.api).await;
    let result = only_result(&backend.api, &own, "call list").await;
    assert_eq!((result.status, result.json.as_deref()), (ToolStatus::Succeeded, Some("7")));
    assert_eq!(target.requests(), 1);

    put_agent(&backend, tools(Some(redirecting.url()))).await;
    let result = only_result(&backend.api, &own, "call list").await;
    let expected = "The tool's API did not accept the request.";
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Failed, Some(expected)));
    assert_eq!((redirecting.requests(), target.requests()), (1, 1));
}

#[tokio::test]
async fn credential_that_a_listed_api_echoes_is_in_no_event() {
    let api = OtherApi::echoing_its_headers().await;
    let backend = start_with_parameters([("ToolGraphqlUrls", api.url())], |options| options).await;
    put_agent(&backend, tools(Some(api.url()))).await;
    let own = create_conversation(&backend.api).await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &own).await;
    let turn = send_message(&backend.api, &own, &new_id(), "call list").await.unwrap();
    let events: Vec<_> = subscriber.updates_until_end(&turn.id).await.into_iter().flat_map(|it| it.event).collect();
    let [result] = results(&events).try_into().expect("one result");
    let echo: Value = serde_json::from_str(result.json.as_ref().unwrap()).unwrap();
    assert_eq!((api.requests(), &echo["x-api-key"]), (1, &json!("[credential removed]")));
    assert_eq!(echo["content-type"], "application/json");
    let stored = backend.api.call(&GetConversation { id: own }).await.unwrap();
    let api_key = backend.server.endpoint.api_key.as_ref().unwrap();
    assert!(!format!("{events:?} {stored:?}").contains(api_key));
}

#[tokio::test]
async fn nothing_is_sent_to_a_url_that_the_deployment_no_longer_lists() {
    let api = OtherApi::start().await;
    let state = tempfile::tempdir().unwrap();
    let server_options =
        |urls: String| ServerOptions { ephemeral: false, ..options(&state, parameters([("ToolGraphqlUrls", urls)])) };
    let first = Server::start(server_options(api.url())).await.unwrap();
    let administrator = iam_client(&first, &first.endpoint.administrator);
    administrator.call(&agent(tools(Some(api.url())))).await.unwrap();
    first.stop().await;

    let second = server_options("none".to_owned());
    let backend = Backend::start_with(second, state).await;
    let own = create_conversation(&backend.api).await;
    let result = only_result(&backend.api, &own, "call list").await;
    let expected = "The tool may not be used or does not exist.";
    assert_eq!((result.status, result.text.as_deref()), (ToolStatus::Failed, Some(expected)));
    assert_eq!(api.requests(), 0);
    backend.server.stop().await;
}

/// A mutation is sent at most once.
pub async fn check_killed_handlers() {
    let kills = [
        // The call is claimed, and nobody can know that it was not sent.
        (KillPoint { call: Call::TransactWriteItems, number: 1, phase: CallPhase::During }, 0, ToolStatus::Unknown),
        // The mutation has taken effect, and its outcome is not stored.
        (KillPoint { call: Call::PutItem, number: 1, phase: CallPhase::Before }, 1, ToolStatus::Unknown),
        // The outcome is stored.
        (KillPoint { call: Call::PutItem, number: 1, phase: CallPhase::During }, 1, ToolStatus::Succeeded),
        // The credential is unsealed before the call is claimed.
        (KillPoint { call: Call::Decrypt, number: 1, phase: CallPhase::During }, 1, ToolStatus::Succeeded),
    ];
    let checks = kills.map(|(point, requests, status)| check_kill(point, requests, status));
    run_checks(checks).await;
}

async fn check_kill(point: KillPoint, requests: usize, status: ToolStatus) {
    let api = OtherApi::start().await;
    // The first process checks the agent's tools, and then answers the turn.
    let fault_plan = FaultPlan { kills: BTreeMap::from([(1, point)]), ..FaultPlan::default() };
    let parameters = [("ToolGraphqlUrls", api.url())];
    let backend = start_with_parameters(parameters, |options| ServerOptions {
        fault_plan,
        time_scale: RETRY_AFTER_LEASE,
        ..options
    })
    .await;
    put_agent(&backend, tools(Some(api.url()))).await;
    let own = create_conversation(&backend.api).await;
    let question = format!("call rename with {}", json!({ "id": own, "title": "Plans" }));
    let result = only_result(&backend.api, &own, &question).await;
    assert_eq!(backend.server.call_recorder.kills(), BTreeMap::from([(1, point)]));
    assert_eq!((api.requests(), result.status), (requests, status), "{point:?}");
    let is_unknown = status == ToolStatus::Unknown;
    assert_eq!(result.text.as_deref(), is_unknown.then_some(UNKNOWN), "{point:?}");
    backend.server.stop().await;
}

/// A GraphQL API of somebody else, which counts its requests and answers 7.
struct OtherApi {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl OtherApi {
    async fn start() -> Self {
        Self::answering(StatusCode::OK, String::new()).await
    }

    async fn redirecting_to(other: &Self) -> Self {
        Self::answering(StatusCode::TEMPORARY_REDIRECT, other.url()).await
    }

    async fn echoing_its_headers() -> Self {
        Self::responding(|headers| {
            let texts = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap()));
            (StatusCode::OK, HeaderMap::new(), json!({ "data": texts.collect::<BTreeMap<_, _>>() }).to_string())
        })
        .await
    }

    async fn answering(status: StatusCode, location: String) -> Self {
        Self::responding(move |_| {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            (status, headers, r#"{"data":7}"#.to_owned())
        })
        .await
    }

    async fn responding(
        respond: impl Fn(&HeaderMap) -> (StatusCode, HeaderMap, String) + Clone + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let respond = move |headers: HeaderMap| async move {
            assert!(headers.contains_key("x-api-key"));
            counted.fetch_add(1, Ordering::Relaxed);
            respond(&headers)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(respond)).await });
        Self { url, requests }
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn start(change: impl FnOnce(ServerOptions) -> ServerOptions) -> Backend {
    start_with_parameters([], change).await
}

async fn start_with_parameters<const N: usize>(
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

async fn put_agent(backend: &Backend, tools: Vec<PutTool>) {
    backend.administrator.call(&agent(tools)).await.unwrap();
}

fn agent(tools: Vec<PutTool>) -> PutAgent {
    PutAgent { id: "tools".into(), model_id: MODEL.into(), tools: Some(tools), ..PutAgent::default() }
}

fn tools(url: Option<String>) -> Vec<PutTool> {
    vec![tool("list", LIST, url.clone()), tool("rename", RENAME, url)]
}

pub fn tool(name: &str, document: &str, url: Option<String>) -> PutTool {
    PutTool {
        name: name.into(),
        description: Some("Does what its document says.".into()),
        approval: Some(ToolApproval::Never),
        graphql: Some(PutGraphqlTool { document: document.into(), url }),
        ..PutTool::default()
    }
}

async fn create_conversation(caller: &AppSync) -> String {
    let conversation = CreateConversation { agent_id: Some("tools".into()), ..CreateConversation::default() };
    caller.call(&conversation).await.unwrap().id
}

/// The result of the only call in the answer to a question.
pub async fn only_result(caller: &AppSync, conversation: &str, question: &str) -> ToolResult {
    let mut subscriber = Subscriber::subscribe(caller, conversation).await;
    let turn = send_message(caller, conversation, &new_id(), question).await.unwrap();
    let updates = subscriber.updates_until_end(&turn.id).await;
    let events: Vec<_> = updates.into_iter().filter_map(|update| update.event).collect();
    assert_eq!(events.last().map(|event| event.sender.kind), Some(SenderKind::Agent));
    let [result] = results(&events).try_into().expect("one result");
    result
}

pub fn results(events: &[ConversationEvent]) -> Vec<ToolResult> {
    events.iter().flat_map(ConversationEvent::tool_results).cloned().collect()
}
