//! What users have used of their quotas: added up beside the turns, which do not wait for it.
use std::time::{Duration, SystemTime};

use super::{RETRY, Table, TableError, failed, items::number, keys::day_key};
use crate::clock::{day, epoch_milliseconds};

/// Well past the day that is counted.
const KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// With these a call has certainly not been carried out.
const UNDONE: [&str; 4] = [
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
];

impl Table {
    /// Adds to the tokens of the user's day, and keeps trying until that is done or may have been: never twice.
    /// `jitter_seed`: sets its waits apart from those of others.
    pub async fn count_tokens(
        &self,
        user: &str,
        tokens: u32,
        now: SystemTime,
        jitter_seed: u64,
    ) -> Result<(), TableError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.add_tokens(user, tokens, now).await {
                Err(error) if is_undone(&error) => tokio::time::sleep(RETRY.seeded_delay(tries, jitter_seed)).await,
                done => return done,
            }
        }
    }

    async fn add_tokens(&self, user: &str, tokens: u32, now: SystemTime) -> Result<(), TableError> {
        let added = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(day_key(user, &day(now))))
            .update_expression("SET expiresAt = :later ADD tokens :tokens")
            .expression_attribute_values(":later", number(epoch_milliseconds(now + KEPT) / 1000))
            .expression_attribute_values(":tokens", number(tokens))
            .send()
            .await;
        added.map(drop).map_err(failed("UpdateItem"))
    }
}

fn is_undone(error: &TableError) -> bool {
    matches!(error, TableError::Call { code, .. } if UNDONE.contains(&code.as_str()))
}
