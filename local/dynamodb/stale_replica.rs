//! A copy that lags behind: what a read that is not strongly consistent may still see.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use dynoxide::{Database, DynoxideError, Item, Result};
use serde_json::{Value, json};

use super::fault_points::Call;
use crate::stack::Table;

/// How many writes the copy does not know of yet. DynamoDB's replicas mostly need less than a second.
const BEHIND: usize = 4;

pub struct Replica {
    pub database: Database,
    /// The names of each table's key attributes.
    keys: BTreeMap<String, Vec<String>>,
    /// What the newest writes left behind, oldest first.
    coming: Mutex<VecDeque<Vec<Image>>>,
}

/// What a write left at a key: an item, or nothing.
struct Image {
    table: String,
    key: Item,
    item: Option<Item>,
}

/// Where a write took place.
pub struct Place {
    table: String,
    key: Item,
}

impl Replica {
    /// A copy of what is stored now.
    pub fn of(original: &Database, tables: &BTreeMap<String, Table>) -> Result<Self> {
        let database = Database::memory()?;
        for (name, table) in tables {
            database.create_table(read(table.definition.clone())?)?;
            copy(original, &database, name)?;
        }
        let keys = tables.iter().map(|(name, table)| (name.clone(), key_names(&table.definition))).collect();
        Ok(Self { database, keys, coming: Mutex::default() })
    }

    pub fn places(&self, call: &impl Call) -> Vec<Place> {
        let place = |(table, item): (&str, &Item)| {
            let names = self.keys.get(table)?;
            let key = item.iter().filter(|(name, _)| names.contains(name));
            Some(Place {
                table: table.to_owned(),
                key: key.map(|(name, value)| (name.clone(), value.clone())).collect(),
            })
        };
        call.writes().into_iter().filter_map(place).collect()
    }

    /// Notes what a write left, and learns of the write that is old enough now. One write at a time: an older image
    /// never comes after a newer.
    pub fn follow(&self, original: &Database, places: Vec<Place>) -> Result<()> {
        let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        let image = |Place { table, key }| {
            let request = read(json!({ "TableName": table, "Key": key, "ConsistentRead": true }))?;
            Ok(Image { item: original.get_item(request)?.item, table, key })
        };
        coming.push_back(places.into_iter().map(image).collect::<Result<_>>()?);
        while coming.len() > BEHIND {
            coming.pop_front().into_iter().flatten().try_for_each(|image| self.learn(image))?;
        }
        Ok(())
    }

    fn learn(&self, Image { table, key, item }: Image) -> Result<()> {
        match item {
            Some(item) => self.database.put_item(read(json!({ "TableName": table, "Item": item }))?).map(drop),
            None => self.database.delete_item(read(json!({ "TableName": table, "Key": key }))?).map(drop),
        }
    }
}

fn copy(original: &Database, database: &Database, table: &str) -> Result<()> {
    let mut start = Value::Null;
    loop {
        let page = original.scan(read(json!({ "TableName": table, "ExclusiveStartKey": start }))?)?;
        for item in page.items.into_iter().flatten() {
            database.put_item(read(json!({ "TableName": table, "Item": item }))?)?;
        }
        match page.last_evaluated_key {
            Some(key) => start = json!(key),
            None => return Ok(()),
        }
    }
}

fn key_names(definition: &Value) -> Vec<String> {
    let schema = definition.get("KeySchema").and_then(Value::as_array).into_iter().flatten();
    schema.filter_map(|entry| entry.get("AttributeName")?.as_str().map(str::to_owned)).collect()
}

fn read<T: serde::de::DeserializeOwned>(request: Value) -> Result<T> {
    serde_json::from_value(request).map_err(|fault| DynoxideError::InternalServerError(fault.to_string()))
}
