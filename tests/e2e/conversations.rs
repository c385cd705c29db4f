use std::time::Duration;

use client::{
    errors::ErrorType,
    requests::{
        CreateConversation, DeleteConversation, GetAgent, GetConversation, GetEvents, ListAgents, ListConversations,
        PutAgent, SendMessage, UpdateConversation,
    },
};
use serde_json::json;

use crate::backend::{Backend, patiently, refusal};

#[tokio::test]
async fn a_conversation_is_created_once_however_often_it_is_asked_for() {
    let backend = Backend::start().await;
    let wish = CreateConversation { id: Some("trip".into()), title: Some("A trip".into()), agent_id: None };
    let created = backend.create(wish.clone()).await;
    assert_eq!(backend.create(wish.clone()).await, created);
    assert_eq!(backend.api.call(&GetConversation { id: "trip".into() }).await.unwrap(), created);
    let other = CreateConversation { title: Some("Another".into()), ..wish };
    assert_eq!(refusal(&backend.api, &other).await.0, ErrorType::IdConflict);
}

#[tokio::test]
async fn conversations_are_listed_by_last_activity_page_by_page() {
    let backend = Backend::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(backend.conversation().await);
    }
    backend.converse(&ids[0], "Hello!").await;
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
async fn a_conversation_is_renamed_and_given_another_agent() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    backend
        .administrator
        .call(&PutAgent { id: "poet".into(), model_id: "parlance.echo".into(), ..PutAgent::default() })
        .await
        .unwrap();
    let change = UpdateConversation { id: id.clone(), title: Some("Verses".into()), agent_id: Some("poet".into()) };
    let changed = backend.api.call(&change).await.unwrap();
    assert_eq!((changed.title.as_deref(), changed.agent_id.as_str()), (Some("Verses"), "poet"));
    assert_eq!(backend.converse(&id, "roses").await.stored(), "roses", "the new agent answers");

    let untitle = "mutation($id: ID!) { updateConversation(input: {id: $id, title: \"\"}) { title agentId } }";
    let answer = backend.execute(untitle, json!({ "id": id })).await;
    assert_eq!(answer["data"]["updateConversation"], json!({ "title": null, "agentId": "poet" }));
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let backend = Backend::start().await;
    let nobody = || "nobody".to_owned();
    assert_eq!(refusal(&backend.api, &GetConversation { id: nobody() }).await.0, ErrorType::NotFound);
    assert_eq!(refusal(&backend.api, &DeleteConversation { id: nobody() }).await.0, ErrorType::NotFound);
    let update = UpdateConversation { id: nobody(), title: Some("x".into()), agent_id: None };
    assert_eq!(refusal(&backend.api, &update).await.0, ErrorType::NotFound);
    let message = SendMessage { conversation_id: Some(nobody()), id: None, text: "Hello?".into() };
    assert_eq!(refusal(&backend.api, &message).await.0, ErrorType::NotFound);
    let create = CreateConversation { agent_id: Some(nobody()), ..CreateConversation::default() };
    assert_eq!(refusal(&backend.api, &create).await.0, ErrorType::NotFound);
    assert_eq!(refusal(&backend.api, &GetAgent { id: nobody() }).await.0, ErrorType::NotFound);
}

#[tokio::test]
async fn events_are_read_by_position_both_ways() {
    let backend = Backend::start().await;
    let id = backend.conversation_with("parlance.echo").await;
    for text in ["a", "b", "c"] {
        backend.converse(&id, text).await;
    }
    let page = |limit, before, after| {
        let page = GetEvents { conversation_id: id.clone(), limit, before, after };
        async { backend.events(page).await.iter().map(|event| event.position).collect::<Vec<_>>() }
    };
    assert_eq!(page(None, None, None).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(page(Some(2), None, None).await, [5, 6]);
    assert_eq!(page(Some(2), Some(5), None).await, [3, 4]);
    assert_eq!(page(Some(2), None, Some(1)).await, [2, 3]);
    assert_eq!(page(Some(2), None, Some(6)).await, [0; 0]);
}

#[tokio::test]
async fn a_deleted_conversation_is_gone_at_once_and_purged_in_the_background() {
    let backend = Backend::start().await;
    let id = backend.conversation_with("parlance.deltas-60-5").await;
    let turn = backend.converse(&id, "Hello!").await.turn;
    assert!(backend.count_items(&format!("CONVERSATION#{id}")).await > 0);
    backend.api.call(&DeleteConversation { id: id.clone() }).await.unwrap();
    assert_eq!(refusal(&backend.api, &GetConversation { id: id.clone() }).await.0, ErrorType::NotFound);
    assert_eq!(backend.api.call(&ListConversations::default()).await.unwrap().items.len(), 0);
    backend.purged(&id).await;
    assert_eq!(backend.count_items(&format!("TURN#{id}#{}", turn.id)).await, 0);
    let taken = CreateConversation { id: Some(id.clone()), ..CreateConversation::default() };
    assert_eq!(refusal(&backend.api, &taken).await.0, ErrorType::IdConflict, "its id is not used again");
    assert_eq!(refusal(&backend.api, &GetConversation { id }).await.0, ErrorType::NotFound);
}

#[tokio::test]
async fn a_conversation_of_five_thousand_events_is_purged_whole() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    backend.seed_events(&id, 5_000, "An event of the past.").await;
    backend.api.call(&DeleteConversation { id: id.clone() }).await.unwrap();
    backend.purged(&id).await;
}

#[tokio::test]
async fn agents_have_versions_and_the_default_one_needs_no_seeding() {
    let backend = Backend::start().await;
    let default = backend.api.call(&GetAgent { id: "default".into() }).await.unwrap();
    assert_eq!(default.version, 0);
    let poet = PutAgent { id: "poet".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    assert_eq!(backend.administrator.call(&poet).await.unwrap().version, 1);
    assert_eq!(backend.administrator.call(&poet).await.unwrap().version, 2);
    assert_eq!(backend.api.call(&GetAgent { id: "poet".into() }).await.unwrap().version, 2);
    let own = PutAgent { id: "default".into(), ..poet };
    assert_eq!(backend.administrator.call(&own).await.unwrap().version, 1);
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
async fn what_is_kept_outlives_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let before = Backend::kept_in(&state).await;
    let id = before.conversation().await;
    before.converse(&id, "Remember me.").await;
    let key = before.server.endpoint.api_key.clone();
    patiently(before.server.stop()).await;
    let after = Backend::kept_in(&state).await;
    assert_eq!(after.server.endpoint.api_key, key);
    let again = after.converse(&id, "What did I say?").await;
    assert!(again.stored().contains("Remember me."), "{}", again.stored());
    patiently(async { tokio::time::timeout(Duration::from_secs(10), after.server.stop()).await.unwrap() }).await;
}
