//! The one table, as far as the handler reads and writes it directly.
mod claim;
mod closing;
mod expressions;
mod items;
mod keys;
mod purge;
mod reading;
#[cfg(test)]
pub mod tests;
mod writing;

use std::time::Duration;

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::builders::UpdateItemFluentBuilder,
};
use turn::limits::Backoff;
use uuid::Uuid;

use expressions::Change;

const LEASE: Duration = Duration::from_secs(30);
/// The SDK itself would wait for an answer without end.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const TRIES: u32 = 6;
const RETRY: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(1) };
/// After these the same call may succeed. The SDK repeats what is throttled by itself, but not what merely met another.
const PASSING: [&str; 6] = [
    NO_ANSWER,
    "TransactionCanceledException",
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "InternalServerError",
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

    pub fn with_client(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
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

/// How long to wait before the next try, if there should be one. `tries`: how many have failed, from 1. `salt`: sets its
/// waits apart from those of whoever it met.
pub fn wait_before_next_try(error: &TableError, tries: u32, salt: Uuid) -> Option<Duration> {
    (tries < TRIES && error.is_passing()).then(|| RETRY.after(tries, salt.as_u64_pair().0))
}

async fn patiently<T, F>(salt: Uuid, call: impl Fn() -> F) -> Result<T, TableError>
where
    F: Future<Output = Result<T, TableError>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match call().await {
            Err(error) => match wait_before_next_try(&error, tries, salt) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
}

fn failed<E: ProvideErrorMetadata, R>(operation: &'static str) -> impl Fn(SdkError<E, R>) -> TableError {
    move |error| {
        let code = error.code().unwrap_or(NO_ANSWER).to_owned();
        TableError::Call { operation, code }
    }
}
