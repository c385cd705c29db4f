//! Names and groups of tokens, which all entry points take by one rule.
use std::time::SystemTime;

use local::identity::TokenUse;
use serde_json::{Value, json};

use super::fixture::{EntryPoints, Socket};

/// A token of the provider whose name is cut within a surrogate pair, and with a group that is too long.
fn token(entry_points: &EntryPoints) -> (String, String) {
    let provider = entry_points.backend.server.issuers.oidc.as_ref().unwrap();
    let mut claims = provider.claims(&"ada".parse().unwrap(), TokenUse::Access, SystemTime::now());
    claims["name"] = json!(format!("a{}", "🙂".repeat(150)));
    claims["groups"] = json!(["staff", "g".repeat(1_025), "🙂".repeat(513)]);
    (provider.key().sign(&claims).unwrap(), claims["sub"].as_str().unwrap().to_owned())
}

/// The name that stands beside the question.
fn name_of(history: &Value) -> &Value {
    &history["events"][0]["sender"]["name"]
}

#[tokio::test]
async fn long_names_are_cut_and_long_groups_left_out() {
    let entry_points = EntryPoints::start().await;
    let (token, subject) = token(&entry_points);
    let name = json!(format!("a{}", "🙂".repeat(99)));

    let caller = entry_points.token_caller(&token, &format!("oidc/{subject}"));
    let mut answers = entry_points.listen(&caller).await;
    entry_points.ask(&caller, &json!({ "content": "Over Events?" })).await;
    let answer = answers.next().await;
    assert_eq!(answer["result"]["text"], "Over Events?", "{answer}");
    let history = json!({ "action": "history", "conversationId": answer["sessionId"] });
    entry_points.ask(&caller, &history).await;
    assert_eq!(name_of(&answers.next().await), &name);

    let mut connection = Socket::open_with(entry_points.websocket_url(), &[("authorization", &token)]).await;
    connection.send(&json!({ "data": "Over a WebSocket?" })).await;
    let answer = connection.next().await;
    assert_eq!(answer["message"], "Over a WebSocket?", "{answer}");
    connection.send(&json!({ "action": "history", "conversationId": answer["conversationId"] })).await;
    assert_eq!(name_of(&connection.next().await), &name);
}
