//! Long conversations: what the model is given, and what reading it costs.
use client::{
    requests::{PutAgent, UpdateConversation},
    schema::TurnStatus,
};

use crate::backend::Backend;

#[tokio::test]
async fn five_thousand_events_are_read_back_as_far_as_the_agents_budget_reaches() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    backend.seed_events(&id, 5_000, "An event of the past.").await;
    let heard = backend.converse(&id, "How many questions was that?").await;
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    // Every event is 26 bytes and the budget 400,000: all 2,500 questions of the past fit, beside this one.
    assert!(heard.stored().contains("2501"), "{}", heard.stored());
    assert!(heard.stored().contains("An event of the past. 4999"), "{}", heard.stored());
}

#[tokio::test]
async fn a_small_budget_keeps_the_newest_turns_whole() {
    let backend = Backend::start().await;
    let small =
        PutAgent { id: "small".into(), model_id: "any".into(), context_bytes: Some(10_000), ..PutAgent::default() };
    backend.administrator.call(&small).await.unwrap();
    let id = backend.conversation().await;
    backend
        .api
        .call(&UpdateConversation { id: id.clone(), title: None, agent_id: Some("small".into()) })
        .await
        .unwrap();
    backend.seed_events(&id, 40, &"x".repeat(1_000)).await;
    let heard = backend.converse(&id, "How many questions was that?").await;
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    assert!(
        heard.stored().contains('5') && !heard.stored().contains("21"),
        "four turns of two kilobytes fit: {}",
        heard.stored()
    );
}

#[tokio::test]
async fn fifty_messages_of_ninety_kilobytes_break_no_limit() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    backend.seed_events(&id, 50, &"x".repeat(90_000)).await;
    let heard = backend.converse(&id, "How many questions was that?").await;
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    // Two turns of 180 KB fit into 400,000 bytes beside the question.
    assert!(heard.stored().contains('3'), "{}", heard.stored());
}
