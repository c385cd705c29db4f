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
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../e2e/subscriber.rs"]
mod subscriber;

use client::schema::{SenderKind, ToolStatus, TurnStatus};

use crate::conversations::{backend_with_models, conversation_with_tool};

const SCHEMA: &str = r#"{
    "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"]
}"#;

/// What a small model says differs. That turns end, and that the tool is run, does not.
#[tokio::test]
async fn conversation_with_a_tool_ends() {
    let url = std::env::var("PARLANCE_REAL_MODELS").expect("PARLANCE_REAL_MODELS is the URL of a server");
    let backend = backend_with_models(&url).await;
    println!("models: {}", backend.server.models);
    let conversation = conversation_with_tool(&backend, "Looks up the forecast of a city.", SCHEMA).await;
    let mut results = 0;
    for question in ["What is the forecast in Paris? Use the tool.", "What is the capital of France?"] {
        let finished = backend.send_and_wait(&conversation, question).await;
        println!("\nuser: {question}");
        for event in finished.turn.answer.iter().flatten() {
            match event.sender.kind {
                SenderKind::Agent => println!("agent: {}", event.text_or_empty()),
                SenderKind::Tool | SenderKind::User => {}
            }
            event.tool_uses().for_each(|call| println!("call: {} {}", call.name, call.input));
            for result in event.tool_results() {
                println!("result: {:?} {:?}", result.status, result.json);
                results += usize::from(result.status == ToolStatus::Succeeded);
            }
            if let Some(usage) = &event.usage {
                println!("usage: {usage:?}");
            }
        }
        let batches = finished.updates.iter().filter(|update| update.metadata.is_some()).count();
        println!("status: {:?} {:?}, {batches} batches", finished.turn.status, finished.final_event().stop_reason);
        assert_eq!(finished.turn.status, TurnStatus::Completed, "{:?}", finished.turn.failure);
    }
    assert!(results > 0, "the tool is run");
}
