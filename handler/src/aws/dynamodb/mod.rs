//! The handler's direct access to the table.
mod attributes;
mod claim;
mod close_write;
mod connections;
mod direct_write;
mod error;
mod expressions;
mod items;
mod keys;
mod participant_lists;
mod purge;
mod reads;
#[cfg(test)]
pub mod test_support;
#[cfg(test)]
mod tests;
mod tool_claims;
mod usage;

use std::time::Duration;

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{Client, config::Builder, operation::update_item::builders::UpdateItemFluentBuilder};

use expressions::ItemUpdate;

pub use claim::ClaimOutcome;
pub use error::{TableError, with_retries};
pub use items::StoredAnswer;
pub use tool_claims::{CLAIM_RETENTION, EarlierClaim, ToolClaim};

/// The SDK has no timeout of its own.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    pub fn new(config: &SdkConfig, name: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(CALL_TIMEOUT).build();
        let config = Builder::from(config).timeout_config(timeouts).build();
        Self::with_client(Client::from_conf(config), name)
    }

    /// Disables the retries of the SDK: they would repeat a condition with a time that has passed.
    pub fn with_client(client: Client, name: impl Into<String>) -> Self {
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), name: name.into() }
    }

    fn update_item(&self, update: ItemUpdate) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.name)
            .update_expression(update.update_expression())
            .condition_expression(update.condition_expression())
            .set_expression_attribute_names(Some(update.names()))
            .set_key(Some(update.key))
            .set_expression_attribute_values(Some(update.values))
    }
}
