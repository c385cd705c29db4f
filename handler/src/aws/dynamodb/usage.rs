//! Counts of used tokens by user and day, for the daily quota. Turns do not wait for them.
use api::retry::retry;
use std::time::{Duration, SystemTime};

use super::{
    Table, TableError,
    attributes::number,
    error::{RETRY, call_error},
    keys::usage_key,
};
use crate::clock::{epoch_milliseconds, utc_day};

/// Longer than the day that is counted.
const RETENTION: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Error codes that say that the update was not done.
const NOT_APPLIED: [&str; 4] = [
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
];

impl Table {
    /// Adds to the user's tokens of the day. Repeats only updates that were certainly not done, so that no
    /// tokens are counted twice. Ends when the caller drops it.
    pub async fn count_tokens(
        &self,
        user_id: &str,
        tokens: u32,
        now: SystemTime,
        jitter_seed: u64,
    ) -> Result<(), TableError> {
        let add = || self.add_tokens(user_id, tokens, now);
        retry(RETRY, jitter_seed, add, |error: &TableError, _| is_not_applied(error)).await
    }

    async fn add_tokens(&self, user_id: &str, tokens: u32, now: SystemTime) -> Result<(), TableError> {
        let expires_at = epoch_milliseconds(now + RETENTION) / 1000;
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(usage_key(user_id, &utc_day(now))))
            .update_expression("SET expiresAt = :expiresAt ADD tokens :tokens")
            .expression_attribute_values(":expiresAt", number(expires_at))
            .expression_attribute_values(":tokens", number(tokens))
            .send()
            .await
            .map_err(call_error("UpdateItem"))?;
        Ok(())
    }
}

fn is_not_applied(error: &TableError) -> bool {
    matches!(error, TableError::Call { code, .. } if NOT_APPLIED.contains(&code.as_str()))
}
