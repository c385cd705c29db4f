//! Whether the policies of whoever calls allow a call, with every action that it takes.
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use serde_json::Value;

use super::iam_actions::{Access, Accesses};
use crate::{
    identity::{self, AccessDenied, Session},
    stack::Table,
    template::{ACCOUNT, REGION},
};

/// On whose behalf calls are carried out.
#[derive(Clone)]
pub struct Guard {
    session: Session,
    partitions: Partitions,
}

/// Which attributes partition each table and its indexes. Clones share them.
#[derive(Clone, Default)]
pub struct Partitions(Arc<RwLock<BTreeMap<String, Attributes>>>);

/// By index; the table's own under none.
type Attributes = BTreeMap<Option<String>, String>;

impl Guard {
    pub fn new(session: Session, partitions: Partitions) -> Self {
        Self { session, partitions }
    }

    pub fn check(&self, call: &impl Accesses) -> Result<(), AccessDenied> {
        call.accesses().iter().try_for_each(|access| self.admit(access))
    }

    fn admit(&self, access: &Access<'_>) -> Result<(), AccessDenied> {
        let attribute = self.partitions.attribute(access);
        let leading_keys = attribute.map(|attribute| access.partition_keys(&attribute)).unwrap_or_default();
        let resource = arn(access);
        self.session.request(&identity::Access {
            action: access.action,
            resource: &resource,
            leading_keys: &leading_keys,
        })
    }
}

impl Partitions {
    pub fn learn(&self, name: &str, table: &Table) {
        let indexes = table.definition["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let indexes = indexes.filter_map(|index| Some((Some(index["IndexName"].as_str()?.to_owned()), hash(index)?)));
        let attributes =
            hash(&table.definition).map(|attribute| (None, attribute)).into_iter().chain(indexes).collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), attributes);
    }

    fn attribute(&self, access: &Access<'_>) -> Option<String> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(access.table)?.get(&access.index.map(str::to_owned)).cloned()
    }
}

fn hash(definition: &Value) -> Option<String> {
    let mut schema = definition["KeySchema"].as_array()?.iter();
    schema.find(|entry| entry["KeyType"] == "HASH")?["AttributeName"].as_str().map(str::to_owned)
}

fn arn(access: &Access<'_>) -> String {
    let table = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", access.table);
    access.index.map_or_else(|| table.clone(), |index| format!("{table}/index/{index}"))
}
