//! Conversations and agents: creating, listing, reading, changing and deleting.
use std::time::Duration;

use client::{
    errors::ErrorType,
    requests::{
        CreateConversation, DeleteConversation, GetAgent, GetConversation, GetEvents, ListAgents, ListConversations,
        PutAgent, SendMessage, UpdateConversation,
    },
    schema::TurnStatus,
};
use serde_json::json;

use crate::{
    backend::{Backend, CANNED_TEXT_MODEL, answer_texts, expect_api_error, with_timeout},
    subscriber::Subscriber,
};

#[tokio::test]
async fn repeated_creation_returns_the_same_conversation() {
    let backend = Backend::start().await;
    let request = CreateConversation { id: Some("trip".into()), title: Some("A trip".into()), agent_id: None };
    let created = backend.create(request.clone()).await;
    assert_eq!(backend.create(request.clone()).await, created);
    assert_eq!(backend.api.call(&GetConversation { id: "trip".into() }).await.unwrap(), created);
    let other = CreateConversation { title: Some("Another".into()), ..request };
    assert_eq!(expect_api_error(&backend.api, &other).await.0, ErrorType::IdConflict);
}

#[tokio::test]
async fn conversations_are_listed_by_last_activity_page_by_page() {
    let backend = Backend::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(backend.conversation().await);
    }
    backend.send_and_wait(&ids[0], "Hello!").await;
    let expected = [&ids[0], &ids[2], &ids[1]];
    let mut listed = Vec::new();
    let mut next_token = None;
    loop {
        let page = backend.api.call(&ListConversations { limit: Some(2), next_token }).await.unwrap();
        listed.extend(page.items.into_iter().map(|conversation| conversation.id));
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    assert_eq!(listed.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn title_and_agent_of_a_conversation_can_be_changed() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    let agent = PutAgent { id: "poet".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    backend.administrator.call(&agent).await.unwrap();
    let update = UpdateConversation { id: id.clone(), title: Some("Verses".into()), agent_id: Some("poet".into()) };
    let updated = backend.api.call(&update).await.unwrap();
    assert_eq!((updated.title.as_deref(), updated.agent_id.as_str()), (Some("Verses"), "poet"));
    assert_eq!(backend.send_and_wait(&id, "roses").await.stored_text(), "roses", "the new agent answers");

    let remove_title = "mutation($id: ID!) { updateConversation(input: {id: $id, title: \"\"}) { title agentId } }";
    let response = backend.execute(remove_title, json!({ "id": id })).await;
    assert_eq!(response["data"]["updateConversation"], json!({ "title": null, "agentId": "poet" }));
}

#[tokio::test]
async fn unknown_ids_are_not_found() {
    let backend = Backend::start().await;
    let unknown = || "unknown".to_owned();
    assert_eq!(expect_api_error(&backend.api, &GetConversation { id: unknown() }).await.0, ErrorType::NotFound);
    assert_eq!(expect_api_error(&backend.api, &DeleteConversation { id: unknown() }).await.0, ErrorType::NotFound);
    let update = UpdateConversation { id: unknown(), title: Some("x".into()), agent_id: None };
    assert_eq!(expect_api_error(&backend.api, &update).await.0, ErrorType::NotFound);
    let message = SendMessage { conversation_id: Some(unknown()), text: "Hello?".into(), ..SendMessage::default() };
    assert_eq!(expect_api_error(&backend.api, &message).await.0, ErrorType::NotFound);
    let create = CreateConversation { agent_id: Some(unknown()), ..CreateConversation::default() };
    assert_eq!(expect_api_error(&backend.api, &create).await.0, ErrorType::NotFound);
    assert_eq!(expect_api_error(&backend.api, &GetAgent { id: unknown() }).await.0, ErrorType::NotFound);
}

#[tokio::test]
async fn events_are_paged_by_position_in_both_directions() {
    let backend = Backend::start().await;
    let id = backend.conversation_with("parlance.echo").await;
    for text in ["a", "b", "c"] {
        backend.send_and_wait(&id, text).await;
    }
    let positions = |limit, before, after| {
        let page = GetEvents { conversation_id: id.clone(), limit, before, after };
        async { backend.events(page).await.iter().map(|event| event.position).collect::<Vec<_>>() }
    };
    assert_eq!(positions(None, None, None).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(positions(Some(2), None, None).await, [5, 6]);
    assert_eq!(positions(Some(2), Some(5), None).await, [3, 4]);
    assert_eq!(positions(Some(2), None, Some(1)).await, [2, 3]);
    assert_eq!(positions(Some(2), None, Some(6)).await, [0; 0]);
}

#[tokio::test]
async fn deleted_conversation_is_not_found_and_then_purged() {
    let backend = Backend::start().await;
    let id = backend.conversation_with("parlance.deltas-60-5").await;
    let turn = backend.send_and_wait(&id, "Hello!").await.turn;
    assert!(backend.count_items(&format!("CONVERSATION#{id}")).await > 0);
    backend.api.call(&DeleteConversation { id: id.clone() }).await.unwrap();
    assert_eq!(expect_api_error(&backend.api, &GetConversation { id: id.clone() }).await.0, ErrorType::NotFound);
    assert_eq!(backend.api.call(&ListConversations::default()).await.unwrap().items.len(), 0);
    backend.wait_for_purge(&id).await;
    assert_eq!(backend.count_items(&format!("TURN#{id}#{}", turn.id)).await, 0);
    let create = CreateConversation { id: Some(id.clone()), ..CreateConversation::default() };
    let error_type = expect_api_error(&backend.api, &create).await.0;
    assert_eq!(error_type, ErrorType::IdConflict, "the id of a deleted conversation is not reused");
    assert_eq!(expect_api_error(&backend.api, &GetConversation { id }).await.0, ErrorType::NotFound);
}

#[tokio::test]
async fn conversation_of_five_thousand_events_is_purged_completely() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    backend.seed_events(&id, 5_000, "An event of the past.").await;
    backend.api.call(&DeleteConversation { id: id.clone() }).await.unwrap();
    backend.wait_for_purge(&id).await;
}

#[tokio::test]
async fn agents_have_versions_and_the_default_agent_always_exists() {
    let backend = Backend::start().await;
    let default = backend.api.call(&GetAgent { id: "default".into() }).await.unwrap();
    assert_eq!(default.version, 0);
    let poet = PutAgent { id: "poet".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    assert_eq!(backend.administrator.call(&poet).await.unwrap().version, 1);
    assert_eq!(backend.administrator.call(&poet).await.unwrap().version, 2);
    assert_eq!(backend.api.call(&GetAgent { id: "poet".into() }).await.unwrap().version, 2);
    let new_default = PutAgent { id: "default".into(), ..poet };
    assert_eq!(backend.administrator.call(&new_default).await.unwrap().version, 1);
    let mut listed = Vec::new();
    let mut next_token = None;
    for _ in 0..3 {
        let page = backend.api.call(&ListAgents { limit: Some(1), next_token }).await.unwrap();
        listed.extend(page.items.into_iter().map(|agent| (agent.id, agent.version)));
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    assert_eq!(listed, [("default".to_owned(), 1), ("poet".to_owned(), 2)]);
}

#[tokio::test]
async fn conversations_and_api_key_survive_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let before = Backend::persistent(&state).await;
    let id = before.conversation_with(CANNED_TEXT_MODEL).await;
    before.send_and_wait(&id, "Remember me.").await;
    let key = before.server.endpoint.api_key.clone();
    with_timeout(before.server.stop()).await;
    let after = Backend::persistent(&state).await;
    assert_eq!(after.server.endpoint.api_key, key);
    let finished = after.send_and_wait(&id, "What did I say?").await;
    assert!(finished.stored_text().contains("Remember me."), "{}", finished.stored_text());
    let stopped = tokio::time::timeout(Duration::from_secs(10), after.server.stop()).await;
    assert!(stopped.is_ok(), "the server stops in time");
}

/// A second of the event queue takes 20 ms, so that Lambda's retry comes after 1.2 s.
#[tokio::test]
async fn answer_of_a_stopped_server_is_resumed_by_the_next_one() {
    let state = tempfile::tempdir().unwrap();
    let before = Backend::resuming(&state, 0.02).await;
    let id = before.conversation_with("parlance.deltas-60-50").await;
    let mut subscriber = Subscriber::subscribe(&before.api, &id).await;
    let turn = before.send_message(&id, "Count.").await;
    while subscriber.next_update().await.sequence < Some(3) {}
    with_timeout(before.server.stop()).await;

    let after = Backend::resuming(&state, 0.02).await;
    after.expire_lease(&turn).await;
    let completed = async {
        while after.turn(&id, &turn.id).await.status != TurnStatus::Completed {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    with_timeout(completed).await;
    let finished = after.turn(&id, &turn.id).await;
    assert_eq!((finished.attempt, finished.run), (2, 1));
    assert_eq!(answer_texts(&finished).concat().split_whitespace().count(), 60);
    with_timeout(after.server.lambda.wait_for_events()).await;
    assert_eq!(std::fs::read_dir(state.path().join("events")).unwrap().count(), 0, "no event is left");
    with_timeout(after.server.stop()).await;
}
