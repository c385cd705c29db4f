//! One user, one conversation, every entry point.
use client::{
    errors::ErrorType,
    requests::{DeleteConversation, GetConversation, GetEvents, ListConversations},
};
use serde_json::json;

use super::fixture::EntryPoints;
use crate::{backend::expect_api_error, subscriber::Subscriber};

#[tokio::test]
async fn conversation_begins_over_events_goes_on_over_a_websocket_and_is_read_and_deleted_over_graphql() {
    let entry_points = EntryPoints::start().await;
    let ada = entry_points.pool_caller("ada");
    let user = entry_points.backend.pool_user("ada");

    let mut answers = entry_points.listen(&ada).await;
    entry_points.ask(&ada, &json!({ "id": "over-events", "content": "Over Events?" })).await;
    let id = answers.next().await["sessionId"].as_str().unwrap().to_owned();

    // Who follows the conversation over GraphQL sees what is asked over other entry points.
    let mut subscriber = Subscriber::subscribe(&user.api, &id).await;
    let mut connection = entry_points.connect("ada").await;
    let question =
        json!({ "action": "send", "id": "over-websocket", "conversationId": id, "text": "Over a WebSocket?" });
    connection.send(&question).await;
    let accepted =
        json!({ "type": "accepted", "id": "over-websocket", "conversationId": id, "turnId": "over-websocket" });
    let mut messages = [connection.next().await, connection.next().await];
    messages.sort_by_key(|message| message["type"] == "answer");
    assert_eq!((&messages[0], &messages[1]["message"]), (&accepted, &json!("Over a WebSocket?")));
    assert!(!subscriber.updates_until_end("over-websocket").await.is_empty());

    let list = user.api.call(&ListConversations::default()).await.unwrap();
    assert_eq!(list.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    let events = GetEvents { conversation_id: id.clone(), ..GetEvents::default() };
    let events = user.api.call(&events).await.unwrap().events.unwrap().items;
    let texts: Vec<_> = events.iter().filter_map(|event| event.text.as_deref()).collect();
    assert_eq!(texts, ["Over Events?", "Over Events?", "Over a WebSocket?", "Over a WebSocket?"]);
    let turn_ids: Vec<_> = events.iter().filter_map(|event| event.turn_id.as_deref()).collect();
    assert_eq!(turn_ids, ["over-events", "over-events", "over-websocket", "over-websocket"]);

    connection.send(&json!({ "action": "history", "id": 1, "conversationId": id })).await;
    let history = connection.next().await;
    assert_eq!((&history["type"], history["events"].as_array().map(Vec::len)), (&json!("history"), Some(4)));

    // Others do not have it, over any entry point.
    let bob = entry_points.pool_caller("bob");
    let mut bobs_answers = entry_points.listen(&bob).await;
    entry_points.ask(&bob, &json!({ "content": "Mine?", "sessionId": id })).await;
    assert_eq!(bobs_answers.next().await["code"], "NotFound");
    let mut bobs_connection = entry_points.connect("bob").await;
    bobs_connection.send(&json!({ "action": "history", "conversationId": id })).await;
    assert_eq!(bobs_connection.next().await["code"], "NotFound");

    user.api.call(&DeleteConversation { id: id.clone() }).await.unwrap();
    entry_points.ask(&ada, &json!({ "content": "Still there?", "sessionId": id })).await;
    assert_eq!(answers.next().await["code"], "NotFound");
    connection.send(&json!({ "action": "send", "conversationId": id, "text": "Still there?" })).await;
    assert_eq!(connection.next().await["code"], "NotFound");
    assert_eq!(expect_api_error(&user.api, &GetConversation { id }).await.0, ErrorType::NotFound);
}
