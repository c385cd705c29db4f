//! The DynamoDB of the laptop edition: an embedded database, spoken to as AppSync's data source speaks and over HTTP.
mod conditional;
mod document;
mod meter;
mod operations;
mod paging;
mod refusal;
mod tables;
mod values;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use dynoxide::Database;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

pub use meter::Charged;
pub use tables::TableFault;

use meter::Metered;
use refusal::Refusal;

/// All tables of the stack. Clones share them.
#[derive(Clone)]
pub struct DynamoDb {
    database: Metered,
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
        Ok(DynamoDb { database: Metered::new(database) })
    }

    /// Carries out one request document of an AppSync DynamoDB data source that is bound to `table`.
    pub async fn run(&self, table: &str, request: &Value) -> Answer {
        self.database.count_call();
        let (database, table, request) = (self.database.clone(), table.to_owned(), request.clone());
        let outcome = spawn_blocking(move || operations::run(&database, &table, &request)).await;
        outcome.unwrap_or_else(|_| Err(Refusal::broken())).unwrap_or_else(Answer::from)
    }

    /// What the data sources' requests have cost since it was opened.
    pub fn charged(&self) -> Charged {
        self.database.charged()
    }

    /// Deletes expired items, again and again. DynamoDB itself takes days over it.
    pub async fn sweep(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let database = self.database.clone();
            match spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(count)) => tracing::debug!(count, "expired items deleted"),
                fault => tracing::warn!(?fault, "expired items stay"),
            }
        }
    }

    /// Speaks DynamoDB's own protocol, for SDKs, until `stop`.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        dynoxide::server::serve_with_shutdown(listener, Database::clone(&self.database), stop)
            .await
            .map_err(std::io::Error::other)
    }
}
