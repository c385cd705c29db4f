//! The handler under the local server, with a service that has OpenAI's API and does what messages say.
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use client::{
    AppSync, Credentials, Error,
    credentials::IamKeys,
    documents,
    realtime::{Realtime, Signal, Subscription},
    requests::{CancelTurn, CreateConversation, GetTurn, PutAgent, PutTool, SendMessage},
    schema::{ConversationUpdate, FailureCode, ToolEffect, ToolResult, ToolStatus, Turn, TurnStatus},
};
use futures::{StreamExt, future, stream};
use local::{
    command_line::CommandLine,
    fault_injection::FaultPlan,
    server::{Models, Server, ServerOptions},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

const HANDLER: &str = env!("CARGO_BIN_EXE_custom-handler");
const CONVERSATION: &str = "c1";
const MODEL: &str = "vendor/any-model:8b";
/// Longer than anything awaited takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A request to the service.
struct ModelCall {
    headers: HeaderMap,
    body: Value,
}

/// The service that has the models.
#[derive(Clone)]
struct ModelService {
    requests: Arc<Mutex<Vec<ModelCall>>>,
    /// Gets a message when the connection of an answer that never ends is closed.
    closed: mpsc::UnboundedSender<()>,
}

async fn complete(State(service): State<ModelService>, headers: HeaderMap, Json(body): Json<Value>) -> Response<Body> {
    let last = body["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
    let count = {
        let mut requests = service.requests.lock().unwrap();
        requests.push(ModelCall { headers, body });
        requests.len()
    };
    // Messages without an answer are one message of the transcript.
    let text = last["content"].as_str().unwrap_or_default().lines().last().unwrap_or_default();
    match text.split_once(' ') {
        _ if last["role"] == "tool" => lines(&[content("It is "), content("late."), stop("stop"), usage(), done()]),
        Some(("call", zone)) => {
            let arguments = json!({ "zone": zone }).to_string();
            let (head, tail) = arguments.split_at(4);
            lines(&[
                ": a comment".into(),
                content("I look at my watch."),
                call(json!({ "index": 0, "id": "call_1", "function": { "name": "current_time", "arguments": "" } })),
                call(json!({ "index": 0, "function": { "arguments": head } })),
                call(json!({ "index": 0, "function": { "arguments": tail } })),
                stop("tool_calls"),
                usage(),
                done(),
            ])
        }
        Some(("status", "429")) if count > 1 => lines(&[content("Now."), stop("length"), done()]),
        Some(("status", status)) => {
            let body = Body::from(r#"{"error":{"message":"private"}}"#);
            Response::builder().status(StatusCode::from_bytes(status.as_bytes()).unwrap()).body(body).unwrap()
        }
        Some(("end", reason)) => lines(&[content("Some text."), stop(reason), done()]),
        Some(("hold", _)) => {
            let answer: String = [content("Done."), stop("stop"), done()].map(|line| format!("{line}\n\n")).concat();
            let first = stream::once(future::ready(Ok::<_, Infallible>(Bytes::from(answer))));
            Response::new(Body::from_stream(first.chain(stream::pending())))
        }
        Some(("break", line)) => lines(&[content("Some text."), line.to_owned()]),
        _ => {
            let end = SendOnDrop(service.closed);
            let first = stream::once(future::ready(Ok(Bytes::from(format!("{}\n\n", content("Some text."))))));
            let endless = first.chain(stream::once(async move {
                future::pending::<()>().await;
                drop(end);
                Ok::<_, Infallible>(Bytes::new())
            }));
            Response::new(Body::from_stream(endless))
        }
    }
}

struct SendOnDrop(mpsc::UnboundedSender<()>);

impl Drop for SendOnDrop {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

fn lines(lines: &[String]) -> Response<Body> {
    Response::new(Body::from(lines.iter().map(|line| format!("{line}\n\n")).collect::<String>()))
}

fn chunk(choice: &Value) -> String {
    format!("data: {}", json!({ "id": "any", "choices": [choice], "usage": null }))
}

fn content(text: &str) -> String {
    chunk(&json!({ "index": 0, "delta": { "content": text }, "finish_reason": null }))
}

fn call(call: Value) -> String {
    chunk(&json!({ "index": 0, "delta": { "tool_calls": [call] }, "finish_reason": null }))
}

fn stop(reason: &str) -> String {
    chunk(&json!({ "index": 0, "delta": {}, "finish_reason": reason }))
}

fn usage() -> String {
    let usage = json!({ "prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23 });
    format!("data: {}", json!({ "choices": [], "usage": usage }))
}

fn done() -> String {
    "data: [DONE]".into()
}

/// The service, the local server with the handler, and a conversation.
struct Backend {
    api: AppSync,
    administrator: AppSync,
    requests: Arc<Mutex<Vec<ModelCall>>>,
    closed: mpsc::UnboundedReceiver<()>,
    _server: Server,
    _state: TempDir,
}

impl Backend {
    async fn start() -> Self {
        let (closed_sender, closed) = mpsc::unbounded_channel();
        let service = ModelService { requests: Arc::default(), closed: closed_sender };
        let requests = Arc::clone(&service.requests);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(service);
        tokio::spawn(async { axum::serve(listener, router).await });

        let state = tempfile::tempdir().unwrap();
        let arguments = vec!["MODEL_API_KEY=secret-key".to_owned(), HANDLER.to_owned()];
        let server = Server::start(ServerOptions {
            root: concat!(env!("CARGO_MANIFEST_DIR"), "/../..").into(),
            state: state.path().to_owned(),
            ephemeral: true,
            port: 0,
            parameters: [("ModelUrl".to_owned(), url)].into(),
            users: Vec::new(),
            oidc: false,
            models: Models::Scripted,
            handler: Some(CommandLine { program: "env".into(), arguments }),
            functions: Vec::new(),
            secrets: Vec::new(),
            knowledge: None,
            chat_page: false,
            executable: HANDLER.into(),
            fault_plan: FaultPlan::default(),
            time_scale: 1.0,
        });
        let server = server.await.unwrap();
        let endpoint = &server.endpoint;
        let keys = IamKeys {
            access_key: endpoint.administrator.access_key_id.clone(),
            secret_key: endpoint.administrator.secret_access_key.clone(),
            session_token: None,
            region: endpoint.region.clone(),
        };
        let administrator = AppSync::new(&endpoint.url, Credentials::Iam(keys)).unwrap();
        let api = AppSync::new(&endpoint.url, Credentials::ApiKey(endpoint.api_key.clone().unwrap())).unwrap();
        administrator.call(&agent("current_time")).await.unwrap();
        let conversation =
            CreateConversation { id: Some(CONVERSATION.into()), agent_id: Some("agent".into()), ..Default::default() };
        api.call(&conversation).await.unwrap();
        Self { api, administrator, requests, closed, _server: server, _state: state }
    }

    async fn subscribe(&self) -> Subscription {
        let variables = json!({ "conversationId": CONVERSATION });
        let mut subscription = Realtime::new(&self.api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
        assert!(matches!(next_signal(&mut subscription).await, Signal::Subscribed));
        subscription
    }

    async fn send(&self, id: &str, text: &str) {
        let conversation_id = Some(CONVERSATION.to_owned());
        self.api
            .call(&SendMessage { conversation_id, id: Some(id.into()), text: text.into(), ..SendMessage::default() })
            .await
            .unwrap();
    }

    /// Sends a message and waits for the end of its turn. Returns the turn and its updates.
    async fn ask(&self, id: &str, text: &str) -> (Turn, Vec<ConversationUpdate>) {
        let mut subscription = self.subscribe().await;
        self.send(id, text).await;
        let mut updates = Vec::new();
        loop {
            let update = next_update(&mut subscription).await;
            let is_end = update.metadata.as_ref().is_some_and(|metadata| metadata.status.is_end());
            updates.push(update);
            if is_end {
                return (self.turn(id).await, updates);
            }
        }
    }

    async fn turn(&self, id: &str) -> Turn {
        let request = GetTurn { conversation_id: CONVERSATION.into(), id: id.into(), ..GetTurn::default() };
        self.api.call(&request).await.unwrap()
    }
}

/// An agent with a tool of the handler.
fn agent(tool: &str) -> PutAgent {
    let tool = PutTool {
        name: tool.into(),
        description: Some("Tells the time.".into()),
        input_schema: Some(r#"{"type":"object","properties":{"zone":{"type":"string"}}}"#.into()),
        effect: Some(ToolEffect::Read),
        handler: Some(true),
        ..PutTool::default()
    };
    PutAgent {
        id: "agent".into(),
        model_id: MODEL.into(),
        system_prompt: Some("Be brief.".into()),
        tools: Some(vec![tool]),
        ..PutAgent::default()
    }
}

async fn next_signal(subscription: &mut Subscription) -> Signal {
    timeout(TIMEOUT, subscription.next()).await.expect("a signal in time").expect("an open subscription")
}

async fn next_update(subscription: &mut Subscription) -> ConversationUpdate {
    match next_signal(subscription).await {
        Signal::Data(mut data) => serde_json::from_value(data["onConversationUpdate"].take()).unwrap(),
        other => panic!("expected an update, got {other:?}"),
    }
}

fn streamed_text(updates: &[ConversationUpdate]) -> String {
    updates.iter().filter_map(|update| update.metadata.as_ref()?.agent_partial_message.as_deref()).collect()
}

fn results(turn: &Turn) -> Vec<ToolResult> {
    turn.answer.iter().flatten().flat_map(|event| event.tool_results().cloned().collect::<Vec<_>>()).collect()
}

fn stored_text(turn: &Turn) -> String {
    turn.answer.iter().flatten().map(|event| event.text_or_empty()).collect()
}

#[tokio::test]
async fn answer_with_a_tool_call_is_published_and_stored() {
    let backend = Backend::start().await;
    let (turn, updates) = backend.ask("m1", "call Europe/Berlin").await;
    assert_eq!(turn.status, TurnStatus::Completed, "{:?}", turn.failure);
    let published = updates.iter().filter_map(|update| Some(update.event.as_ref()?.text_or_empty()));
    assert_eq!(published.skip(1).collect::<String>(), "I look at my watch.It is late.");
    assert_eq!(stored_text(&turn), "I look at my watch.It is late.");
    let result: Value = serde_json::from_str(results(&turn)[0].json.as_ref().unwrap()).unwrap();
    assert_eq!((&result["zone"], result["time"].as_str().unwrap().len()), (&json!("Europe/Berlin"), 25));
    assert_eq!(turn.usage.map(|usage| usage.total_tokens), Some(46));

    let requests = backend.requests.lock().unwrap();
    assert_eq!(requests[0].headers[AUTHORIZATION], "Bearer secret-key");
    let messages = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "call Europe/Berlin" },
    ]);
    let (first, second) = (&requests[0].body, &requests[1].body);
    assert_eq!((&first["messages"], &first["model"], &first["stream"]), (&messages, &json!(MODEL), &json!(true)));
    assert_eq!(first["tools"][0]["function"]["parameters"]["properties"]["zone"]["type"], "string");
    let call = json!({
        "id": "call_1",
        "type": "function",
        "function": { "name": "current_time", "arguments": r#"{"zone":"Europe/Berlin"}"# },
    });
    let answer = json!({ "role": "assistant", "content": "I look at my watch.", "tool_calls": [call] });
    assert_eq!(second["messages"][2], answer);
    assert_eq!(
        (&second["messages"][3]["role"], &second["messages"][3]["tool_call_id"]),
        (&json!("tool"), &json!("call_1"))
    );
}

#[tokio::test]
async fn one_shot_question_is_answered_with_the_tools_of_the_handler() {
    let backend = Backend::start().await;
    backend.administrator.call(&PutAgent { id: "default".into(), ..agent("current_time") }).await.unwrap();
    let answer = backend.api.execute("mutation { invokeModel(input: \"call Europe/Berlin\") }", json!({}));
    let response = timeout(TIMEOUT, answer).await.expect("an answer in time").unwrap();
    assert_eq!(response.data, json!({ "invokeModel": "It is late." }), "{:?}", response.errors);
    assert_eq!(backend.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn failed_call_and_unknown_tool_are_explained() {
    let backend = Backend::start().await;
    let (turn, _) = backend.ask("m1", "call Atlantis/Center").await;
    assert_eq!(turn.status, TurnStatus::Completed, "{:?}", turn.failure);
    let ToolResult { status, text, .. } = &results(&turn)[0];
    let expected = "There is no time zone Atlantis/Center. Name one such as Europe/Berlin.";
    assert_eq!((*status, text.as_deref()), (ToolStatus::Failed, Some(expected)));

    let error: Error = backend.administrator.call(&agent("clock")).await.unwrap_err();
    assert_eq!(error.api_error().unwrap().message, "tools[0].name: The handler has no tool of this name.");
}

#[tokio::test]
async fn errors_of_the_service_are_failures_of_the_turn() {
    let backend = Backend::start().await;
    for (index, (text, code, stored)) in [
        ("status 400", FailureCode::ModelRefused, ""),
        ("status 401", FailureCode::ModelNotAllowed, ""),
        ("status 503", FailureCode::ModelUnavailable, ""),
        ("break data: {\"error\":{\"code\":502}}", FailureCode::ModelUnavailable, "Some text."),
        ("break data: {", FailureCode::ModelUnavailable, "Some text."),
        ("break off", FailureCode::ModelUnavailable, "Some text."),
    ]
    .into_iter()
    .enumerate()
    {
        let (turn, _) = backend.ask(&format!("m{index}"), text).await;
        let failure = turn.failure.clone().unwrap_or_else(|| panic!("{text} does not fail"));
        assert_eq!(
            (turn.status, failure.code, stored_text(&turn).as_str()),
            (TurnStatus::Failed, Some(code), stored),
            "{text}"
        );
        assert!(!failure.message.contains("private"), "{}", failure.message);
    }
}

#[tokio::test]
async fn busy_service_is_asked_again() {
    let backend = Backend::start().await;
    let (turn, _) = backend.ask("m1", "status 429").await;
    assert_eq!((turn.status, stored_text(&turn).as_str()), (TurnStatus::Completed, "Now."));
    assert_eq!(turn.answer.unwrap()[0].stop_reason, Some(client::schema::StopReason::MaxTokens));
}

#[tokio::test]
async fn answer_ends_though_the_service_holds_the_connection() {
    let backend = Backend::start().await;
    let (turn, _) = backend.ask("m1", "hold it").await;
    assert_eq!((turn.status, stored_text(&turn).as_str()), (TurnStatus::Completed, "Done."));
}

#[tokio::test]
async fn text_is_streamed_until_a_cancel_closes_the_connection() {
    let mut backend = Backend::start().await;
    let mut subscription = backend.subscribe().await;
    backend.send("m1", "never end").await;
    while streamed_text(&[next_update(&mut subscription).await]).is_empty() {}
    backend.api.call(&CancelTurn { conversation_id: CONVERSATION.into(), id: "m1".into() }).await.unwrap();
    timeout(TIMEOUT, backend.closed.recv()).await.expect("the connection is closed").unwrap();
    while !next_update(&mut subscription).await.metadata.is_some_and(|metadata| metadata.status.is_end()) {}
    let turn = backend.turn("m1").await;
    assert_eq!((turn.status, stored_text(&turn).as_str()), (TurnStatus::Cancelled, "Some text."));
}
