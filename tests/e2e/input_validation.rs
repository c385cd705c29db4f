//! Invalid input is refused with the name of its field, before anything is written.
use serde_json::{Value, json};

use crate::backend::{Backend, execute};

const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { id } }";
const CREATE: &str = "mutation($input: CreateConversationInput) { createConversation(input: $input) { id } }";
const LIST: &str = "query($limit: Int, $nextToken: String) { listConversations(limit: $limit, nextToken: $nextToken) { items { id } } }";
const GET: &str = "query($id: ID!) { getConversation(id: $id) { id } }";
const TURN: &str = "query($id: ID!, $conversationId: ID!, $attempt: Int, $afterSequence: Int) { getTurn(conversationId: $conversationId, id: $id, attempt: $attempt, afterSequence: $afterSequence) { id } }";
const EVENTS: &str = "query($id: ID!, $limit: Int, $before: Int, $after: Int) { getConversation(id: $id) { events(limit: $limit, before: $before, after: $after) { items { id } } } }";
const PUT_AGENT: &str = "mutation($input: PutAgentInput!) { putAgent(input: $input) { id } }";

async fn check_refused(backend: &Backend, document: &str, variables: Value, field: &str) {
    let before = backend.count_all_items().await;
    let response = backend.execute(document, variables.clone()).await;
    let error = &response["errors"][0];
    assert_eq!(error["errorType"], "InvalidInput", "{variables}: {response}");
    assert_eq!(error["errorInfo"]["field"], field, "{variables}: {response}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.starts_with(field) && message.contains(" must be "), "{message}");
    assert_eq!(backend.count_all_items().await, before, "nothing is written");
}

#[tokio::test]
async fn message_without_text_or_with_malformed_ids_is_refused() {
    let backend = Backend::start().await;
    for input in [
        json!({}),
        json!({ "text": "" }),
        json!({ "text": null }),
        json!({ "text": " \n\t\u{3000}" }),
        json!({ "text": "x".repeat(102_401) }),
        json!({ "text": "\u{1}".repeat(102_400 / 6 + 1) }),
        json!({ "text": "é".repeat(51_201) }),
    ] {
        check_refused(&backend, SEND, json!({ "input": input }), "text").await;
    }
    for id in ["", "a b", "é", "a/b", "a#b", &"x".repeat(65), "a\n"] {
        let input = json!({ "text": "Hello!", "id": id });
        check_refused(&backend, SEND, json!({ "input": input }), "id").await;
        let input = json!({ "text": "Hello!", "conversationId": id });
        check_refused(&backend, SEND, json!({ "input": input }), "conversationId").await;
    }
}

#[tokio::test]
async fn message_with_a_lone_surrogate_is_refused() {
    let backend = Backend::start().await;
    let body = r#"{"query":"mutation($input: SendMessageInput!) { sendMessage(input: $input) { id } }","variables":{"input":{"text":"half \ud83d"}}}"#;
    let request = reqwest::Client::new()
        .post(&backend.server.endpoint.url)
        .header("x-api-key", backend.server.endpoint.api_key.as_ref().unwrap());
    let response: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    assert_eq!(response["errors"][0]["errorType"], "InvalidInput", "{response}");
    assert_eq!(response["errors"][0]["errorInfo"]["field"], "text", "{response}");
}

#[tokio::test]
async fn message_of_exactly_the_limit_is_accepted() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.echo").await;
    let finished = backend.send_and_wait(&conversation, &"x".repeat(102_400)).await;
    assert_eq!(finished.stored_text().len(), 102_400);
}

#[tokio::test]
async fn malformed_ids_limits_and_cursors_are_refused() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    check_refused(&backend, GET, json!({ "id": "a b" }), "id").await;
    check_refused(&backend, CREATE, json!({ "input": { "id": "a b" } }), "id").await;
    check_refused(&backend, CREATE, json!({ "input": { "agentId": "a b" } }), "agentId").await;
    check_refused(&backend, CREATE, json!({ "input": { "title": "x".repeat(201) } }), "title").await;
    for limit in [0, 101, -1] {
        check_refused(&backend, LIST, json!({ "limit": limit }), "limit").await;
        check_refused(&backend, EVENTS, json!({ "id": id, "limit": limit }), "limit").await;
    }
    for token in ["x", "????", "eyJ9", "YWJj"] {
        check_refused(&backend, LIST, json!({ "nextToken": token }), "nextToken").await;
    }
    check_refused(&backend, EVENTS, json!({ "id": id, "before": -1 }), "before").await;
    check_refused(&backend, EVENTS, json!({ "id": id, "after": -1 }), "after").await;
    check_refused(&backend, EVENTS, json!({ "id": id, "before": 9, "after": 1 }), "after").await;
    check_refused(&backend, TURN, json!({ "id": "a b", "conversationId": id }), "id").await;
    check_refused(&backend, TURN, json!({ "id": "a", "conversationId": "a b" }), "conversationId").await;
}

#[tokio::test]
async fn agent_with_an_invalid_field_is_refused() {
    let backend = Backend::start().await;
    let before = backend.count_all_items().await;
    for (change, field) in [
        (json!({ "id": "a b" }), "id"),
        (json!({ "modelId": "" }), "modelId"),
        (json!({ "name": "x".repeat(201) }), "name"),
        (json!({ "systemPrompt": "x".repeat(65_537) }), "systemPrompt"),
        (json!({ "contextBytes": 9_999 }), "contextBytes"),
        (json!({ "inference": { "temperature": 1.5 } }), "temperature"),
        (json!({ "inference": { "topP": -0.1 } }), "topP"),
        (json!({ "inference": { "maxTokens": 0 } }), "maxTokens"),
        (json!({ "inference": { "stopSequences": [""] } }), "stopSequences"),
    ] {
        let mut input = json!({ "id": "a", "modelId": "m" });
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let response = execute(&backend.administrator, PUT_AGENT, json!({ "input": input })).await;
        assert_eq!(response["errors"][0]["errorType"], "InvalidInput", "{change}: {response}");
        assert_eq!(response["errors"][0]["errorInfo"]["field"], field, "{change}: {response}");
    }
    assert_eq!(backend.count_all_items().await, before, "nothing is written");
}
