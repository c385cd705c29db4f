//! The local DynamoDB: an embedded database behind AppSync's data sources and an HTTP endpoint.
mod appsync_error;
mod attribute_values;
mod data_source_response;
mod database_error;
mod endpoint;
mod fault_points;
#[cfg(test)]
mod fault_tests;
mod iam_actions;
mod iam_guard;
mod item_writes;
mod metered_database;
mod operations;
mod paging;
mod request_document;
mod stale_replica;
mod tables;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use dynoxide::Database;
use serde_json::Value;
use tokio::task::spawn_blocking;

pub use data_source_response::{DataSourceError, DataSourceResponse};
pub use endpoint::EndpointResponse;
pub use metered_database::CapacityTotals;
pub use tables::TableSetupError;

use crate::{
    fault_injection::{Fault, FaultInjector},
    identity::AssumedRole,
    stack::Table,
};
use appsync_error::AppSyncError;
use iam_guard::{IamGuard, PartitionKeyNames};
use metered_database::MeteredDatabase;
use stale_replica::StaleReplica;

/// All tables of the stack. Clones share them.
#[derive(Clone)]
pub struct DynamoDb {
    /// The database for AppSync's data sources.
    for_data_sources: MeteredDatabase,
    /// The database for Lambda functions: the same tables, metered separately.
    for_functions: MeteredDatabase,
    partition_key_names: PartitionKeyNames,
}

impl DynamoDb {
    /// Opens the database file at `path`, or a database in memory.
    pub fn open(path: Option<&Path>) -> Result<Self, TableSetupError> {
        let database = match path {
            None => Database::memory(),
            Some(path) => Database::new(&path.to_string_lossy()),
        };
        let database = database.map_err(|error| TableSetupError::Open(error.to_string()))?;
        Ok(DynamoDb {
            for_data_sources: MeteredDatabase::new(database.clone()),
            for_functions: MeteredDatabase::new(database),
            partition_key_names: PartitionKeyNames::default(),
        })
    }

    /// Creates the tables that do not exist, and enables expiry of items. Fails if the definition of a stored
    /// table has changed.
    pub fn create_tables(&self, tables: &BTreeMap<String, Table>) -> Result<(), TableSetupError> {
        for (name, table) in tables {
            self.partition_key_names.add_table(name, table);
            tables::create(&self.for_data_sources, name, table)?;
        }
        Ok(())
    }

    /// The same tables with the permissions of a role.
    pub fn as_role(&self, role: &AssumedRole) -> Self {
        let guard = IamGuard::new(role.clone(), self.partition_key_names.clone());
        Self {
            for_data_sources: self.for_data_sources.with_guard(guard.clone()),
            for_functions: self.for_functions.with_guard(guard),
            partition_key_names: self.partition_key_names.clone(),
        }
    }

    /// Injects faults into all calls.
    pub fn with_faults(
        self,
        faults: &FaultInjector,
        tables: &BTreeMap<String, Table>,
    ) -> Result<Self, TableSetupError> {
        let replica = match faults.includes(Fault::StaleRead) {
            true => {
                let replica = StaleReplica::copy_of(&self.for_data_sources, tables);
                Some(Arc::new(replica.map_err(|error| TableSetupError::Open(error.to_string()))?))
            }
            false => None,
        };
        Ok(Self {
            for_data_sources: self.for_data_sources.with_faults(faults.clone(), replica.clone()),
            for_functions: self.for_functions.with_faults(faults.clone(), replica),
            partition_key_names: self.partition_key_names,
        })
    }

    /// Runs one request document of an AppSync DynamoDB data source that is bound to `table`.
    pub async fn run(&self, table: &str, request: &Value) -> DataSourceResponse {
        let (database, table, request) = (self.clone(), table.to_owned(), request.clone());
        let response = spawn_blocking(move || database.run_blocking(&table, &request)).await;
        response.unwrap_or_else(|_| DataSourceResponse::from(AppSyncError::internal()))
    }

    /// Runs a request document on the current thread.
    pub fn run_blocking(&self, table: &str, request: &Value) -> DataSourceResponse {
        self.for_data_sources.count_call();
        operations::run(&self.for_data_sources, table, request).unwrap_or_else(DataSourceResponse::from)
    }

    /// The capacity that data sources have consumed since the database was opened.
    pub fn data_source_capacity(&self) -> CapacityTotals {
        self.for_data_sources.capacity_totals()
    }

    /// The capacity that functions have consumed since the database was opened.
    pub fn function_capacity(&self) -> CapacityTotals {
        self.for_functions.capacity_totals()
    }

    /// Deletes expired items at an interval, forever. DynamoDB itself may take days to delete them.
    pub async fn delete_expired_items_every(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let database = self.for_data_sources.clone();
            match spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(count)) => tracing::debug!(count, "expired items deleted"),
                error => tracing::warn!(?error, "expired items cannot be deleted"),
            }
        }
    }
}
