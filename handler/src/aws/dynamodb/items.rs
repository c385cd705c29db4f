//! Items as DynamoDB returns them, and the events in them.
use std::{collections::HashMap, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer};
use turn::words::{ContentBlock, ConversationEvent, Sender};

use super::TableError;

pub type Item = HashMap<String, AttributeValue>;

pub fn event(item: &Item) -> Result<ConversationEvent, TableError> {
    let optional = |name| text_in(item, name).map(str::to_owned);
    Ok(ConversationEvent {
        id: needed("event", "id", optional("id"))?,
        position: needed("event", "position", number_in(item, "position"))?,
        turn_id: optional("turnId"),
        attempt: number_in(item, "attempt"),
        sender: needed("event", "sender", sender(item))?,
        content: content(item),
        superseded: item.get("superseded").and_then(|value| value.as_bool().ok().copied()),
        created_at: optional("createdAt"),
    })
}

fn sender(item: &Item) -> Option<Sender> {
    let sender = item.get("sender")?.as_m().ok()?;
    let optional = |name| text_in(sender, name).map(str::to_owned);
    Some(Sender { kind: word(text_in(sender, "kind")?)?, id: optional("id"), name: optional("name") })
}

fn content(item: &Item) -> Vec<ContentBlock> {
    let blocks = item.get("content").and_then(|value| value.as_l().ok()).into_iter().flatten();
    let texts = blocks.filter_map(|block| text_in(block.as_m().ok()?, "text"));
    texts.map(ContentBlock::text).collect()
}

pub fn text_in<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub fn number_in<N: FromStr>(item: &Item, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// One of our enums, spelled as the schema spells it.
pub fn word<W: DeserializeOwned>(spelled: &str) -> Option<W> {
    let spelled: StrDeserializer<serde::de::value::Error> = spelled.into_deserializer();
    W::deserialize(spelled).ok()
}

pub fn needed<T>(item: &'static str, attribute: &'static str, value: Option<T>) -> Result<T, TableError> {
    value.ok_or(TableError::Item { item, attribute })
}
