//! Publishing: only the attempt that owns a turn publishes, and each sequence number has one content.
use client::{
    AppSync, Credentials,
    requests::SendMessage,
    schema::{ConversationUpdate, Turn, TurnStatus},
};
use serde_json::{Value, json};

use crate::{
    backend::{Backend, execute},
    subscriber::Subscriber,
};

const METADATA: &str = "mutation($data: AgentMetadataInput!) { agentPublishMetadata(data: $data) { attempt sequence metadata { status } } }";
const EVENT: &str = "mutation($data: AgentEventInput!) { agentPublishEvent(data: $data) { attempt sequence metadata { status } event { id position text } } }";

/// The first update of a turn that a slow model answers, and its subscriber.
async fn start_slow_turn(backend: &Backend) -> (ConversationUpdate, Subscriber) {
    let conversation = backend.conversation_with("parlance.slow").await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    backend.send_message(&conversation, "Slowly.").await;
    (subscriber.next_update().await, subscriber)
}

fn batch(update: &ConversationUpdate, attempt: u32, sequence: u32, text: &str) -> Value {
    json!({ "data": {
        "conversationId": update.conversation_id, "turnId": update.turn_id, "run": 1, "attempt": attempt, "sequence": sequence,
        "status": "RUNNING", "contentBlockIndex": 0, "agentPartialMessage": text,
    } })
}

fn final_event(update: &ConversationUpdate, attempt: u32, id: &str) -> Value {
    json!({ "data": {
        "conversationId": update.conversation_id, "turnId": update.turn_id, "run": 1, "attempt": attempt, "sequence": 900, "status": "COMPLETED",
        "event": { "id": id, "position": 2, "sender": { "kind": "AGENT" }, "content": [{ "text": "Done." }], "stopReason": "END_TURN" },
    } })
}

/// Publishes a batch as the handler does, and returns the response.
pub async fn publish_batch(backend: &Backend, turn: &Turn, attempt: u32, sequence: u32) -> Value {
    let data = json!({ "data": {
        "conversationId": turn.conversation_id, "turnId": turn.id, "run": turn.run, "attempt": attempt,
        "sequence": sequence, "status": "RUNNING", "contentBlockIndex": 0, "agentPartialMessage": "late",
    } });
    execute(&handler_client(backend), METADATA, data).await
}

fn handler_client(backend: &Backend) -> AppSync {
    role_client(backend, "parlance-HandlerRole")
}

fn role_client(backend: &Backend, role: &str) -> AppSync {
    AppSync::new(&backend.server.endpoint.url, Credentials::Iam(backend.role_session_keys(role, "appsync:GraphQL")))
        .unwrap()
}

#[tokio::test]
async fn roles_with_permission_for_every_field_cannot_publish() {
    let backend = Backend::start().await;
    let (update, _subscriber) = start_slow_turn(&backend).await;
    for role in ["Administrator", "parlance-HandlerRole2", "arlance-HandlerRole"] {
        let client = role_client(&backend, role);
        let requests = [(METADATA, batch(&update, 1, 500, "forged")), (EVENT, final_event(&update, 1, "forged"))];
        for (document, data) in requests {
            let refused = execute(&client, document, data.clone()).await;
            assert_eq!(refused["errors"][0]["errorType"], "Unauthorized", "{role}: {refused}");
            let refused = execute(&backend.administrator, document, data).await;
            assert_eq!(refused["errors"][0]["errorType"], "Unauthorized", "{refused}");
        }
    }
    let closer = role_client(&backend, "parlance-CloserRole");
    let refused = execute(&closer, METADATA, batch(&update, 1, 500, "forged")).await;
    assert_eq!(refused["errors"][0]["errorType"], "Unauthorized", "the closer publishes no batches: {refused}");
    let accepted = execute(&closer, EVENT, final_event(&update, 1, "the-end")).await;
    assert_eq!(accepted["data"]["agentPublishEvent"]["event"]["id"], "the-end", "{accepted}");
}

#[tokio::test]
async fn other_attempts_cannot_publish_or_end_the_turn() {
    let backend = Backend::start().await;
    let (update, _subscriber) = start_slow_turn(&backend).await;
    let handler = handler_client(&backend);
    for attempt in [0, 2] {
        let refused = execute(&handler, METADATA, batch(&update, attempt, 500, "late")).await;
        assert_eq!(refused["errors"][0]["errorType"], "StaleAttempt", "{refused}");
        let refused = execute(&handler, EVENT, final_event(&update, attempt, "late")).await;
        assert_eq!(refused["errors"][0]["errorType"], "StaleAttempt", "{refused}");
    }
    let turn = backend.turn(&update.conversation_id, update.turn_id.as_deref().unwrap()).await;
    assert_eq!((turn.status, turn.attempt), (TurnStatus::Running, 1));
}

#[tokio::test]
async fn repeated_batch_succeeds_and_other_content_is_refused() {
    let backend = Backend::start().await;
    let (update, _subscriber) = start_slow_turn(&backend).await;
    let handler = handler_client(&backend);
    let first = execute(&handler, METADATA, batch(&update, 1, 500, "once")).await;
    assert_eq!(first["data"]["agentPublishMetadata"]["sequence"], 500, "{first}");
    assert_eq!(execute(&handler, METADATA, batch(&update, 1, 500, "once")).await, first);
    let other = execute(&handler, METADATA, batch(&update, 1, 500, "twice")).await;
    assert_eq!(other["errors"][0]["errorType"], "StaleAttempt", "{other}");
}

#[tokio::test]
async fn repeated_final_event_succeeds_and_ends_the_turn_once() {
    let backend = Backend::start().await;
    let (update, _subscriber) = start_slow_turn(&backend).await;
    let handler = handler_client(&backend);
    let first = execute(&handler, EVENT, final_event(&update, 1, "the-answer")).await;
    assert_eq!(first["data"]["agentPublishEvent"]["event"]["text"], "Done.", "{first}");
    assert_eq!(execute(&handler, EVENT, final_event(&update, 1, "the-answer")).await, first);
    let late = execute(&handler, METADATA, batch(&update, 1, 901, "late")).await;
    assert_eq!(late["errors"][0]["errorType"], "StaleAttempt", "an ended turn accepts no batch: {late}");
    let turn = backend.turn(&update.conversation_id, update.turn_id.as_deref().unwrap()).await;
    assert_eq!(turn.status, TurnStatus::Completed);
    assert_eq!(turn.answer.unwrap().len(), 1);
    let next =
        SendMessage { conversation_id: Some(update.conversation_id), text: "Next.".into(), ..SendMessage::default() };
    assert!(backend.api.call(&next).await.is_ok());
}
