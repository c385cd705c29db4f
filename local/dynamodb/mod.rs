//! The DynamoDB of the laptop edition: an embedded database, spoken to as AppSync's data source speaks and over HTTP.
mod appsync_error;
mod attribute_values;
mod conditional;
mod consumed_capacity;
mod database_error;
mod endpoint;
mod fault_points;
mod iam_actions;
mod iam_guard;
mod operations;
mod paging;
mod request_document;
mod stale_replica;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dynoxide::Database;
use serde_json::Value;
use tokio::task::spawn_blocking;

pub use consumed_capacity::Charged;
pub use endpoint::Reply;
pub use tables::TableFault;

use crate::fault_injection::{Fault, FaultInjector};
use crate::identity::Session;
use crate::stack::Table;
use appsync_error::Refusal;
use consumed_capacity::Metered;
use iam_guard::{Guard, Partitions};
use stale_replica::Replica;

/// All tables of the stack. Clones share them.
#[derive(Clone)]
pub struct DynamoDb {
    /// As AppSync's data sources use it.
    sources: Metered,
    /// As functions use it.
    functions: Metered,
    partitions: Partitions,
}

/// What a handler sees as `ctx.result` and `ctx.error`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub result: Value,
    pub error: Option<DataSourceError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSourceError {
    /// As AppSync writes it: `DynamoDB:ConditionalCheckFailedException`.
    pub error_type: String,
    pub message: String,
}

impl Answer {
    fn of(result: Value) -> Self {
        Answer { result, error: None }
    }
}

impl DynamoDb {
    /// Opens the file at `path`, or a database in memory that nothing outlives.
    pub fn open(path: Option<&Path>) -> Result<Self, TableFault> {
        let database = match path {
            None => Database::memory(),
            Some(path) => Database::new(&path.to_string_lossy()),
        };
        let database = database.map_err(|fault| TableFault::Unopened(fault.to_string()))?;
        let (sources, functions) = (Metered::new(database.clone()), Metered::new(database));
        Ok(DynamoDb { sources, functions, partitions: Partitions::default() })
    }

    /// The same tables, for somebody who may do only what his role's policies allow.
    pub fn on_behalf_of(&self, session: &Session) -> Self {
        let guard = Guard::new(session.clone(), self.partitions.clone());
        let (sources, functions) = (self.sources.guarded(guard.clone()), self.functions.guarded(guard));
        Self { sources, functions, partitions: self.partitions.clone() }
    }

    /// From now on as unkind as the faults want it, to data sources and to functions.
    pub fn with_faults(self, faults: &FaultInjector, tables: &BTreeMap<String, Table>) -> Result<Self, TableFault> {
        let replica = faults.includes(Fault::StaleRead).then(|| Replica::of(&self.sources, tables)).transpose();
        let replica = replica.map_err(|fault| TableFault::Unopened(fault.to_string()))?.map(Arc::new);
        Ok(Self {
            sources: self.sources.with_faults(faults.clone(), replica.clone()),
            functions: self.functions.with_faults(faults.clone(), replica),
            partitions: self.partitions,
        })
    }

    /// Carries out one request document of an AppSync DynamoDB data source that is bound to `table`.
    pub async fn run(&self, table: &str, request: &Value) -> Answer {
        let (database, table, request) = (self.clone(), table.to_owned(), request.clone());
        let outcome = spawn_blocking(move || database.run_here(&table, &request)).await;
        outcome.unwrap_or_else(|_| Answer::from(Refusal::broken()))
    }

    /// As `run`, on the thread that calls.
    pub fn run_here(&self, table: &str, request: &Value) -> Answer {
        self.sources.count_call();
        operations::run(&self.sources, table, request).unwrap_or_else(Answer::from)
    }

    /// What the data sources' requests have cost since it was opened.
    pub fn charged(&self) -> Charged {
        self.sources.charged()
    }

    /// What the functions' calls have cost since it was opened.
    pub fn charged_to_functions(&self) -> Charged {
        self.functions.charged()
    }

    /// Deletes expired items, again and again. DynamoDB itself takes days over it.
    pub async fn sweep(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let database = self.sources.clone();
            match spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(count)) => tracing::debug!(count, "expired items deleted"),
                fault => tracing::warn!(?fault, "expired items stay"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
