//! A conversation with a real model. The variable PARLANCE_REAL_MODELS has the URL of its server:
//! `tests/openai_models/real_model.sh` starts one and runs this test. `cargo test` alone leaves it out.
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../e2e/backend.rs"]
mod backend;
#[allow(dead_code, reason = "the tests with servers of four dialects need more of it")]
mod conversations;
#[allow(dead_code, reason = "the tests with servers of four dialects need more of it")]
mod fake_server;
#[path = "../support/lambda_function.rs"]
mod lambda_function;
mod replies;
mod request_rules;
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../e2e/subscriber.rs"]
mod subscriber;

use client::schema::{SenderKind, ToolStatus, TurnStatus};

use crate::{
    backend::{Backend, FinishedTurn},
    conversations::{backend_with_models, conversation_with_tool},
};

const SCHEMA: &str = r#"{
    "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"]
}"#;

/// What a small model says differs. That the tool is run, that text is streamed and that turns end, does not.
#[tokio::test]
async fn tool_is_run_and_text_is_streamed() {
    let url = std::env::var("PARLANCE_REAL_MODELS").expect("PARLANCE_REAL_MODELS is the URL of a server");
    let backend = backend_with_models(&url).await;
    println!("models: {}", backend.server.models);

    let with_tool = conversation_with_tool(&backend, "Looks up the forecast of a city.", SCHEMA).await;
    let finished = ask(&backend, &with_tool, "What is the forecast in Paris? Use the tool.").await;
    let results = finished.turn.answer.iter().flatten().flat_map(|event| event.tool_results());
    assert!(results.into_iter().any(|result| result.status == ToolStatus::Succeeded), "the tool is run");

    let without_tools = backend.conversation().await;
    for question in ["What is the capital of France?", "And of Italy?"] {
        let finished = ask(&backend, &without_tools, question).await;
        assert!(finished.updates.len() > 2, "text is published as it comes");
    }
}

/// Prints the turn.
async fn ask(backend: &Backend, conversation: &str, question: &str) -> FinishedTurn {
    println!("\nuser: {question}");
    let finished = backend.send_and_wait(conversation, question).await;
    for event in finished.turn.answer.iter().flatten() {
        if event.sender.kind == SenderKind::Agent && !event.text_or_empty().is_empty() {
            println!("agent: {}", event.text_or_empty());
        }
        event.tool_uses().for_each(|call| println!("call: {} {}", call.name, call.input));
        event.tool_results().for_each(|result| println!("result: {:?} {:?}", result.status, result.json));
    }
    let stop_reason = finished.final_event().stop_reason;
    println!("{:?} {stop_reason:?}, {} updates", finished.turn.status, finished.updates.len());
    assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);
    finished
}
