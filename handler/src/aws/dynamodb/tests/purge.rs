use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};
use serde_json::Value;

use crate::aws::dynamodb::test_support::{
    FAR, Item, NOW, embedded_table, embedded_table_and_database, key, number, other_event_item, sorted_by_key, string,
    time, turn_item, with,
};

const DELETED_AT: &str = "2026-11-21T09:00:00.000Z";

#[tokio::test]
async fn purge_deletes_the_conversation_and_no_other() {
    let table = embedded_table().await;
    let other = conversation_items("c2", None);
    table.put_items(other.clone()).await;
    table.put_items(conversation_items("c1", Some(DELETED_AT))).await;
    table.purge_conversation("c1", time(NOW)).await.unwrap();
    let expected = other.into_iter().chain([tombstone()]).collect();
    assert_eq!(sorted_by_key(table.all_items().await), sorted_by_key(expected));
}

#[tokio::test]
async fn tombstone_keeps_only_the_id_for_two_days() {
    let table = embedded_table().await;
    let deleted = meta_item("c1", "2026-11-20", Some(DELETED_AT));
    let deleted = with(deleted, "owner", string("https://id.example.com#ann"));
    let deleted = with(deleted, "listKey", string("OWNER#ann"));
    let deleted = with(deleted, "listSort", string("2026-11-20#c1"));
    table.put_items([with(deleted, "title", string("A secret"))]).await;
    for _ in 0..2 {
        table.purge_conversation("c1", time(NOW)).await.unwrap();
        assert_eq!(table.all_items().await, [tombstone()]);
    }
}

#[tokio::test]
async fn turns_are_deleted_before_events() {
    let table = embedded_table().await;
    table.put_items(conversation_items("c1", Some(DELETED_AT))).await;
    let recorder = DeleteRecorder::default();
    table.intercepted(recorder.clone()).purge_conversation("c1", time(NOW)).await.unwrap();
    let calls = recorder.0.lock().unwrap();
    let is_batch = |sort_key: &String| sort_key.starts_with("000001#");
    let first = calls.iter().find(|sort_keys| !sort_keys.iter().all(is_batch)).unwrap();
    for turn in ["TURN#t3", "TURN#t2", "TURN#t1"] {
        assert!(first.iter().any(|sort_key| sort_key == turn), "{first:?}");
    }
}

#[tokio::test]
async fn conversation_that_is_not_deleted_is_not_purged() {
    let table = embedded_table().await;
    let items = conversation_items("c1", None);
    table.put_items(items.clone()).await;
    table.purge_conversation("c1", time(NOW)).await.unwrap();
    assert_eq!(sorted_by_key(table.all_items().await), sorted_by_key(items));
}

#[tokio::test]
async fn items_written_during_a_purge_are_purged() {
    let late = [key("TURN#c1#t1", "000001#000001"), key("CONVERSATION#c1", "EVENT#00000002")];
    let (table, database) = embedded_table_and_database().await;
    table.put_items([meta_item("c1", "2026-11-20", Some(DELETED_AT)), turn_item("RUNNING", None, FAR)]).await;
    let table_with_writer = table.writing_before_first("BatchWriteItem", &database, &late);
    table_with_writer.purge_conversation("c1", time(NOW)).await.unwrap();
    assert_eq!(table.all_items().await, [tombstone()]);
}

#[tokio::test]
async fn new_conversation_under_the_same_id_is_not_purged() {
    for operation in ["Query", "PutItem"] {
        let (table, database) = embedded_table_and_database().await;
        table.put_items([meta_item("c1", "2026-11-20", Some(DELETED_AT))]).await;
        let new = [meta_item("c1", "2026-11-22", None), key("CONVERSATION#c1", "TURN#t9")];
        let table_with_writer = table.writing_before_first(operation, &database, &new);
        table_with_writer.purge_conversation("c1", time(NOW)).await.unwrap();
        assert_eq!(sorted_by_key(table.all_items().await), new, "{operation}");
    }
}

fn tombstone() -> Item {
    let item = with(key("CONVERSATION#c1", "META"), "deletedAt", string(DELETED_AT));
    with(item, "expiresAt", number(NOW / 1000 + 2 * 86_400))
}

fn meta_item(id: &str, created_at: &str, deleted_at: Option<&str>) -> Item {
    let item = with(key(&format!("CONVERSATION#{id}"), "META"), "createdAt", string(created_at));
    match deleted_at {
        Some(deleted_at) => with(item, "deletedAt", string(deleted_at)),
        None => item,
    }
}

/// A conversation with 70 events and three turns of 60 batches each.
fn conversation_items(id: &str, deleted_at: Option<&str>) -> Vec<Item> {
    let mut items = vec![meta_item(id, "2026-11-20", deleted_at)];
    items.extend((1..=70).map(|position| other_event_item(id, position)));
    for turn in ["t1", "t2", "t3"] {
        items.push(key(&format!("CONVERSATION#{id}"), &format!("TURN#{turn}")));
        let batches = format!("TURN#{id}#{turn}");
        items.extend((1..=60).map(|sequence| key(&batches, &format!("000001#{sequence:06}"))));
    }
    items
}

/// Records the sort keys that each call deletes.
#[derive(Clone, Debug, Default)]
struct DeleteRecorder(Arc<Mutex<Vec<Vec<String>>>>);

impl Intercept for DeleteRecorder {
    fn name(&self) -> &'static str {
        "delete recorder"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body: Value = serde_json::from_slice(context.request().body().bytes().unwrap())?;
        let tables = body["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values());
        let sort_keys: Vec<_> = tables
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(|request| request["DeleteRequest"]["Key"]["sk"]["S"].as_str())
            .map(str::to_owned)
            .collect();
        if !sort_keys.is_empty() {
            self.0.lock().unwrap().push(sort_keys);
        }
        Ok(())
    }
}
