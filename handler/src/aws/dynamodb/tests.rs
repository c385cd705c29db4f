//! Against an embedded DynamoDB, over HTTP, as the SDK speaks.
use std::{
    sync::Mutex,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, ConfigBag, Intercept, Region, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
    types::{AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType, WriteRequest},
};
use dynoxide::Database;
use turn::{
    claim::Refusal,
    request::TurnRequest,
    transcript::OlderEvents,
    words::{ContentBlock, SenderKind},
};

use super::{Table, batches_key, conversation_key, items::Item, number, text};

const NOW: u64 = 1_795_000_000_000;
const FAR: u64 = 9_999_999_999_999;

#[tokio::test]
async fn a_queued_turn_is_claimed_once_while_its_lease_lives() {
    let table = table().await;
    table.put([turn("QUEUED", None, FAR)]).await;
    let claim = table.claim(&request(1), at(NOW)).await.unwrap().unwrap();
    assert_eq!((claim.run, claim.attempt, claim.last_position), (1, 1, 7));
    let stored = table.all().await.remove(0);
    assert_eq!(
        (stored["status"].as_s().unwrap().as_str(), stored["lastSequence"].as_n().unwrap().as_str()),
        ("RUNNING", "0")
    );
    assert_eq!(table.claim(&request(1), at(NOW + 29_999)).await.unwrap(), Err(Refusal::Leased));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_still_ours() {
    let table = table().await;
    table.put([turn("QUEUED", None, FAR)]).await;
    let claim = table.claim(&request(1), at(NOW)).await.unwrap();
    let claimed = table.all().await;
    assert_eq!(table.claim(&request(1), at(NOW)).await.unwrap(), claim);
    assert_eq!(table.all().await, claimed);
    assert_eq!(table.claim(&request(2), at(NOW)).await.unwrap(), Err(Refusal::OtherRun));
}

#[tokio::test]
async fn a_turn_whose_lease_has_run_out_is_claimed_for_the_next_attempt() {
    let table = table().await;
    table.put([turn("RUNNING", Some(1), FAR)]).await;
    assert_eq!(table.claim(&request(1), at(NOW)).await.unwrap().unwrap().attempt, 1);
    table.put([with(turn("RUNNING", Some(1), FAR), "attempt", number(4))]).await;
    assert_eq!(table.claim(&request(1), at(NOW)).await.unwrap().unwrap().attempt, 5);
}

#[tokio::test]
async fn a_claim_that_is_refused_changes_nothing_and_says_why() {
    let table = table().await;
    assert_eq!(table.claim(&request(1), at(NOW)).await.unwrap(), Err(Refusal::Gone));
    for (stored, run, expected) in [
        (turn("QUEUED", None, FAR), 2, Refusal::OtherRun),
        (turn("COMPLETED", None, FAR), 1, Refusal::Ended),
        (turn("CANCELLING", Some(1), FAR), 1, Refusal::Cancelled),
        (turn("QUEUED", None, 1), 1, Refusal::TooLate),
        (turn("RUNNING", Some(FAR), FAR), 1, Refusal::Leased),
    ] {
        table.put([stored.clone()]).await;
        assert_eq!(table.claim(&request(run), at(NOW)).await.unwrap(), Err(expected));
        assert_eq!(table.all().await, [stored]);
    }
}

#[tokio::test]
async fn older_events_come_in_order_and_nothing_else_with_them() {
    let table = table().await;
    table.put((1..=40).map(|position| event("c1", position))).await;
    table.put([turn("QUEUED", None, FAR), item(&conversation_key("c1"), "META"), event("c2", 9)]).await;
    for (before, at_most, expected) in [(31, 10, 21..=30), (3, 10, 1..=2), (41, 1000, 1..=40)] {
        let events = table.events_before("c1", OlderEvents { before, at_most }).await.unwrap();
        assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    let newest = table.events_before("c1", OlderEvents { before: 41, at_most: 1 }).await.unwrap().remove(0);
    assert_eq!((newest.id.as_str(), newest.turn_id.as_deref(), newest.attempt), ("e40", Some("t40"), Some(2)));
    assert_eq!((newest.sender.kind, newest.sender.name.as_deref()), (SenderKind::Agent, None));
    assert_eq!(newest.content, [ContentBlock::text("Said\r\n👩‍👩‍👧")]);
    assert_eq!((newest.superseded, newest.created_at.as_deref()), (Some(true), None));
}

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
    let late = [item(&batches_key("c1", "t1"), "001#000001"), item(&conversation_key("c1"), "EVENT#00000002")];
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
        let taken = [meta("c1", "2026-11-22", deleted_at), item(&conversation_key("c1"), "TURN#t9")];
        table.interrupted(operation, &database, &taken).purge("c1").await.unwrap();
        assert_eq!(sorted(table.all().await), taken, "{operation}");
    }
}

