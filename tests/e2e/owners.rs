//! Nobody reads, sends or subscribes where they do not belong.
use client::{
    errors::ErrorType,
    requests::{
        CreateConversation, DeleteConversation, GetConversation, GetTurn, ListConversations, PutAgent, SendMessage,
        UpdateConversation,
    },
};
use serde_json::json;

use crate::backend::{Backend, Ear, refusal, say};

#[tokio::test]
async fn two_owners_with_the_same_message_id_never_meet() {
    let backend = Backend::start().await;
    let (mine, theirs) = (&backend.api, &backend.administrator);
    let my_place = mine.call(&CreateConversation::default()).await.unwrap().id;
    let their_place = theirs.call(&CreateConversation::default()).await.unwrap().id;
    let (mut my_ear, mut their_ear) = (Ear::open(mine, &my_place).await, Ear::open(theirs, &their_place).await);
    say(mine, &my_place, "same", "This is mine.").await.unwrap();
    say(theirs, &their_place, "same", "This is theirs.").await.unwrap();
    let (my_updates, their_updates) = tokio::join!(my_ear.until_end("same"), their_ear.until_end("same"));
    assert!(my_updates.iter().all(|update| update.conversation_id == my_place));
    assert!(their_updates.iter().all(|update| update.conversation_id == their_place));

    let get = |id: &str| GetTurn { conversation_id: id.into(), id: "same".into(), ..GetTurn::default() };
    let (my_turn, their_turn) =
        (mine.call(&get(&my_place)).await.unwrap(), theirs.call(&get(&their_place)).await.unwrap());
    let text = |turn: &client::schema::Turn| {
        turn.batches
            .iter()
            .flatten()
            .filter_map(|batch| batch.metadata.agent_partial_message.clone())
            .collect::<String>()
    };
    assert!(text(&my_turn).contains("mine") && !text(&my_turn).contains("theirs"), "{}", text(&my_turn));
    assert!(text(&their_turn).contains("theirs"), "{}", text(&their_turn));
}

#[tokio::test]
async fn somebody_elses_conversation_is_one_that_does_not_exist() {
    let backend = Backend::start().await;
    let theirs = backend.administrator.call(&CreateConversation::default()).await.unwrap().id;
    let turn = say(&backend.administrator, &theirs, "t", "Private.").await.unwrap();
    let api = &backend.api;
    let id = || theirs.clone();
    assert_eq!(refusal(api, &GetConversation { id: id() }).await.0, ErrorType::NotFound);
    assert_eq!(refusal(api, &DeleteConversation { id: id() }).await.0, ErrorType::NotFound);
    assert_eq!(
        refusal(api, &UpdateConversation { id: id(), title: Some("Mine".into()), agent_id: None }).await.0,
        ErrorType::NotFound
    );
    assert_eq!(
        refusal(api, &GetTurn { conversation_id: id(), id: turn.id, ..GetTurn::default() }).await.0,
        ErrorType::NotFound
    );
    assert_eq!(
        refusal(api, &SendMessage { conversation_id: Some(id()), id: None, text: "Hello?".into() }).await.0,
        ErrorType::NotFound
    );
    let refused = Ear::try_open(api, &theirs).await.err().expect("the subscription is refused");
    assert_eq!(refused[0].error_type, Some(ErrorType::NotFound));
    assert!(api.call(&ListConversations::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn only_the_handler_publishes_and_only_administrators_put_agents() {
    let backend = Backend::start().await;
    let put = PutAgent { id: "mine".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    assert_eq!(refusal(&backend.api, &put).await.0, ErrorType::Unauthorized);
    let publish = "mutation { agentPublishMetadata(data: {conversationId: \"c\", turnId: \"t\", run: 1, attempt: 1, sequence: 1, status: RUNNING}) { sequence } }";
    let answer = backend.execute(publish, json!({})).await;
    assert_eq!(answer["errors"][0]["errorType"], "Unauthorized");
    assert_eq!(answer["data"]["agentPublishMetadata"], json!(null));
}

#[tokio::test]
async fn system_prompts_are_read_by_administrators_only() {
    let backend = Backend::start().await;
    let ask = "{ getAgent(id: \"default\") { id systemPrompt } }";
    let refused = backend.execute(ask, json!({})).await;
    assert_eq!(refused["errors"][0]["errorType"], "Unauthorized");
    assert_eq!(refused["data"]["getAgent"], json!({ "id": "default", "systemPrompt": null }));
    let told = crate::backend::execute(&backend.administrator, ask, json!({})).await;
    assert!(told["data"]["getAgent"]["systemPrompt"].is_string());
}
