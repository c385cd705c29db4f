//! Against an embedded DynamoDB, over HTTP, as the SDK speaks.
mod claim;
mod close_write;
mod direct_write;
mod purge;
mod reads;
mod replaced_responses;
mod usage;

use std::time::{Duration, SystemTime};

use api::types::TurnStatus;
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region},
    types::{BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType, WriteRequest},
};
use dynoxide::Database;
use serde::Deserialize;
use serde_json::{Value, json};
use turn::claim::{Claim, RunId};
use uuid::Uuid;

pub use super::{
    items::{Item, number, text},
    keys::day_key,
};
pub use aws_sdk_dynamodb::types::AttributeValue;
pub use replaced_responses::CANCELLED;

use crate::clock::Clock;

use super::{
    Table,
    items::text_in,
    keys::{batches_partition, conversation_partition, event_key, meta_key, turn_key},
};

pub const NOW: u64 = 1_795_000_000_000;
pub const FAR: u64 = 9_999_999_999_999;
pub const HOLDER: Uuid = Uuid::from_u128(7);

/// One row of the table that the resolvers are held to as well.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    status: TurnStatus,
    lease_until: Option<u64>,
    claimable_until: u64,
    now: u64,
    claimable: bool,
    fenced: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../../../../../tests/effective-status.json")).unwrap()
    }

    fn turn(&self) -> Item {
        turn(&super::items::spelled(self.status), self.lease_until, self.claimable_until)
    }
}

/// What another turn has left.
fn event(conversation: &str, position: u32) -> Item {
    let mut event = item(&conversation_partition(conversation), &format!("EVENT#{position:08}"));
    let sender = [("kind", text("AGENT")), ("name", AttributeValue::Null(true))];
    let block = [("text", text("Said\r\n👩‍👩‍👧"))];
    event.extend(named([
        ("id", text(format!("e{position}"))),
        ("conversationId", text(conversation)),
        ("position", number(position)),
        ("turnId", text(format!("t{position}"))),
        ("attempt", number(2)),
        ("sender", AttributeValue::M(named(sender))),
        ("content", AttributeValue::L(vec![AttributeValue::M(named(block))])),
        ("superseded", AttributeValue::Bool(true)),
        ("createdAt", text("2026-11-21T09:00:00.000Z")),
    ]));
    event
}

/// The seventh event of the conversation asked, and nothing has been said since.
pub fn turn(status: &str, lease_until: Option<u64>, claimable_until: u64) -> Item {
    let mut turn = turn_key("c1", "t1");
    turn.extend(named([
        ("status", text(status)),
        ("run", number(1)),
        ("attempt", number(1)),
        ("questionPosition", number(7)),
        ("answerPosition", number(7)),
        ("runPosition", number(7)),
        ("lastPosition", number(7)),
        ("lastSequence", number(0)),
        ("lastEventSequence", number(0)),
        ("claimableUntil", number(claimable_until)),
    ]));
    lease_until.map_or(turn.clone(), |until| with(turn, "leaseUntil", number(until)))
}

/// The conversation while it waits for that turn.
pub fn busy() -> Item {
    let mut meta = meta_key("c1");
    meta.extend(named([
        ("agentId", text("default")),
        ("eventCount", number(7)),
        ("activeTurnId", text("t1")),
        ("createdAt", text("2026-11-20T09:00:00.000Z")),
    ]));
    meta
}

/// An event of that turn that an attempt has said.
pub fn said(position: u32, attempt: u32) -> Item {
    let mut event = event_key("c1", position);
    event.extend(named([
        ("id", text(format!("t1-{attempt}-{position}"))),
        ("conversationId", text("c1")),
        ("position", number(position)),
        ("turnId", text("t1")),
        ("attempt", number(attempt)),
        ("sender", AttributeValue::M(named([("kind", text("AGENT"))]))),
        ("content", AttributeValue::L(vec![AttributeValue::M(named([("text", text("So."))]))])),
        ("createdAt", text("2026-11-21T09:00:00.000Z")),
    ]));
    event
}

pub fn batch(attempt: u32, sequence: u32, said: &str) -> Item {
    let mut batch = item(&batches_partition("c1", "t1"), &super::keys::batch_sort(attempt, sequence));
    batch.extend(named([("sequence", number(sequence)), ("contentBlockIndex", number(0)), ("text", text(said))]));
    batch
}

pub fn order(run: u32) -> RunId {
    RunId { conversation_id: "c1".into(), turn_id: "t1".into(), run }
}

fn mine() -> Claim {
    Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 1, last_position: 7 }
}

fn item(partition: &str, sort: &str) -> Item {
    named([("pk", text(partition)), ("sk", text(sort))])
}

pub fn with(mut item: Item, name: &str, value: AttributeValue) -> Item {
    item.insert(name.to_owned(), value);
    item
}

pub fn named<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

/// As AppSync shows it to resolvers.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => json!(number.parse::<i64>().unwrap()),
        AttributeValue::Bool(flag) => json!(flag),
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(members) => members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        _ => Value::Null,
    }
}

fn sorted(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by_key(|item| (item["pk"].as_s().unwrap().clone(), item["sk"].as_s().unwrap().clone()));
    items
}

impl Table {
    pub async fn put(&self, items: impl IntoIterator<Item = Item>) {
        let put = |item| PutRequest::builder().set_item(Some(item)).build().unwrap();
        let put = |item| WriteRequest::builder().put_request(put(item)).build();
        let requests: Vec<_> = items.into_iter().map(put).collect();
        for requests in requests.chunks(25) {
            let call = self.client.batch_write_item().request_items(&self.name, requests.to_vec());
            call.send().await.unwrap();
        }
    }

    pub async fn all(&self) -> Vec<Item> {
        self.client.scan().table_name(&self.name).send().await.unwrap().items.unwrap_or_default()
    }

    async fn clear(&self) {
        for item in self.all().await {
            let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone()));
            self.client.delete_item().table_name(&self.name).set_key(Some(key.into())).send().await.unwrap();
        }
    }

    /// An item as plain JSON, without its key.
    pub async fn stored(&self, sort: &str) -> Value {
        let all = self.all().await;
        let Some(item) = all.iter().find(|item| text_in(item, "sk") == Some(sort)) else { return Value::Null };
        let attributes = item.iter().filter(|(name, _)| !matches!(name.as_str(), "pk" | "sk"));
        attributes.map(|(name, value)| (name.clone(), plain(value))).collect()
    }
}

pub async fn table() -> Table {
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
    let table = Table::with_client(Client::from_conf(config), "parlance");
    table.create().await;
    (table, database)
}

/// Stands still.
fn clock(now: u64) -> Clock {
    Clock::standing_at(at(now))
}

/// Milliseconds since 1970.
pub fn at(now: u64) -> SystemTime {
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
