//! Replies to users with whom a conversation is shared.
use client::{
    requests::{CreateConversation, PutAgent, ShareConversation, UnshareConversation},
    schema::{Access, TurnStatus},
};
use serde_json::json;

use super::fixture::EntryPoints;
use crate::backend::with_timeout;

const MODEL: &str = "parlance.deltas-60-50";

#[tokio::test]
async fn replies_to_a_participant_end_with_the_share() {
    let entry_points = EntryPoints::start().await;
    let backend = &entry_points.backend;
    let (ada, bob) = (backend.pool_user("ada"), backend.pool_user("bob"));
    let agent = PutAgent { id: "slow".into(), model_id: MODEL.into(), ..PutAgent::default() };
    backend.administrator.call(&agent).await.unwrap();
    let create = CreateConversation { agent_id: Some("slow".into()), ..CreateConversation::default() };
    let id = ada.api.call(&create).await.unwrap().id;
    let share = ShareConversation { conversation_id: id.clone(), user_id: bob.id.clone(), access: Access::Write };
    ada.api.call(&share).await.unwrap();

    let caller = entry_points.pool_caller("bob");
    let mut answers = entry_points.listen(&caller).await;
    let ask = |turn_id: &str| json!({ "id": turn_id, "content": "Count", "sessionId": id, "stream": true });
    entry_points.ask(&caller, &ask("while-shared")).await;
    while answers.next().await["type"] != "answer" {}

    entry_points.ask(&caller, &ask("while-removed")).await;
    while answers.next().await["metadata"]["agentPartialMessage"].is_null() {}
    let unshare = UnshareConversation { conversation_id: id.clone(), user_id: bob.id.clone() };
    ada.api.call(&unshare).await.unwrap();
    with_timeout(async {
        loop {
            let get = client::requests::GetTurn {
                conversation_id: id.clone(),
                id: "while-removed".into(),
                ..client::requests::GetTurn::default()
            };
            if ada.api.call(&get).await.unwrap().status == TurnStatus::Completed {
                break;
            }
        }
    })
    .await;
    // A message that was sent before all of the run's others have ended.
    entry_points.ask(&caller, &json!({ "action": "ping", "id": "last" })).await;
    let mut deltas = 0;
    loop {
        let message = answers.next().await;
        match message["type"].as_str().unwrap() {
            "pong" => break,
            "delta" => deltas += 1,
            other => panic!("{other} arrives after the share has ended"),
        }
    }
    assert!(deltas <= 3, "{deltas} deltas arrive after the share has ended");
}
