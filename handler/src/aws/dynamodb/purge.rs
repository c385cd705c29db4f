//! Removing what is left of a deleted conversation. May be repeated: what names other items goes after them.
use std::time::{Duration, SystemTime};

use api::backoff::{Backoff, jitter_seed};
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};

use super::{
    Table, TableError, failed, is_refused,
    items::{Item, number, text, text_in},
    keys::{META, batches_partition, conversation_partition, meta_key},
    with_retries,
};
use crate::clock::epoch_milliseconds;

/// What one BatchWriteItem takes.
const DELETES_PER_CALL: usize = 25;
/// How long nobody else may take the id: longer than anything that was begun under it lives.
const TOMBSTONE_KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);
const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(50), Duration::from_secs(5));

impl Table {
    /// Leaves a tombstone. Does nothing to a conversation that is not marked as deleted, such as one that has taken the
    /// id meanwhile.
    pub async fn purge(&self, conversation: &str, now: SystemTime) -> Result<(), TableError> {
        loop {
            let rest = self.last_keys(&conversation_partition(conversation)).await?;
            // Asked after the keys are read, so that they are the deleted conversation's.
            let Some(deleted_at) = self.deleted_at(conversation).await? else { return Ok(()) };
            let rest: Vec<_> = rest.into_iter().filter(|key| text_in(key, "sk") != Some(META)).collect();
            if rest.is_empty() {
                return self.put_tombstone(conversation, deleted_at, now).await;
            }
            self.purge_batches(conversation, &rest).await?;
            self.delete(rest.clone()).await?;
            // Until its turn was gone, an attempt could publish.
            self.purge_batches(conversation, &rest).await?;
        }
    }

    /// None where it is not marked as deleted.
    async fn deleted_at(&self, conversation: &str) -> Result<Option<String>, TableError> {
        let found = self.item(meta_key(conversation)).await?;
        Ok(found.as_ref().and_then(|item| text_in(item, "deletedAt")).map(str::to_owned))
    }

    /// In place of the conversation, of which nothing else is left; unless another has taken the id.
    async fn put_tombstone(&self, conversation: &str, deleted_at: String, now: SystemTime) -> Result<(), TableError> {
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(meta_key(conversation)))
            .item("deletedAt", text(deleted_at))
            .item("expiresAt", number(epoch_milliseconds(now + TOMBSTONE_KEPT) / 1000))
            .condition_expression("attribute_exists(deletedAt)");
        let put = || async {
            match call.clone().send().await {
                Err(error) if !is_refused(&error) => Err(failed("PutItem")(error)),
                _ => Ok(()),
            }
        };
        with_retries(jitter_seed(&[conversation]), put).await
    }

    /// The batches of every turn among `keys`.
    async fn purge_batches(&self, conversation: &str, keys: &[Item]) -> Result<(), TableError> {
        for turn in keys.iter().filter_map(|key| text_in(key, "sk")?.strip_prefix("TURN#")) {
            loop {
                let batches = self.last_keys(&batches_partition(conversation, turn)).await?;
                if batches.is_empty() {
                    break;
                }
                self.delete(batches).await?;
            }
        }
        Ok(())
    }

    /// The last of a partition, as many as a page holds; none once it is empty. Of a conversation the turns come first:
    /// once its turn is gone, a handler at work is refused and stops.
    async fn last_keys(&self, partition: &str) -> Result<Vec<Item>, TableError> {
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition))
            .projection_expression("pk, sk")
            .scan_index_forward(false)
            .consistent_read(true);
        let page =
            with_retries(jitter_seed(&[partition]), || async { call.clone().send().await.map_err(failed("Query")) });
        Ok(page.await?.items.unwrap_or_default())
    }

    async fn delete(&self, mut keys: Vec<Item>) -> Result<(), TableError> {
        let mut tries = 0;
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(DELETES_PER_CALL));
            let left = self.delete_once(keys).await?;
            if left.is_empty() {
                tries = 0;
            } else {
                tries += 1;
                tokio::time::sleep(RETRY.seeded_delay(tries, rest.len() as u64)).await;
            }
            keys = left.into_iter().chain(rest).collect();
        }
        Ok(())
    }

    /// What DynamoDB did not get to.
    async fn delete_once(&self, keys: Vec<Item>) -> Result<Vec<Item>, TableError> {
        let jitter_seed = keys.len() as u64;
        let requests = keys.into_iter().map(deletion).collect();
        let call = self.client.batch_write_item().request_items(&self.name, requests);
        let delete = || async { call.clone().send().await.map_err(failed("BatchWriteItem")) };
        let output = with_retries(jitter_seed, delete).await?;
        let left = output.unprocessed_items.unwrap_or_default().into_values().flatten();
        Ok(left.filter_map(|request| Some(request.delete_request?.key)).collect())
    }
}

fn deletion(key: Item) -> WriteRequest {
    let delete = DeleteRequest::builder().set_key(Some(key)).build().expect("a key is set");
    WriteRequest::builder().delete_request(delete).build()
}
