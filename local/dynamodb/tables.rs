//! Creates the tables of the stack; a stored table must match its definition.
use serde_json::{Value, json};

use super::metered_database::MeteredDatabase;
use crate::stack::Table;

#[derive(Debug, thiserror::Error)]
pub enum TableSetupError {
    #[error("The database cannot be opened: {0}")]
    Open(String),
    #[error("Table {table} cannot be created: {reason}")]
    Create { table: String, reason: String },
    #[error(
        "Table {table} is stored with another {member} than the template says; delete the stored data to start anew."
    )]
    Changed { table: String, member: &'static str },
}

/// The members of a definition that must not change.
const FIXED_MEMBERS: [&str; 4] =
    ["KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

/// Creates a table unless it exists, and enables expiry of its items.
pub fn create(database: &MeteredDatabase, name: &str, table: &Table) -> Result<(), TableSetupError> {
    match describe(database, name) {
        Some(stored) => check_unchanged(name, &stored, &table.definition)?,
        None => create_new(database, name, &table.definition)?,
    }
    match &table.ttl_attribute {
        Some(attribute) => enable_ttl(database, name, attribute),
        None => Ok(()),
    }
}

fn describe(database: &MeteredDatabase, name: &str) -> Option<Value> {
    let request = serde_json::from_value(json!({ "TableName": name })).ok()?;
    let response = database.describe_table(request).ok()?;
    serde_json::to_value(response.table).ok()
}

fn create_new(database: &MeteredDatabase, name: &str, definition: &Value) -> Result<(), TableSetupError> {
    let request = serde_json::from_value(definition.clone()).map_err(|error| create_error(name, &error.to_string()))?;
    let created = database.create_table(request);
    created.map(drop).map_err(|error| create_error(name, &error.to_string()))
}

fn enable_ttl(database: &MeteredDatabase, name: &str, attribute: &str) -> Result<(), TableSetupError> {
    let describe =
        serde_json::from_value(json!({ "TableName": name })).map_err(|error| create_error(name, &error.to_string()))?;
    let stored = database.describe_time_to_live(describe);
    let stored = stored.map_err(|error| create_error(name, &error.to_string()))?;
    let stored = serde_json::to_value(stored).unwrap_or_default();
    if stored.pointer("/TimeToLiveDescription/AttributeName") == Some(&json!(attribute)) {
        return Ok(());
    }
    let specification = json!({ "AttributeName": attribute, "Enabled": true });
    let update = serde_json::from_value(json!({ "TableName": name, "TimeToLiveSpecification": specification }))
        .map_err(|error| create_error(name, &error.to_string()))?;
    let updated = database.update_time_to_live(update);
    updated.map(drop).map_err(|error| create_error(name, &error.to_string()))
}

fn create_error(table: &str, reason: &str) -> TableSetupError {
    TableSetupError::Create { table: table.to_owned(), reason: reason.trim_start_matches("VALIDATION:").to_owned() }
}

fn check_unchanged(table: &str, stored: &Value, expected: &Value) -> Result<(), TableSetupError> {
    let is_changed = |member: &&str| normalized_entries(stored, member) != normalized_entries(expected, member);
    match FIXED_MEMBERS.into_iter().find(is_changed) {
        Some(member) => Err(TableSetupError::Changed { table: table.to_owned(), member }),
        None => Ok(()),
    }
}

/// The sorted entries of a member, without what DynamoDB adds to a definition.
fn normalized_entries(definition: &Value, member: &str) -> Vec<String> {
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
