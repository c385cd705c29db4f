//! The one table, as far as the handler reads and writes it directly.
mod claim;
mod close_write;
mod direct_write;
mod expressions;
mod items;
mod keys;
mod purge;
mod reads;
#[cfg(test)]
pub mod tests;
mod usage;

use std::time::Duration;

use api::backoff::Backoff;
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::builders::UpdateItemFluentBuilder,
};

use expressions::Change;

const LEASE: Duration = Duration::from_secs(30);
/// The SDK itself would wait for an answer without end.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const TRIES: u32 = 6;
const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(50), Duration::from_secs(1));
/// After these the same call may succeed.
const PASSING: [&str; 9] = [
    NO_ANSWER,
    "TransactionCanceledException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
];
const NO_ANSWER: &str = "no answer";

pub struct Table {
    client: Client,
    name: String,
}

#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("DynamoDB {operation} failed: {code}")]
    Call { operation: &'static str, code: String },
    #[error("the {item} item has no usable {attribute}")]
    Item { item: &'static str, attribute: &'static str },
}

impl TableError {
    /// Whether the same call may succeed in a moment.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Call { code, .. } if PASSING.contains(&code.as_str()))
    }
}

impl Table {
    pub fn new(config: &SdkConfig, name: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(CALL_TIMEOUT).build();
        let config = Builder::from(config).timeout_config(timeouts).build();
        Self::with_client(Client::from_conf(config), name)
    }

    /// The SDK's own retries would repeat a condition under a moment that has passed.
    pub fn with_client(client: Client, name: impl Into<String>) -> Self {
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), name: name.into() }
    }

    fn update(&self, change: Change) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.name)
            .update_expression(change.expression())
            .condition_expression(change.condition())
            .set_expression_attribute_names(Some(change.names()))
            .set_key(Some(change.key))
            .set_expression_attribute_values(Some(change.values))
    }
}

/// Tries again a few times what may succeed in a moment. `jitter_seed`: sets its waits apart from those of whoever it met.
pub async fn with_retries<T, F>(jitter_seed: u64, call: impl Fn() -> F) -> Result<T, TableError>
where
    F: Future<Output = Result<T, TableError>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match call().await {
            Err(error) if tries < TRIES && error.is_passing() => {
                tokio::time::sleep(RETRY.seeded_delay(tries, jitter_seed)).await
            }
            done => return done,
        }
    }
}

/// Whether a write of one item has found its condition unmet.
fn is_refused<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

fn failed<E: ProvideErrorMetadata, R>(operation: &'static str) -> impl Fn(SdkError<E, R>) -> TableError {
    move |error| {
        let code = error.code().unwrap_or(NO_ANSWER).to_owned();
        TableError::Call { operation, code }
    }
}
