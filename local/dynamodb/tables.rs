//! Creates the stack's tables, once; reopening finds them.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::DynamoDb;
use crate::stack::Table;

#[derive(Debug, thiserror::Error)]
pub enum TableFault {
    #[error("The database does not open: {0}")]
    Unopened(String),
    #[error("Table {table} cannot be created: {reason}")]
    Refused { table: String, reason: String },
    #[error(
        "Table {table} is stored with another {member} than the template says; delete the stored data to start anew."
    )]
    Changed { table: String, member: &'static str },
}

/// What makes a table the same table.
const MEMBERS: [&str; 4] = ["KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

impl DynamoDb {
    /// Creates the tables that are not there yet, and turns their expiry on.
    pub fn create(&self, tables: &BTreeMap<String, Table>) -> Result<(), TableFault> {
        tables.iter().try_for_each(|(name, table)| {
            self.partitions.learn(name, table);
            match self.describe(name) {
                Some(stored) => unchanged(name, &stored, &table.definition)?,
                None => self.create_table(name, &table.definition)?,
            }
            table.ttl_attribute.as_deref().map_or(Ok(()), |attribute| self.expire(name, attribute))
        })
    }

    fn describe(&self, name: &str) -> Option<Value> {
        let request = serde_json::from_value(json!({ "TableName": name })).ok()?;
        let response = self.sources.describe_table(request).ok()?;
        serde_json::to_value(response.table).ok()
    }

    fn create_table(&self, name: &str, definition: &Value) -> Result<(), TableFault> {
        let refused = |reason: String| refused(name, &reason);
        let request = serde_json::from_value(definition.clone()).map_err(|fault| refused(fault.to_string()))?;
        self.sources.create_table(request).map(|_| ()).map_err(|fault| refused(fault.to_string()))
    }

    fn expire(&self, name: &str, attribute: &str) -> Result<(), TableFault> {
        let refused = |reason: String| refused(name, &reason);
        let described = json!({ "TableName": name });
        let described = serde_json::from_value(described).map_err(|fault| refused(fault.to_string()))?;
        let stored = self.sources.describe_time_to_live(described).map_err(|fault| refused(fault.to_string()))?;
        let stored = serde_json::to_value(stored).unwrap_or_default();
        if stored.pointer("/TimeToLiveDescription/AttributeName") == Some(&json!(attribute)) {
            return Ok(());
        }
        let wanted =
            json!({ "TableName": name, "TimeToLiveSpecification": { "AttributeName": attribute, "Enabled": true } });
        let wanted = serde_json::from_value(wanted).map_err(|fault| refused(fault.to_string()))?;
        self.sources.update_time_to_live(wanted).map(|_| ()).map_err(|fault| refused(fault.to_string()))
    }
}

fn refused(table: &str, reason: &str) -> TableFault {
    TableFault::Refused { table: table.to_owned(), reason: reason.trim_start_matches("VALIDATION:").to_owned() }
}

fn unchanged(table: &str, stored: &Value, wanted: &Value) -> Result<(), TableFault> {
    match MEMBERS.into_iter().find(|member| essence(stored, member) != essence(wanted, member)) {
        Some(member) => Err(TableFault::Changed { table: table.to_owned(), member }),
        None => Ok(()),
    }
}

/// A member of a definition without what DynamoDB adds on its own, in an order that means nothing.
fn essence(definition: &Value, member: &str) -> Vec<String> {
    let entries = definition.get(member).and_then(Value::as_array).into_iter().flatten();
    let mut texts: Vec<String> = entries
        .map(|entry| match entry.get("IndexName") {
            Some(name) => json!([name, entry.get("KeySchema"), entry.get("Projection")]).to_string(),
            None => entry.to_string(),
        })
        .collect();
    texts.sort();
    texts
}
