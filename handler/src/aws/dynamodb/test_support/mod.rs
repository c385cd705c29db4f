//! Fixtures for tests: an embedded table, items of one turn, and interceptors of the table's calls.
mod embedded_table;
pub mod interceptors;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use api::types::TurnStatus;
use serde::Deserialize;
use serde_json::Value;
use turn::claim::{Claim, RunId};
use uuid::Uuid;

use super::{attributes::attribute, keys};

pub use super::{
    attributes::{Item, boolean, number, string},
    keys::usage_key,
};
pub use aws_sdk_dynamodb::types::AttributeValue;
pub use embedded_table::{embedded_table, embedded_table_and_database};

/// The time of most tests, in milliseconds since 1970.
pub const NOW: u64 = 1_795_000_000_000;
/// A time after everything that happens in a test.
pub const FAR: u64 = 9_999_999_999_999;
pub const HOLDER: Uuid = Uuid::from_u128(7);

pub fn time(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
}

/// A row of the table that the resolvers are tested against as well.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusCase {
    pub status: TurnStatus,
    lease_until: Option<u64>,
    claimable_until: u64,
    pending_until: Option<u64>,
    pub now: u64,
    pub claimable: bool,
    pub fenced: bool,
}

impl StatusCase {
    pub fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../../../../../tests/effective-status.json")).unwrap()
    }

    pub fn turn_item(&self) -> Item {
        let item = turn_item("QUEUED", self.lease_until, self.claimable_until);
        let item = with(item, "status", attribute(self.status));
        match self.pending_until {
            Some(pending_until) => with(item, "pendingUntil", number(pending_until)),
            None => item,
        }
    }
}

/// Whether conversation c1 awaits event 8, the next one of [`turn_item`]. A row of the table that the
/// resolvers are tested against as well.
#[derive(Debug, Deserialize)]
pub struct ConversationCase {
    pub name: String,
    conversation: Option<BTreeMap<String, Value>>,
    pub awaits: bool,
}

impl ConversationCase {
    pub fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../../../../../tests/conversation-awaits-turn.json")).unwrap()
    }

    pub fn conversation_item(&self) -> Option<Item> {
        let attributes = self.conversation.as_ref()?;
        let mut item = keys::conversation_key("c1");
        item.extend(attributes.iter().map(|(name, value)| (name.clone(), attribute(value))));
        Some(item)
    }
}

/// Turn t1 of conversation c1. Its question is event 7, and it has no answer yet.
pub fn turn_item(status: &str, lease_until: Option<u64>, claimable_until: u64) -> Item {
    let mut item = keys::turn_key("c1", "t1");
    item.extend(map([
        ("status", string(status)),
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
    match lease_until {
        Some(lease_until) => with(item, "leaseUntil", number(lease_until)),
        None => item,
    }
}

/// Conversation c1 while turn t1 is its active one.
pub fn conversation_item() -> Item {
    let mut item = keys::conversation_key("c1");
    item.extend(map([
        ("agentId", string("default")),
        ("eventCount", number(7)),
        ("activeTurnId", string("t1")),
        ("createdAt", string("2026-11-20T09:00:00.000Z")),
    ]));
    item
}

/// An agent's event of turn t1 with the text `So.`.
pub fn answer_item(position: u32, attempt: u32) -> Item {
    let mut item = keys::event_key("c1", position);
    item.extend(map([
        ("id", string(format!("t1-{attempt}-{position}"))),
        ("conversationId", string("c1")),
        ("position", number(position)),
        ("turnId", string("t1")),
        ("attempt", number(attempt)),
        ("sender", AttributeValue::M(map([("kind", string("AGENT"))]))),
        ("content", content("So.")),
        ("createdAt", string("2026-11-21T09:00:00.000Z")),
    ]));
    item
}

/// A batch of turn t1.
pub fn batch_item(attempt: u32, sequence: u32, text: &str) -> Item {
    let mut item = key(&keys::batches_partition("c1", "t1"), &keys::batch_sort_key(attempt, sequence));
    item.extend(map([("sequence", number(sequence)), ("contentBlockIndex", number(0)), ("text", string(text))]));
    item
}

/// A superseded agent's event of a turn of its own.
pub fn other_event_item(conversation_id: &str, position: u32) -> Item {
    let mut item = keys::event_key(conversation_id, position);
    let sender = map([("kind", string("AGENT")), ("name", AttributeValue::Null(true))]);
    item.extend(map([
        ("id", string(format!("e{position}"))),
        ("conversationId", string(conversation_id)),
        ("position", number(position)),
        ("turnId", string(format!("t{position}"))),
        ("attempt", number(2)),
        ("sender", AttributeValue::M(sender)),
        ("content", content("Answer\r\n👩‍👩‍👧")),
        ("superseded", boolean(true)),
        ("createdAt", string("2026-11-21T09:00:00.000Z")),
    ]));
    item
}

/// The content of an event with one block of text.
pub fn content(text: &str) -> AttributeValue {
    AttributeValue::L(vec![AttributeValue::M(map([("text", string(text))]))])
}

pub fn run_id(run: u32) -> RunId {
    RunId { conversation_id: "c1".into(), turn_id: "t1".into(), run }
}

/// The claim of the attempt that [`turn_item`] counts last.
pub fn claim() -> Claim {
    Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 1, last_position: 7 }
}

/// An item with nothing but its key.
pub fn key(partition: &str, sort: &str) -> Item {
    map([("pk", string(partition)), ("sk", string(sort))])
}

pub fn with(mut item: Item, name: &str, value: AttributeValue) -> Item {
    item.insert(name.to_owned(), value);
    item
}

pub fn map<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

pub fn sorted_by_key(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by_key(|item| (item["pk"].as_s().unwrap().clone(), item["sk"].as_s().unwrap().clone()));
    items
}
