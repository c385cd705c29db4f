use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::{
    Client,
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};

use super::*;

const DELETED: &str = "2026-11-21T09:00:00.000Z";

#[tokio::test]
async fn a_deleted_conversation_is_purged_with_the_batches_of_its_turns_and_no_others() {
    let table = table().await;
    let others = conversation("c2", None);
    table.put(others.clone()).await;
    table.put(conversation("c1", Some(DELETED))).await;
    table.purge("c1", now()).await.unwrap();
    assert_eq!(sorted(table.all().await), sorted(others.into_iter().chain([tombstone()]).collect()));
}

#[tokio::test]
async fn a_tombstone_keeps_the_id_of_what_is_purged_for_two_days() {
    let table = table().await;
    let owned = with(meta("c1", "2026-11-20", Some(DELETED)), "owner", text("https://id.example.com#ann"));
    let listed = with(with(owned, "listKey", text("OWNER#ann")), "listSort", text("2026-11-20#c1"));
    table.put([with(listed, "title", text("A secret"))]).await;
    for _ in 0..2 {
        table.purge("c1", now()).await.unwrap();
        assert_eq!(table.all().await, [tombstone()]);
    }
}

#[tokio::test]
async fn turns_go_first_so_that_a_handler_at_work_stops() {
    let table = table().await;
    table.put(conversation("c1", Some(DELETED))).await;
    let deletions = Deletions::default();
    let config = table.client.config().to_builder().interceptor(deletions.clone());
    let watched = Table { client: Client::from_conf(config.build()), name: table.name.clone() };
    watched.purge("c1", now()).await.unwrap();
    let turns = ["TURN#t3", "TURN#t2", "TURN#t1"];
    let deleted = deletions.0.lock().unwrap();
    let first = deleted.iter().find(|sorts| sorts.iter().any(|sort| !sort.starts_with("000001#"))).unwrap();
    assert!(turns.iter().all(|turn| first.iter().any(|sort| sort == turn)), "{first:?}");
}

#[tokio::test]
async fn a_conversation_that_is_not_deleted_is_not_purged() {
    let table = table().await;
    let items = conversation("c1", None);
    table.put(items.clone()).await;
    table.purge("c1", now()).await.unwrap();
    assert_eq!(sorted(table.all().await), sorted(items));
}

#[tokio::test]
async fn what_is_said_during_a_purge_is_purged_too() {
    let late =
        [item(&batches_partition("c1", "t1"), "000001#000001"), item(&conversation_partition("c1"), "EVENT#00000002")];
    let (table, database) = table_and_database().await;
    table.put([meta("c1", "2026-11-20", Some(DELETED)), turn("RUNNING", None, FAR)]).await;
    table.interrupted("BatchWriteItem", &database, &late).purge("c1", now()).await.unwrap();
    assert_eq!(table.all().await, [tombstone()]);
}

#[tokio::test]
async fn a_conversation_that_takes_the_id_during_a_purge_stays() {
    for operation in ["Query", "PutItem"] {
        let (table, database) = table_and_database().await;
        table.put([meta("c1", "2026-11-20", Some(DELETED))]).await;
        let taken = [meta("c1", "2026-11-22", None), item(&conversation_partition("c1"), "TURN#t9")];
        table.interrupted(operation, &database, &taken).purge("c1", now()).await.unwrap();
        assert_eq!(sorted(table.all().await), taken, "{operation}");
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(NOW)
}

fn tombstone() -> Item {
    let kept = item(&conversation_partition("c1"), "META");
    with(with(kept, "deletedAt", text(DELETED)), "expiresAt", number(NOW / 1000 + 2 * 86_400))
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

/// The sort keys that each call deletes.
#[derive(Clone, Debug, Default)]
struct Deletions(Arc<Mutex<Vec<Vec<String>>>>);

impl Intercept for Deletions {
    fn name(&self) -> &'static str {
        "deletions"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body: serde_json::Value = serde_json::from_slice(context.request().body().bytes().unwrap())?;
        let requests = body["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values());
        let sorts = requests.filter_map(serde_json::Value::as_array).flatten();
        let sorts: Vec<_> = sorts
            .filter_map(|request| request["DeleteRequest"]["Key"]["sk"]["S"].as_str().map(str::to_owned))
            .collect();
        if !sorts.is_empty() {
            self.0.lock().unwrap().push(sorts);
        }
        Ok(())
    }
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
