//! Conversations through the whole backend, with a server of each dialect.
use std::time::Duration;

use client::{
    requests::{CreateConversation, PutAgent, PutKnowledge, PutLambdaTool, PutTool},
    schema::{InferenceSettings, KnowledgeMode, SenderKind, ToolApproval, ToolEffect, ToolStatus, TurnStatus},
};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use local::{
    knowledge_base::{EmbeddingsOptions, KnowledgeOptions},
    lambda::LocalFunction,
    openai_models::ModelServer,
    server::{Models, ServerOptions},
};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    backend::{Backend, options},
    fake_server::{Behaviour, Dialect, FakeServer},
    lambda_function::{exit_when_input_closes, is_started_as_function},
};

const CITING_MODEL: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
/// The test that is the program of the function.
const FUNCTION_TEST: &str = "conversations::program_of_the_function";

#[test]
fn program_of_the_function() {
    if is_started_as_function() {
        serve_function();
    }
}

/// Serves invocations until standard input closes.
#[tokio::main(flavor = "current_thread")]
async fn serve_function() {
    exit_when_input_closes();
    lambda_runtime::run(service_fn(run_function)).await.expect("the Runtime API answers");
}

/// Returns the arguments.
async fn run_function(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    Ok(event.payload["input"].clone())
}

fn function() -> LocalFunction {
    let program = std::env::current_exe().unwrap();
    format!("tools='{}' {FUNCTION_TEST} --exact --nocapture", program.display()).parse().unwrap()
}

/// A backend whose models are those of a server.
pub async fn backend_with_models(url: &str) -> Backend {
    let state = tempfile::tempdir().unwrap();
    let server = ModelServer { url: url.parse().unwrap(), key: None, names: vec![] };
    let options = options(&state, [("ModelId".to_owned(), "us.amazon.nova-2-lite-v1:0".to_owned())].into());
    let options = ServerOptions { models: Models::Server(server), functions: vec![function()], ..options };
    Backend::start_with(options, state).await
}

/// A conversation with an agent of any model id that has a tool `look`.
pub async fn conversation_with_tool(backend: &Backend, description: &str, input_schema: &str) -> String {
    let tool = PutTool {
        name: "look".into(),
        description: Some(description.into()),
        input_schema: Some(input_schema.into()),
        effect: Some(ToolEffect::Read),
        approval: Some(ToolApproval::Never),
        lambda: Some(PutLambdaTool { function_arn: function().arn() }),
        ..PutTool::default()
    };
    let inference = InferenceSettings { max_tokens: Some(200), ..InferenceSettings::default() };
    let agent = PutAgent {
        id: "tools".into(),
        model_id: "small".into(),
        system_prompt: Some("Be brief.".into()),
        tools: Some(vec![tool]),
        inference: Some(inference),
        max_steps: Some(3),
        ..PutAgent::default()
    };
    backend.administrator.call(&agent).await.unwrap();
    backend.create(CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() }).await.id
}

#[tokio::test]
async fn tool_is_called_and_its_result_answered_with_every_dialect() {
    for dialect in Dialect::ALL {
        let server = FakeServer::start(Behaviour::Dialect(dialect)).await;
        let backend = backend_with_models(&server.url).await;
        let conversation = conversation_with_tool(&backend, "Looks.", r#"{"type":"object"}"#).await;
        for question in [r#"Please call look with {"a":1} and call look."#, "Thanks."] {
            let finished = backend.send_and_wait(&conversation, question).await;
            assert_eq!(finished.turn.status, TurnStatus::Completed, "{dialect:?}: {:?}", finished.turn.failure);
        }
        let events = backend.newest_events(&conversation).await;
        let kinds: Vec<_> = events.iter().map(|event| event.sender.kind).collect();
        let (user, agent, tool) = (SenderKind::User, SenderKind::Agent, SenderKind::Tool);
        assert_eq!(kinds, [user, agent, tool, agent, user, agent], "{dialect:?}");
        let calls: Vec<_> = events[1].tool_uses().map(|call| call.input.as_str()).collect();
        assert_eq!(calls, [r#"{"a":1}"#, "{}"], "{dialect:?}");
        assert!(events[2].tool_results().all(|result| result.status == ToolStatus::Succeeded), "{dialect:?}");
        assert_eq!(events[3].text_or_empty(), "The tool says {}", "{dialect:?}");
        assert_eq!(events[5].text_or_empty(), "You said: Thanks.", "{dialect:?}");
        let last = server.requests().pop().unwrap();
        let roles: Vec<_> = last["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "assistant", "user"], "{dialect:?}");
    }
}

/// The default model cites search results itself. The server's model cannot, so it is asked for markers.
#[tokio::test]
async fn answers_from_documents_are_cited_by_markers() {
    let server = FakeServer::start(Behaviour::Dialect(Dialect::Ollama)).await;
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("leave.md"), "Employees have 25 days of leave.").unwrap();
    let models = ModelServer { url: server.url.parse().unwrap(), key: None, names: vec![] };
    let knowledge = KnowledgeOptions { folder: folder.path().into(), embeddings: EmbeddingsOptions::default() };
    let options = options(&state, [("ModelId".to_owned(), CITING_MODEL.to_owned())].into());
    let options = ServerOptions { models: Models::Server(models), knowledge: Some(knowledge), ..options };
    let backend = Backend::start_with(options, state).await;
    let mut jobs = backend.server.knowledge.as_ref().unwrap().jobs();
    timeout(Duration::from_secs(20), jobs.wait_for(|jobs| jobs.last_ended().is_some())).await.unwrap().unwrap();
    let knowledge = PutKnowledge { mode: Some(KnowledgeMode::Always), ..PutKnowledge::default() };
    let agent = PutAgent {
        id: "documents".into(),
        model_id: CITING_MODEL.into(),
        knowledge: Some(knowledge),
        ..PutAgent::default()
    };
    backend.administrator.call(&agent).await.unwrap();
    let conversation = CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() };
    let conversation = backend.create(conversation).await.id;
    // The server repeats what it gets, and so the marker of the passage.
    backend.send_and_wait(&conversation, "How many days of leave?").await;
    let events = backend.newest_events(&conversation).await;
    let citations: Vec<_> = events[1].content.iter().flat_map(|block| block.citations.iter().flatten()).collect();
    assert!(citations.iter().any(|citation| citation.title == "leave.md"), "{:?}", events[1]);
    let [request] = &server.requests()[..] else { panic!("one request is sent to the server") };
    assert!(request.to_string().contains("[1]"), "{request}");
}
