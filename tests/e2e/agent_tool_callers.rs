//! Tools as each kind of caller: a tool sees what its caller may see, and no more.
use client::{
    AppSync,
    requests::{CreateConversation, PutAgent, RetryTurn, ShareConversation},
    schema::{Access, ToolEffect, ToolStatus},
};
use local::server::ServerOptions;
use serde_json::{Value, json};

use crate::{
    agent_tools::{self, MODEL},
    agent_tools_graphql::{self, LIST, only_result, results},
    backend::{Backend, User, new_id, send_message},
    subscriber::Subscriber,
};

#[tokio::test]
async fn function_is_told_the_caller_of_each_kind() {
    let backend = backend_with_users().await;
    let ann = backend.iam_user("ann");
    let [ada, bob] = [backend.pool_user("ada"), backend.oidc_user("bob")];
    let callers =
        [(&backend.api, None), (&ada.api, Some(&ada.id)), (&bob.api, Some(&bob.id)), (&ann.api, Some(&ann.id))];
    for (api, id) in callers {
        let conversation = create_conversation(api).await;
        let result = only_result(api, &conversation, "call look").await;
        assert_eq!(result.status, ToolStatus::Succeeded, "{result:?}");
        assert_eq!(json_of(&result.json)["caller"]["id"], json!(id));
    }
}

/// In a shared conversation the agent works for whoever asks.
#[tokio::test]
async fn tool_of_a_participant_sees_what_the_participant_may_see() {
    let fixture = SharedConversation::new().await;
    let SharedConversation { ada, bob, adas, bobs, shared, .. } = &fixture;
    let seen_by_ada = listed_ids(&only_result(&ada.api, shared, "call list").await.json);
    assert!(seen_by_ada.contains(adas) && !seen_by_ada.contains(bobs), "{seen_by_ada:?}");
    let seen_by_bob = listed_ids(&only_result(&bob.api, shared, "call list").await.json);
    assert!(seen_by_bob.contains(bobs) && !seen_by_bob.contains(adas), "{seen_by_bob:?}");
    let payload = json_of(&only_result(&bob.api, shared, "call look").await.json);
    assert_eq!(payload["caller"]["id"], json!(bob.id));
}

#[tokio::test]
async fn tool_of_a_retry_sees_what_the_user_who_retries_may_see() {
    let fixture = SharedConversation::new().await;
    let SharedConversation { ada, bob, adas, bobs, shared, .. } = &fixture;
    let mut subscriber = Subscriber::subscribe(&ada.api, shared).await;
    let turn = send_message(&ada.api, shared, &new_id(), "call list").await.unwrap();
    subscriber.updates_until_end(&turn.id).await;

    bob.api.call(&RetryTurn { conversation_id: shared.clone(), id: turn.id.clone() }).await.unwrap();
    let updates = subscriber.updates_until_end(&turn.id).await;
    let events: Vec<_> = updates.into_iter().filter_map(|update| update.event).collect();
    let [result] = results(&events).try_into().expect("one result");
    let seen = listed_ids(&result.json);
    assert!(seen.contains(bobs) && !seen.contains(adas), "{seen:?}");
}

/// A conversation of ada's to which bob may write, and another one of each of them.
struct SharedConversation {
    _backend: Backend,
    ada: User,
    bob: User,
    shared: String,
    adas: String,
    bobs: String,
}

impl SharedConversation {
    async fn new() -> Self {
        let backend = backend_with_users().await;
        let [ada, bob] = [backend.pool_user("ada"), backend.pool_user("bob")];
        let [adas, shared] = [create_conversation(&ada.api).await, create_conversation(&ada.api).await];
        let bobs = create_conversation(&bob.api).await;
        let user_id = bob.id.clone();
        let share = ShareConversation { conversation_id: shared.clone(), user_id, access: Access::Write };
        ada.api.call(&share).await.unwrap();
        Self { _backend: backend, ada, bob, shared, adas, bobs }
    }
}

/// The agent `callers` has a function `look` and the operation `list`.
async fn backend_with_users() -> Backend {
    let backend = agent_tools::start(|options| ServerOptions {
        users: ["ada", "bob"].map(|user| user.parse().unwrap()).into(),
        oidc: true,
        ..options
    })
    .await;
    let tools = vec![agent_tools::tool("look", ToolEffect::Read), agent_tools_graphql::tool("list", LIST, None)];
    let agent = PutAgent { id: "callers".into(), model_id: MODEL.into(), tools: Some(tools), ..PutAgent::default() };
    backend.administrator.call(&agent).await.unwrap();
    backend
}

async fn create_conversation(caller: &AppSync) -> String {
    let conversation = CreateConversation { agent_id: Some("callers".into()), ..CreateConversation::default() };
    caller.call(&conversation).await.unwrap().id
}

fn json_of(json: &Option<String>) -> Value {
    serde_json::from_str(json.as_ref().expect("the result is JSON")).unwrap()
}

fn listed_ids(json: &Option<String>) -> Vec<String> {
    let items = json_of(json)["listConversations"]["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}
