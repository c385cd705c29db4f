//! The DynamoDB of the laptop edition: an embedded database, spoken to as AppSync's data source speaks and over HTTP.
mod conditional;
mod document;
mod endpoint;
mod meter;
mod operations;
mod paging;
mod refusal;
mod tables;
mod values;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use axum::serve::ListenerExt;
use dynoxide::Database;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

pub use endpoint::Reply;
pub use meter::Charged;
pub use tables::TableFault;

use meter::Metered;
use refusal::Refusal;

/// All tables of the stack. Clones share them.
#[derive(Clone)]
pub struct DynamoDb {
    /// As AppSync's data sources use it.
    sources: Metered,
    /// As functions use it.
    functions: Metered,
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
        Ok(DynamoDb { sources: Metered::new(database.clone()), functions: Metered::new(database) })
    }

    /// Carries out one request document of an AppSync DynamoDB data source that is bound to `table`.
    pub async fn run(&self, table: &str, request: &Value) -> Answer {
        self.sources.count_call();
        let (database, table, request) = (self.sources.clone(), table.to_owned(), request.clone());
        let outcome = spawn_blocking(move || operations::run(&database, &table, &request)).await;
        outcome.unwrap_or_else(|_| Err(Refusal::broken())).unwrap_or_else(Answer::from)
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

    /// Speaks DynamoDB's own protocol, for SDKs, until `stop`.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, self.router()).with_graceful_shutdown(stop).await
    }
}
