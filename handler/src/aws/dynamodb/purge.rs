//! Removes the items of a deleted conversation. The purge can be repeated: items that name other items are
//! removed after those.
use std::time::{Duration, SystemTime};

use api::backoff::{Backoff, jitter_seed};
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};

use super::{
    Table, TableError,
    attributes::{Item, get_string, number, string},
    error::{call_error, is_condition_failure, with_retries},
    keys::{META, TURN_PREFIX, batches_partition, conversation_key, conversation_partition},
};
use crate::clock::epoch_milliseconds;

/// The limit of BatchWriteItem.
const DELETES_PER_CALL: usize = 25;
/// How long the conversation's id stays taken: longer than anything started under it can still run.
const TOMBSTONE_RETENTION: Duration = Duration::from_secs(2 * 24 * 60 * 60);
const UNPROCESSED_RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(50), Duration::from_secs(5));

impl Table {
    /// Leaves a tombstone. Does nothing if the conversation is not marked as deleted, for example because a
    /// new one has taken the id.
    pub async fn purge_conversation(&self, conversation_id: &str, now: SystemTime) -> Result<(), TableError> {
        loop {
            let mut keys = self.last_keys(&conversation_partition(conversation_id)).await?;
            // Checked after the keys are read, so that the keys belong to the deleted conversation.
            let Some(deleted_at) = self.load_deleted_at(conversation_id).await? else { return Ok(()) };
            keys.retain(|key| get_string(key, "sk") != Some(META));
            if keys.is_empty() {
                return self.put_tombstone(conversation_id, deleted_at, now).await;
            }
            self.purge_batches(conversation_id, &keys).await?;
            self.delete_items(keys.clone()).await?;
            // An attempt could publish batches until its turn was deleted.
            self.purge_batches(conversation_id, &keys).await?;
        }
    }

    /// `None` if the conversation is not marked as deleted.
    async fn load_deleted_at(&self, conversation_id: &str) -> Result<Option<String>, TableError> {
        let item = self.get_item(conversation_key(conversation_id)).await?.unwrap_or_default();
        Ok(get_string(&item, "deletedAt").map(str::to_owned))
    }

    /// Replaces the conversation's own item, unless another conversation has taken the id.
    async fn put_tombstone(
        &self,
        conversation_id: &str,
        deleted_at: String,
        now: SystemTime,
    ) -> Result<(), TableError> {
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(conversation_key(conversation_id)))
            .item("deletedAt", string(deleted_at))
            .item("expiresAt", number(epoch_milliseconds(now + TOMBSTONE_RETENTION) / 1000))
            .condition_expression("attribute_exists(deletedAt)");
        let send = || async {
            match call.clone().send().await {
                Err(error) if !is_condition_failure(&error) => Err(call_error("PutItem")(error)),
                _ => Ok(()),
            }
        };
        with_retries(jitter_seed(&[conversation_id]), send).await
    }

    /// Deletes the batches of every turn among the keys.
    async fn purge_batches(&self, conversation_id: &str, keys: &[Item]) -> Result<(), TableError> {
        for key in keys {
            let sort_key = get_string(key, "sk").unwrap_or_default();
            let Some(turn_id) = sort_key.strip_prefix(TURN_PREFIX) else { continue };
            loop {
                let batches = self.last_keys(&batches_partition(conversation_id, turn_id)).await?;
                if batches.is_empty() {
                    break;
                }
                self.delete_items(batches).await?;
            }
        }
        Ok(())
    }

    /// The last keys of a partition, as many as a page holds; empty once the partition is. A conversation's
    /// turns are its last items, so they are deleted first: a handler that still works on one is refused then
    /// and stops.
    async fn last_keys(&self, partition: &str) -> Result<Vec<Item>, TableError> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", string(partition))
            .projection_expression("pk, sk")
            .scan_index_forward(false)
            .consistent_read(true);
        let send = || async { query.clone().send().await.map_err(call_error("Query")) };
        let page = with_retries(jitter_seed(&[partition]), send).await?;
        Ok(page.items.unwrap_or_default())
    }

    async fn delete_items(&self, mut keys: Vec<Item>) -> Result<(), TableError> {
        let mut tries_without_progress = 0;
        while !keys.is_empty() {
            let later = keys.split_off(keys.len().min(DELETES_PER_CALL));
            let unprocessed = self.delete_batch(keys).await?;
            if unprocessed.is_empty() {
                tries_without_progress = 0;
            } else {
                tries_without_progress += 1;
                let delay = UNPROCESSED_RETRY.seeded_delay(tries_without_progress, later.len() as u64);
                tokio::time::sleep(delay).await;
            }
            keys = unprocessed;
            keys.extend(later);
        }
        Ok(())
    }

    /// Returns the keys that DynamoDB left unprocessed.
    async fn delete_batch(&self, keys: Vec<Item>) -> Result<Vec<Item>, TableError> {
        let jitter_seed = keys.len() as u64;
        let requests = keys.into_iter().map(delete_request).collect();
        let call = self.client.batch_write_item().request_items(&self.name, requests);
        let send = || async { call.clone().send().await.map_err(call_error("BatchWriteItem")) };
        let output = with_retries(jitter_seed, send).await?;
        let unprocessed = output.unprocessed_items.unwrap_or_default().into_values().flatten();
        Ok(unprocessed.filter_map(|request| Some(request.delete_request?.key)).collect())
    }
}

fn delete_request(key: Item) -> WriteRequest {
    let delete = DeleteRequest::builder().set_key(Some(key)).build().expect("a key is set");
    WriteRequest::builder().delete_request(delete).build()
}
