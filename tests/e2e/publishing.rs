//! The fence: only the attempt that owns a turn publishes, each number has one content, and repeating is success.
use client::{
    AppSync, Credentials,
    schema::{ConversationUpdate, TurnStatus},
};
use serde_json::{Value, json};

use crate::backend::{Backend, Ear, execute};

const METADATA: &str = "mutation($data: AgentMetadataInput!) { agentPublishMetadata(data: $data) { attempt sequence metadata { status } } }";
const EVENT: &str = "mutation($data: AgentEventInput!) { agentPublishEvent(data: $data) { attempt sequence metadata { status } event { id position text } } }";

/// A turn that is being answered slowly, so that there is something to interfere with.
async fn running(backend: &Backend) -> (ConversationUpdate, Ear) {
    let conversation = backend.conversation_with("parlance.slow").await;
    let mut ear = Ear::open(&backend.api, &conversation).await;
    backend.say(&conversation, "Slowly.").await;
    (ear.next().await, ear)
}

fn batch(update: &ConversationUpdate, attempt: u32, sequence: u32, text: &str) -> Value {
    json!({ "data": {
        "conversationId": update.conversation_id, "turnId": update.turn_id, "run": 1, "attempt": attempt, "sequence": sequence,
        "status": "RUNNING", "contentBlockIndex": 0, "agentPartialMessage": text,
    } })
}

fn closing(update: &ConversationUpdate, attempt: u32, id: &str) -> Value {
    json!({ "data": {
        "conversationId": update.conversation_id, "turnId": update.turn_id, "run": 1, "attempt": attempt, "sequence": 900, "status": "COMPLETED",
        "event": { "id": id, "position": 2, "sender": { "kind": "AGENT" }, "content": [{ "text": "Done." }], "stopReason": "END_TURN" },
    } })
}

fn handler(backend: &Backend) -> AppSync {
    session_of(backend, "parlance-HandlerRole")
}

fn session_of(backend: &Backend, role: &str) -> AppSync {
    AppSync::new(&backend.server.endpoint.url, Credentials::Iam(backend.session_of(role))).unwrap()
}

#[tokio::test]
async fn a_grant_for_every_field_does_not_make_a_publisher() {
    let backend = Backend::start().await;
    let (update, _ear) = running(&backend).await;
    for other in ["Administrator", "parlance-HandlerRole2", "arlance-HandlerRole"] {
        for (document, data) in [(METADATA, batch(&update, 1, 500, "forged")), (EVENT, closing(&update, 1, "forged"))] {
            let refused = execute(&session_of(&backend, other), document, data.clone()).await;
            assert_eq!(refused["errors"][0]["errorType"], "Unauthorized", "{other}: {refused}");
            let refused = execute(&backend.administrator, document, data).await;
            assert_eq!(refused["errors"][0]["errorType"], "Unauthorized", "{refused}");
        }
    }
    let closer = session_of(&backend, "parlance-CloserRole");
    let refused = execute(&closer, METADATA, batch(&update, 1, 500, "forged")).await;
    assert_eq!(refused["errors"][0]["errorType"], "Unauthorized", "the closer publishes no batches: {refused}");
    let closed = execute(&closer, EVENT, closing(&update, 1, "the-end")).await;
    assert_eq!(closed["data"]["agentPublishEvent"]["event"]["id"], "the-end", "{closed}");
}

#[tokio::test]
async fn another_attempt_cannot_publish_or_finish() {
    let backend = Backend::start().await;
    let (update, _ear) = running(&backend).await;
    for attempt in [0, 2] {
        let refused = execute(&handler(&backend), METADATA, batch(&update, attempt, 500, "late")).await;
        assert_eq!(refused["errors"][0]["errorType"], "StaleAttempt", "{refused}");
        let refused = execute(&handler(&backend), EVENT, closing(&update, attempt, "late")).await;
        assert_eq!(refused["errors"][0]["errorType"], "StaleAttempt", "{refused}");
    }
    let turn = backend.turn(&update.conversation_id, update.turn_id.as_deref().unwrap()).await;
    assert_eq!((turn.status, turn.attempt), (TurnStatus::Running, 1));
}

#[tokio::test]
async fn the_same_number_with_the_same_content_is_success_and_with_another_it_is_refused() {
    let backend = Backend::start().await;
    let (update, _ear) = running(&backend).await;
    let first = execute(&handler(&backend), METADATA, batch(&update, 1, 500, "once")).await;
    assert_eq!(first["data"]["agentPublishMetadata"]["sequence"], 500, "{first}");
    assert_eq!(execute(&handler(&backend), METADATA, batch(&update, 1, 500, "once")).await, first);
    let other = execute(&handler(&backend), METADATA, batch(&update, 1, 500, "twice")).await;
    assert_eq!(other["errors"][0]["errorType"], "StaleAttempt", "{other}");
}

#[tokio::test]
async fn a_turn_is_finished_once_and_finishing_it_again_is_success() {
    let backend = Backend::start().await;
    let (update, _ear) = running(&backend).await;
    let finish = closing(&update, 1, "the-answer");
    let first = execute(&handler(&backend), EVENT, finish.clone()).await;
    assert_eq!(first["data"]["agentPublishEvent"]["event"]["text"], "Done.", "{first}");
    assert_eq!(execute(&handler(&backend), EVENT, finish).await, first);
    let late = execute(&handler(&backend), METADATA, batch(&update, 1, 901, "late")).await;
    assert_eq!(late["errors"][0]["errorType"], "StaleAttempt", "an end is never undone: {late}");
    let turn = backend.turn(&update.conversation_id, update.turn_id.as_deref().unwrap()).await;
    assert_eq!(turn.status, TurnStatus::Completed);
    assert_eq!(turn.answer.unwrap().len(), 1);
    assert!(
        backend
            .api
            .call(&client::requests::SendMessage {
                conversation_id: Some(update.conversation_id),
                id: None,
                text: "Next.".into()
            })
            .await
            .is_ok()
    );
}
