//! Users cannot read, change or subscribe to what belongs to others.
use std::time::SystemTime;

use client::{
    AppSync, Credentials,
    errors::{ApiError, ErrorType},
    requests::{CreateConversation, GetTurn, ListConversations, PutAgent, SendMessage, ShareConversation},
    schema::{Access, Turn, TurnStatus},
};
use serde_json::{Value, json};

use crate::{
    backend::{Backend, CANNED_TEXT_MODEL, execute, expect_api_error, send_message},
    subscriber::Subscriber,
};

#[tokio::test]
async fn two_owners_use_the_same_message_id_independently() {
    let backend = Backend::with_parameters([("ModelId", CANNED_TEXT_MODEL)]).await;
    let (ann, bob) = (&backend.api, &backend.administrator);
    let ann_conversation = ann.call(&CreateConversation::default()).await.unwrap().id;
    let bob_conversation = bob.call(&CreateConversation::default()).await.unwrap().id;
    let mut ann_subscriber = Subscriber::subscribe(ann, &ann_conversation).await;
    let mut bob_subscriber = Subscriber::subscribe(bob, &bob_conversation).await;
    send_message(ann, &ann_conversation, "same", "This is from Ann.").await.unwrap();
    send_message(bob, &bob_conversation, "same", "This is from Bob.").await.unwrap();
    let (ann_updates, bob_updates) =
        tokio::join!(ann_subscriber.updates_until_end("same"), bob_subscriber.updates_until_end("same"));
    assert!(ann_updates.iter().all(|update| update.conversation_id == ann_conversation));
    assert!(bob_updates.iter().all(|update| update.conversation_id == bob_conversation));

    let get = |id: &str| GetTurn { conversation_id: id.into(), id: "same".into(), ..GetTurn::default() };
    let ann_text = streamed_text(&ann.call(&get(&ann_conversation)).await.unwrap());
    let bob_text = streamed_text(&bob.call(&get(&bob_conversation)).await.unwrap());
    assert!(ann_text.contains("from Ann") && !ann_text.contains("from Bob"), "{ann_text}");
    assert!(bob_text.contains("from Bob") && !bob_text.contains("from Ann"), "{bob_text}");
}

fn streamed_text(turn: &Turn) -> String {
    let batches = turn.batches.iter().flatten();
    batches.filter_map(|batch| batch.metadata.agent_partial_message.clone()).collect()
}

#[tokio::test]
async fn two_users_use_the_same_first_message_id_independently() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let message = |text: &str| SendMessage { id: Some("same".into()), text: text.into(), ..SendMessage::default() };
    let ann_turn = ann.api.call(&message("Hello!")).await.unwrap();
    let bob_turn = bob.api.call(&message("Hello!")).await.unwrap();
    assert_ne!(ann_turn.conversation_id, bob_turn.conversation_id);
    for (api, turn) in [(&ann.api, ann_turn), (&bob.api, bob_turn)] {
        assert_eq!(api.call(&message("Hello!")).await.unwrap().conversation_id, turn.conversation_id);
        assert_eq!(expect_api_error(api, &message("Goodbye!")).await.0, ErrorType::IdConflict);
        assert_eq!(api.call(&ListConversations::default()).await.unwrap().items.len(), 1);
    }
}

/// Every operation on a conversation, of which `t` is a turn.
const OPERATIONS: [&str; 10] = [
    "query($id: ID!) { getConversation(id: $id) { id title ownerId events { items { text } } participants { userId } } }",
    "query($id: ID!) { getTurn(conversationId: $id, id: \"t\") { status question { text } batches { sequence } } }",
    "mutation($id: ID!) { updateConversation(input: {id: $id, title: \"Mine\"}) { id } }",
    "mutation($id: ID!) { deleteConversation(id: $id) { id } }",
    "mutation($id: ID!) { sendMessage(input: {conversationId: $id, id: \"t\", text: \"Private.\"}) { id status } }",
    "mutation($id: ID!) { cancelTurn(conversationId: $id, id: \"t\") { status } }",
    "mutation($id: ID!) { retryTurn(conversationId: $id, id: \"t\") { status } }",
    "mutation($id: ID!) { continueTurn(conversationId: $id, id: \"t\") { status } }",
    "mutation($id: ID!) { shareConversation(input: {conversationId: $id, userId: \"a#b\", access: READ}) { userId } }",
    "mutation($id: ID!) { unshareConversation(conversationId: $id, userId: \"a#b\") { userId } }",
];

