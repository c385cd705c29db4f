//! A replica that lags behind the database: the source of stale reads.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use dynoxide::{Database, DynoxideError, Item, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fault_points::FaultyCall;
use crate::stack::Table;

/// The number of newest writes that the replica does not have. DynamoDB's replicas usually lag less than a
/// second.
const LAG_WRITES: usize = 4;

pub struct StaleReplica {
    pub database: Database,
    /// The names of each table's key attributes.
    key_names: BTreeMap<String, Vec<String>>,
    /// The results of the newest writes, oldest first.
    pending: Mutex<VecDeque<Vec<ItemImage>>>,
}

/// The item that a write left at a key; `None` if it left no item.
struct ItemImage {
    key: ItemKey,
    item: Option<Item>,
}

/// The table and the key attributes of an item.
pub struct ItemKey {
    table: String,
    attributes: Item,
}

impl StaleReplica {
    /// Copies all items of the database.
    pub fn copy_of(original: &Database, tables: &BTreeMap<String, Table>) -> Result<Self> {
        let database = Database::memory()?;
        for (name, table) in tables {
            database.create_table(parse_request(table.definition.clone())?)?;
            copy_items(original, &database, name)?;
        }
        let key_names = tables.iter().map(|(name, table)| (name.clone(), key_names(&table.definition))).collect();
        Ok(Self { database, key_names, pending: Mutex::default() })
    }

    /// The keys of the items that a call writes.
    pub fn written_keys(&self, call: &impl FaultyCall) -> Vec<ItemKey> {
        call.writes().into_iter().filter_map(|(table, item)| self.item_key(table, item)).collect()
    }

    fn item_key(&self, table: &str, item: &Item) -> Option<ItemKey> {
        let names = self.key_names.get(table)?;
        let attributes = item.iter().filter(|(name, _)| names.contains(name));
        let attributes = attributes.map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(ItemKey { table: table.to_owned(), attributes })
    }

    /// Records the results of a write and applies the oldest recorded write to the replica. Reads the results
    /// under the lock, so that an older image never follows a newer one.
    pub fn replicate(&self, original: &Database, written_keys: Vec<ItemKey>) -> Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let images = written_keys.into_iter().map(|key| read_image(original, key));
        pending.push_back(images.collect::<Result<_>>()?);
        while pending.len() > LAG_WRITES {
            for image in pending.pop_front().into_iter().flatten() {
                self.apply(image)?;
            }
        }
        Ok(())
    }

    fn apply(&self, ItemImage { key, item }: ItemImage) -> Result<()> {
        let ItemKey { table, attributes } = key;
        match item {
            Some(item) => {
                let request = parse_request(json!({ "TableName": table, "Item": item }))?;
                self.database.put_item(request).map(drop)
            }
            None => {
                let request = parse_request(json!({ "TableName": table, "Key": attributes }))?;
                self.database.delete_item(request).map(drop)
            }
        }
    }
}

fn read_image(original: &Database, key: ItemKey) -> Result<ItemImage> {
    let request = json!({ "TableName": key.table, "Key": key.attributes, "ConsistentRead": true });
    let item = original.get_item(parse_request(request)?)?.item;
    Ok(ItemImage { key, item })
}

fn copy_items(original: &Database, copy: &Database, table: &str) -> Result<()> {
    let mut start_key = Value::Null;
    loop {
        let page = original.scan(parse_request(json!({ "TableName": table, "ExclusiveStartKey": start_key }))?)?;
        for item in page.items.into_iter().flatten() {
            copy.put_item(parse_request(json!({ "TableName": table, "Item": item }))?)?;
        }
        match page.last_evaluated_key {
            Some(key) => start_key = json!(key),
            None => return Ok(()),
        }
    }
}

fn key_names(definition: &Value) -> Vec<String> {
    let schema = definition.get("KeySchema").and_then(Value::as_array).into_iter().flatten();
    schema.filter_map(|entry| entry.get("AttributeName")?.as_str().map(str::to_owned)).collect()
}

fn parse_request<T: DeserializeOwned>(request: Value) -> Result<T> {
    serde_json::from_value(request).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