fn meta(id: &str, created_at: &str, deleted_at: Option<&str>) -> Item {
    let meta = with(item(&conversation_key(id), "META"), "createdAt", text(created_at));
    deleted_at.map_or(meta.clone(), |at| with(meta, "deletedAt", text(at)))
}

fn conversation(id: &str, deleted_at: Option<&str>) -> Vec<Item> {
    let meta = meta(id, "2026-11-20", deleted_at);
    let turns = ["t1", "t2", "t3"];
    let batches = turns
        .into_iter()
        .flat_map(|turn| (1..=60).map(move |sequence| item(&batches_key(id, turn), &format!("001#{sequence:06}"))));
    let turns = turns.into_iter().map(|turn| item(&conversation_key(id), &format!("TURN#{turn}")));
    (1..=70).map(|position| event(id, position)).chain(batches).chain(turns).chain([meta]).collect()
}

fn event(conversation: &str, position: u32) -> Item {
    let mut event = item(&conversation_key(conversation), &format!("EVENT#{position:08}"));
    let sender = [("kind", text("AGENT")), ("name", AttributeValue::Null(true))];
    let block = [("text", text("Said\r\n👩‍👩‍👧"))];
    event.extend(named([
        ("id", text(format!("e{position}"))),
        ("position", number(position)),
        ("turnId", text(format!("t{position}"))),
        ("attempt", number(2)),
        ("sender", AttributeValue::M(named(sender))),
        ("content", AttributeValue::L(vec![AttributeValue::M(named(block))])),
        ("superseded", AttributeValue::Bool(true)),
        ("createdAt", AttributeValue::Null(true)),
    ]));
    event
}

fn turn(status: &str, lease_until: Option<u64>, claimable_until: u64) -> Item {
    let mut turn = item(&conversation_key("c1"), "TURN#t1");
    turn.extend(named([
        ("status", text(status)),
        ("run", number(1)),
        ("attempt", number(0)),
        ("lastPosition", number(7)),
        ("claimableUntil", number(claimable_until)),
    ]));
    lease_until.map_or(turn.clone(), |until| with(turn, "leaseUntil", number(until)))
}

fn item(partition: &str, sort: &str) -> Item {
    named([("pk", text(partition)), ("sk", text(sort))])
}

fn with(mut item: Item, name: &str, value: AttributeValue) -> Item {
    item.insert(name.to_owned(), value);
    item
}

fn named<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

fn sorted(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by_key(|item| (item["pk"].as_s().unwrap().clone(), item["sk"].as_s().unwrap().clone()));
    items
}

fn request(run: u32) -> TurnRequest {
    let written = serde_json::json!({
        "conversationId": "c1", "turnId": "t1", "run": run,
        "agent": { "id": "default", "version": 0, "modelId": "any", "contextBytes": 400_000 },
        "question": { "id": "t1", "position": 7, "sender": { "kind": "USER" } },
    });
    serde_json::from_value(written).unwrap()
}

impl Table {
    async fn put(&self, items: impl IntoIterator<Item = Item>) {
        let put = |item| PutRequest::builder().set_item(Some(item)).build().unwrap();
        let put = |item| WriteRequest::builder().put_request(put(item)).build();
        let requests: Vec<_> = items.into_iter().map(put).collect();
        for requests in requests.chunks(25) {
            let call = self.client.batch_write_item().request_items(&self.name, requests.to_vec());
            call.send().await.unwrap();
        }
    }

    async fn all(&self) -> Vec<Item> {
        self.client.scan().table_name(&self.name).send().await.unwrap().items.unwrap_or_default()
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

async fn table() -> Table {
    table_and_database().await.0
}

/// An empty one, on a port of its own, for as long as the test's runtime.
async fn table_and_database() -> (Table, Database) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), std::future::pending()));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    let table = Table { client: Client::from_conf(config), name: "parlance".into() };
    table.create().await;
    (table, database)
}

/// Milliseconds since 1970.
fn at(now: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(now)
}

impl Table {
    async fn create(&self) {
        let key = |name, key_type| KeySchemaElement::builder().attribute_name(name).key_type(key_type).build().unwrap();
        let attribute = |name| {
            aws_sdk_dynamodb::types::AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap()
        };
        let table = self.client.create_table().table_name(&self.name).billing_mode(BillingMode::PayPerRequest);
        let table = table.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
        table.attribute_definitions(attribute("pk")).attribute_definitions(attribute("sk")).send().await.unwrap();
    }
}
