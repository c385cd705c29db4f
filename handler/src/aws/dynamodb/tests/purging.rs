use std::sync::Mutex;

use aws_sdk_dynamodb::{
    Client,
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};

use super::*;

#[tokio::test]
async fn a_deleted_conversation_is_purged_with_the_batches_of_its_turns_and_no_others() {
    let table = table().await;
    let others = conversation("c2", None);
    table.put(others.clone()).await;
    table.put(conversation("c1", Some("2026-11-21T09:00:00.000Z"))).await;
    table.purge("c1").await.unwrap();
    assert_eq!(sorted(table.all().await), sorted(others));
    table.purge("c1").await.unwrap();
}

#[tokio::test]
async fn a_conversation_that_is_not_deleted_is_not_purged() {
    let table = table().await;
    let items = conversation("c1", None);
    table.put(items.clone()).await;
    table.purge("c1").await.unwrap();
    assert_eq!(sorted(table.all().await), sorted(items));
}

#[tokio::test]
async fn what_is_said_during_a_purge_is_purged_too() {
    let late =
        [item(&batches_partition("c1", "t1"), "000001#000001"), item(&conversation_partition("c1"), "EVENT#00000002")];
    let (table, database) = table_and_database().await;
    table.put([meta("c1", "2026-11-20", Some("2026-11-21")), turn("RUNNING", None, FAR)]).await;
    table.interrupted("BatchWriteItem", &database, &late).purge("c1").await.unwrap();
    assert_eq!(table.all().await, []);
}

#[tokio::test]
async fn a_conversation_that_takes_the_id_during_a_purge_stays() {
    for (operation, deleted_at) in [("Query", None), ("DeleteItem", None), ("DeleteItem", Some("2026-11-23"))] {
        let (table, database) = table_and_database().await;
        table.put([meta("c1", "2026-11-20", Some("2026-11-21"))]).await;
        let taken = [meta("c1", "2026-11-22", deleted_at), item(&conversation_partition("c1"), "TURN#t9")];
        table.interrupted(operation, &database, &taken).purge("c1").await.unwrap();
        assert_eq!(sorted(table.all().await), taken, "{operation}");
    }
}

fn meta(id: &str, created_at: &str, deleted_at: Option<&str>) -> Item {
    let meta = with(item(&conversation_partition(id), "META"), "createdAt", text(created_at));
    deleted_at.map_or(meta.clone(), |at| with(meta, "deletedAt", text(at)))
}

fn conversation(id: &str, deleted_at: Option<&str>) -> Vec<Item> {
    let meta = meta(id, "2026-11-20", deleted_at);
    let turns = ["t1", "t2", "t3"];
    let batches = turns.into_iter().flat_map(|turn| {
        (1..=60).map(move |sequence| item(&batches_partition(id, turn), &format!("000001#{sequence:06}")))
    });
    let turns = turns.into_iter().map(|turn| item(&conversation_partition(id), &format!("TURN#{turn}")));
    (1..=70).map(|position| event(id, position)).chain(batches).chain(turns).chain([meta]).collect()
}

/// Writes items right before the first call of an operation leaves.
struct Interruption {
    target: String,
    writes: Mutex<Vec<serde_json::Value>>,
    database: Database,
}

impl std::fmt::Debug for Interruption {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.target)
    }
}

impl Intercept for Interruption {
    fn name(&self) -> &'static str {
        "interruption"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.request().headers().get("x-amz-target") == Some(&self.target) {
            for write in self.writes.lock().unwrap().drain(..) {
                self.database.put_item(serde_json::from_value(write).unwrap()).unwrap();
            }
        }
        Ok(())
    }
}

impl Table {
    fn interrupted(&self, operation: &str, database: &Database, items: &[Item]) -> Self {
        let written = |(name, value): (&String, &AttributeValue)| {
            (name.clone(), serde_json::json!({ "S": value.as_s().unwrap() }))
        };
        let write = |item: &Item| {
            let item: serde_json::Map<_, _> = item.iter().map(written).collect();
            serde_json::json!({ "TableName": self.name, "Item": item })
        };
        let interruption = Interruption {
            target: format!("DynamoDB_20120810.{operation}"),
            writes: Mutex::new(items.iter().map(write).collect()),
            database: database.clone(),
        };
        let config = self.client.config().to_builder().interceptor(interruption).build();
        Self { client: Client::from_conf(config), name: self.name.clone() }
    }
}
