use serde_json::json;

use crate::aws::dynamodb::{
    attributes::Item,
    test_support::{NOW, conversation_item, embedded_table, key, map, string, time},
};

#[tokio::test]
async fn every_participant_gets_the_new_place_and_nothing_else_changes() {
    let table = embedded_table().await;
    let users = ["https://id.example.com#ann", "https://id.example.com#bob"];
    table.put_items([conversation_item()]).await;
    table.put_items(users.map(participant_item)).await;
    table.move_to_top_of_participants_lists("c1", time(NOW)).await.unwrap();
    for user in users {
        let participant = table.stored_json(&format!("PARTICIPANT#{user}")).await;
        assert_eq!(participant["listSort"], "2026-11-18T11:06:40.000Z#c1");
        assert_eq!(participant["access"], "READ");
    }
    assert_eq!(table.stored_json("META").await.get("listSort"), None);
    assert_eq!(table.all_items().await.len(), 3);
}

#[tokio::test]
async fn conversation_without_participants_changes_nothing() {
    let table = embedded_table().await;
    table.put_items([conversation_item()]).await;
    table.move_to_top_of_participants_lists("c1", time(NOW)).await.unwrap();
    assert_eq!(table.stored_json("PARTICIPANT#anybody").await, json!(null));
}

fn participant_item(user: &str) -> Item {
    let mut item = map([("access", string("READ")), ("listSort", string("2026-11-01T00:00:00.000Z#c1"))]);
    item.extend(key("CONVERSATION#c1", &format!("PARTICIPANT#{user}")));
    item
}
