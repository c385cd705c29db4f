//! Bad input is refused by name before anything is written.
use serde_json::{Value, json};

use crate::backend::Backend;

const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { id } }";
const CREATE: &str = "mutation($input: CreateConversationInput) { createConversation(input: $input) { id } }";
const LIST: &str = "query($limit: Int, $nextToken: String) { listConversations(limit: $limit, nextToken: $nextToken) { items { id } } }";
const GET: &str = "query($id: ID!) { getConversation(id: $id) { id } }";
const TURN: &str = "query($id: ID!, $conversationId: ID!, $attempt: Int, $afterSequence: Int) { getTurn(conversationId: $conversationId, id: $id, attempt: $attempt, afterSequence: $afterSequence) { id } }";
const EVENTS: &str = "query($id: ID!, $limit: Int, $before: Int, $after: Int) { getConversation(id: $id) { events(limit: $limit, before: $before, after: $after) { items { id } } } }";

async fn check(backend: &Backend, document: &str, variables: Value, field: &str) {
    let before = backend.count_all_items().await;
    let answer = backend.execute(document, variables.clone()).await;
    let error = &answer["errors"][0];
    assert_eq!(error["errorType"], "InvalidInput", "{variables}: {answer}");
    assert_eq!(error["errorInfo"]["field"], field, "{variables}: {answer}");
    let sentence = error["message"].as_str().unwrap_or_default();
    assert!(sentence.starts_with(field) && sentence.contains(" must be "), "{sentence}");
    assert_eq!(backend.count_all_items().await, before, "nothing was written");
}

#[tokio::test]
async fn a_message_must_have_a_text_and_well_formed_ids() {
    let backend = Backend::start().await;
    let send = |input: Value| check(&backend, SEND, json!({ "input": input }), "text");
    send(json!({})).await;
    send(json!({ "text": "" })).await;
    send(json!({ "text": null })).await;
    send(json!({ "text": " \n\t\u{3000}" })).await;
    send(json!({ "text": "x".repeat(102_401) })).await;
    send(json!({ "text": "\u{1}".repeat(102_400 / 6 + 1) })).await;
    send(json!({ "text": "é".repeat(51_201) })).await;
    for id in ["", "a b", "é", "a/b", "a#b", &"x".repeat(65), "a\n"] {
        check(&backend, SEND, json!({ "input": { "text": "Hello!", "id": id } }), "id").await;
        check(&backend, SEND, json!({ "input": { "text": "Hello!", "conversationId": id } }), "conversationId").await;
    }
}

#[tokio::test]
async fn half_of_a_surrogate_pair_is_no_text() {
    let backend = Backend::start().await;
    let body = r#"{"query":"mutation($input: SendMessageInput!) { sendMessage(input: $input) { id } }","variables":{"input":{"text":"half \ud83d"}}}"#;
    let request = reqwest::Client::new()
        .post(&backend.server.endpoint.url)
        .header("x-api-key", backend.server.endpoint.api_key.as_ref().unwrap());
    let answer: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"][0]["errorType"], "InvalidInput", "{answer}");
    assert_eq!(answer["errors"][0]["errorInfo"]["field"], "text", "{answer}");
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_taken() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.echo").await;
    let heard = backend.converse(&conversation, &"x".repeat(102_400)).await;
    assert_eq!(heard.stored().len(), 102_400);
}

#[tokio::test]
async fn ids_limits_and_cursors_are_checked_everywhere() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    check(&backend, GET, json!({ "id": "a b" }), "id").await;
    check(&backend, CREATE, json!({ "input": { "id": "a b" } }), "id").await;
    check(&backend, CREATE, json!({ "input": { "agentId": "a b" } }), "agentId").await;
    check(&backend, CREATE, json!({ "input": { "title": "x".repeat(201) } }), "title").await;
    for limit in [0, 101, -1] {
        check(&backend, LIST, json!({ "limit": limit }), "limit").await;
        check(&backend, EVENTS, json!({ "id": id, "limit": limit }), "limit").await;
    }
    for token in ["x", "????", "eyJ9", "YWJj"] {
        check(&backend, LIST, json!({ "nextToken": token }), "nextToken").await;
    }
    check(&backend, EVENTS, json!({ "id": id, "before": -1 }), "before").await;
    check(&backend, EVENTS, json!({ "id": id, "after": -1 }), "after").await;
    check(&backend, EVENTS, json!({ "id": id, "before": 9, "after": 1 }), "after").await;
    check(&backend, TURN, json!({ "id": "a b", "conversationId": id }), "id").await;
    check(&backend, TURN, json!({ "id": "a", "conversationId": "a b" }), "conversationId").await;
}

#[tokio::test]
async fn agents_that_could_not_answer_are_refused() {
    let backend = Backend::start().await;
    let before = backend.count_all_items().await;
    let put = "mutation($input: PutAgentInput!) { putAgent(input: $input) { id } }";
    let good = json!({ "id": "a", "modelId": "m" });
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
        let mut input = good.clone();
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = crate::backend::execute(&backend.administrator, put, json!({ "input": input })).await;
        assert_eq!(answer["errors"][0]["errorType"], "InvalidInput", "{change}: {answer}");
        assert_eq!(answer["errors"][0]["errorInfo"]["field"], field, "{change}: {answer}");
    }
    assert_eq!(backend.count_all_items().await, before, "nothing was written");
}
