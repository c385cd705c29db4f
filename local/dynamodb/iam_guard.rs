//! Authorization of DynamoDB calls by the policies of the caller's role.
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use serde_json::Value;

use super::iam_actions::{AuthorizedCall, IamAction};
use crate::{
    identity::{AccessDenied, AccessRequest, AssumedRole},
    stack::Table,
    template::{ACCOUNT, REGION},
};

/// Authorizes calls for one role.
#[derive(Clone)]
pub struct IamGuard {
    role: AssumedRole,
    partition_key_names: PartitionKeyNames,
}

/// The partition key attributes of each table and its indexes. Clones share them.
#[derive(Clone, Default)]
pub struct PartitionKeyNames(Arc<RwLock<BTreeMap<String, TableKeyNames>>>);

/// The attribute by index name; the table's own attribute has the key `None`.
type TableKeyNames = BTreeMap<Option<String>, String>;

impl IamGuard {
    pub fn new(role: AssumedRole, partition_key_names: PartitionKeyNames) -> Self {
        Self { role, partition_key_names }
    }

    /// Fails unless the role's policies allow every action of the call.
    pub fn authorize(&self, call: &impl AuthorizedCall) -> Result<(), AccessDenied> {
        call.iam_actions().iter().try_for_each(|action| self.authorize_action(action))
    }

    fn authorize_action(&self, action: &IamAction<'_>) -> Result<(), AccessDenied> {
        let attribute = self.partition_key_names.get(action);
        let leading_keys = attribute.map(|attribute| action.partition_keys(&attribute)).unwrap_or_default();
        let resource = arn(action);
        self.role.authorize(&AccessRequest { action: action.action, resource: &resource, leading_keys: &leading_keys })
    }
}

impl PartitionKeyNames {
    pub fn add_table(&self, name: &str, table: &Table) {
        let mut names = TableKeyNames::new();
        if let Some(attribute) = hash_attribute(&table.definition) {
            names.insert(None, attribute);
        }
        for index in table.definition["GlobalSecondaryIndexes"].as_array().into_iter().flatten() {
            if let (Some(index_name), Some(attribute)) = (index["IndexName"].as_str(), hash_attribute(index)) {
                names.insert(Some(index_name.to_owned()), attribute);
            }
        }
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), names);
    }

    fn get(&self, action: &IamAction<'_>) -> Option<String> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(action.table)?.get(&action.index.map(str::to_owned)).cloned()
    }
}

/// The partition key attribute of a table or index definition.
fn hash_attribute(definition: &Value) -> Option<String> {
    let mut schema = definition["KeySchema"].as_array()?.iter();
    schema.find(|entry| entry["KeyType"] == "HASH")?["AttributeName"].as_str().map(str::to_owned)
}

fn arn(action: &IamAction<'_>) -> String {
    let table = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", action.table);
    match action.index {
        Some(index) => format!("{table}/index/{index}"),
        None => table,
    }
}