#[tokio::test]
async fn responses_for_inaccessible_and_missing_conversations_are_equal() {
    let backend = Backend::without_handler().await;
    let (ann, bob, cat) = (backend.iam_user("Ann"), backend.iam_user("Bob"), backend.iam_user("Cat"));
    let id = ann.api.call(&CreateConversation::default()).await.unwrap().id;
    let access = Access::Write;
    ann.api.call(&ShareConversation { conversation_id: id.clone(), user_id: bob.id, access }).await.unwrap();
    send_message(&ann.api, &id, "t", "Private.").await.unwrap();

    let http = reqwest::Client::new();
    for api in [&cat.api, &backend.api] {
        let credentials = &api.credentials().await.unwrap();
        for operation in OPERATIONS {
            let inaccessible = response_body(&http, &backend, credentials, operation, &id).await;
            let missing = response_body(&http, &backend, credentials, operation, "no-such-conversation").await;
            assert_eq!(inaccessible.replace(&id, "no-such-conversation"), missing, "{operation}");
            let response: Value = serde_json::from_str(&missing).unwrap();
            let error_type = response["errors"][0]["errorType"].as_str();
            assert!(matches!(error_type, Some("NotFound" | "Unauthorized")), "{missing}");
        }
    }
    for api in [&cat.api, &backend.api] {
        let inaccessible = subscription_errors(api, &id).await;
        let missing = subscription_errors(api, "no-such-conversation").await;
        assert_eq!(inaccessible[0].error_type, Some(ErrorType::NotFound));
        assert_eq!(format!("{inaccessible:?}").replace(&id, "no-such-conversation"), format!("{missing:?}"));
        assert!(api.call(&ListConversations::default()).await.unwrap().items.is_empty());
    }
}

async fn response_body(
    http: &reqwest::Client,
    backend: &Backend,
    credentials: &Credentials,
    document: &str,
    id: &str,
) -> String {
    let url = reqwest::Url::parse(&backend.server.endpoint.url).unwrap();
    let body = json!({ "query": document, "variables": { "id": id } }).to_string();
    let headers = credentials.http_headers(&url, &body, SystemTime::now()).unwrap();
    let mut request = http.post(url).header("content-type", "application/json").body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap().text().await.unwrap()
}

async fn subscription_errors(api: &AppSync, conversation_id: &str) -> Vec<ApiError> {
    Subscriber::try_subscribe(api, conversation_id).await.err().expect("the subscription is refused")
}

#[tokio::test]
async fn api_key_callers_cannot_publish_or_put_agents() {
    let backend = Backend::start().await;
    let put = PutAgent { id: "mine".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    assert_eq!(expect_api_error(&backend.api, &put).await.0, ErrorType::Unauthorized);
    let publish = "mutation { agentPublishMetadata(data: {conversationId: \"c\", turnId: \"t\", run: 1, attempt: 1, sequence: 1, status: RUNNING}) { sequence } }";
    let response = backend.execute(publish, json!({})).await;
    assert_eq!(response["errors"][0]["errorType"], "Unauthorized");
    assert_eq!(response["data"]["agentPublishMetadata"], json!(null));
}

#[tokio::test]
async fn without_iam_access_only_handler_and_closer_use_iam() {
    let backend = Backend::with_parameters([("IamAccess", "false")]).await;
    let conversation = backend.conversation().await;
    assert_eq!(backend.send_and_wait(&conversation, "Hello!").await.turn.status, TurnStatus::Completed);
    let put = PutAgent { id: "mine".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    assert_eq!(expect_api_error(&backend.administrator, &put).await.0, ErrorType::Unauthorized);
    let ann = backend.iam_user("Ann");
    assert_eq!(expect_api_error(&ann.api, &ListConversations::default()).await.0, ErrorType::Unauthorized);
    assert_eq!(subscription_errors(&ann.api, &conversation).await[0].error_type, Some(ErrorType::Unauthorized));
}

#[tokio::test]
async fn only_administrators_read_system_prompts() {
    let backend = Backend::start().await;
    let query = "{ getAgent(id: \"default\") { id systemPrompt } }";
    let response = backend.execute(query, json!({})).await;
    assert_eq!(response["errors"][0]["errorType"], "Unauthorized");
    assert_eq!(response["data"]["getAgent"], json!({ "id": "default", "systemPrompt": null }));
    let response = execute(&backend.administrator, query, json!({})).await;
    assert!(response["data"]["getAgent"]["systemPrompt"].is_string());
}
