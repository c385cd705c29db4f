//! Removing what is left of a deleted conversation. May be repeated: what names other items goes after them.
use std::time::Duration;

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use turn::{backoff::salt, limits::Backoff};

use super::{
    Table, TableError, failed, is_refused,
    items::{Item, needed, text, text_in},
    keys::{META, batches_partition, conversation_partition, meta_key},
    patiently,
};

/// What one BatchWriteItem takes.
const DELETES_PER_CALL: usize = 25;
const RETRY: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(5) };

impl Table {
    /// Does nothing to a conversation that is not marked as deleted, such as one that has taken the id meanwhile.
    pub async fn purge(&self, conversation: &str) -> Result<(), TableError> {
        loop {
            let rest = self.some_keys(&conversation_partition(conversation)).await?;
            // Asked after the keys are read, so that they are the deleted conversation's.
            let Some(created_at) = self.deleted(conversation).await? else { return Ok(()) };
            let rest: Vec<_> = rest.into_iter().filter(|key| text_in(key, "sk") != Some(META)).collect();
            if rest.is_empty() {
                return self.delete_meta(conversation, created_at).await;
            }
            self.purge_batches(conversation, &rest).await?;
            self.delete(rest.clone()).await?;
            // Until its turn was gone, an attempt could publish.
            self.purge_batches(conversation, &rest).await?;
        }
    }

    /// When a conversation that is marked as deleted was created.
    async fn deleted(&self, conversation: &str) -> Result<Option<String>, TableError> {
        let found = self.item(meta_key(conversation)).await?;
        let deleted = found.as_ref().filter(|item| text_in(item, "deletedAt").is_some());
        let created_at = |item| needed("conversation", "createdAt", text_in(item, "createdAt").map(str::to_owned));
        deleted.map(created_at).transpose()
    }

    /// Unless another conversation has taken the id.
    async fn delete_meta(&self, conversation: &str, created_at: String) -> Result<(), TableError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(meta_key(conversation)))
            .condition_expression("attribute_exists(deletedAt) AND createdAt = :seen")
            .expression_attribute_values(":seen", text(created_at));
        let delete = || async {
            match call.clone().send().await {
                Err(error) if !is_refused(&error) => Err(failed("DeleteItem")(error)),
                _ => Ok(()),
            }
        };
        patiently(salt(&[conversation]), delete).await
    }

    /// The batches of every turn among `keys`.
    async fn purge_batches(&self, conversation: &str, keys: &[Item]) -> Result<(), TableError> {
        for turn in keys.iter().filter_map(|key| text_in(key, "sk")?.strip_prefix("TURN#")) {
            loop {
                let batches = self.some_keys(&batches_partition(conversation, turn)).await?;
                if batches.is_empty() {
                    break;
                }
                self.delete(batches).await?;
            }
        }
        Ok(())
    }

    /// The first of a partition, as many as a page holds; none once it is empty.
    async fn some_keys(&self, partition: &str) -> Result<Vec<Item>, TableError> {
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition))
            .projection_expression("pk, sk")
            .consistent_read(true);
        let page = patiently(salt(&[partition]), || async { call.clone().send().await.map_err(failed("Query")) });
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
                tokio::time::sleep(RETRY.after(tries, rest.len() as u64)).await;
            }
            keys = left.into_iter().chain(rest).collect();
        }
        Ok(())
    }

    /// What DynamoDB did not get to.
    async fn delete_once(&self, keys: Vec<Item>) -> Result<Vec<Item>, TableError> {
        let salt = keys.len() as u64;
        let requests = keys.into_iter().map(deletion).collect();
        let call = self.client.batch_write_item().request_items(&self.name, requests);
        let delete = || async { call.clone().send().await.map_err(failed("BatchWriteItem")) };
        let output = patiently(salt, delete).await?;
        let left = output.unprocessed_items.unwrap_or_default().into_values().flatten();
        Ok(left.filter_map(|request| Some(request.delete_request?.key)).collect())
    }
}

fn deletion(key: Item) -> WriteRequest {
    let delete = DeleteRequest::builder().set_key(Some(key)).build().expect("a key is set");
    WriteRequest::builder().delete_request(delete).build()
}
