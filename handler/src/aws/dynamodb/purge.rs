//! Removing what is left of a deleted conversation. May be repeated: what names other items goes after them.
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};
use futures::{Stream, TryStreamExt, stream};
use turn::limits::Backoff;

use super::{
    Table, TableError, batches_key, conversation_key, failed,
    items::{Item, text_in},
    text,
};

/// What one BatchWriteItem takes.
const DELETES_PER_CALL: usize = 25;
const META: &str = "META";
const RETRY: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(5) };

impl Table {
    /// Does nothing to a conversation that is not marked as deleted.
    pub async fn purge(&self, conversation: &str) -> Result<(), TableError> {
        if !self.is_deleted(conversation).await? {
            tracing::info!("nothing to purge");
            return Ok(());
        }
        let partition = conversation_key(conversation);
        let mut pages = self.keys(&partition);
        while let Some(page) = pages.try_next().await? {
            self.purge_batches(conversation, &page).await?;
            self.delete(page.into_iter().filter(|key| text_in(key, "sk") != Some(META)).collect()).await?;
        }
        self.delete(vec![key(&partition, META)]).await
    }

    async fn is_deleted(&self, conversation: &str) -> Result<bool, TableError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key(&conversation_key(conversation), META)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("GetItem"))?;
        Ok(found.item().is_some_and(|item| text_in(item, "deletedAt").is_some()))
    }

    /// The batches of every turn among `keys`.
    async fn purge_batches(&self, conversation: &str, keys: &[Item]) -> Result<(), TableError> {
        for turn in keys.iter().filter_map(|key| text_in(key, "sk")?.strip_prefix("TURN#")) {
            let mut pages = self.keys(&batches_key(conversation, turn));
            while let Some(page) = pages.try_next().await? {
                self.delete(page).await?;
            }
        }
        Ok(())
    }

    /// Page by page.
    fn keys(&self, partition: &str) -> impl Stream<Item = Result<Vec<Item>, TableError>> + Unpin + use<> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition))
            .projection_expression("pk, sk")
            .consistent_read(true);
        let pages = stream::try_unfold(Some(query), |query| async move {
            let Some(query) = query else { return Ok(None) };
            let page = query.clone().send().await.map_err(failed("Query"))?;
            let next = page.last_evaluated_key.map(|key| query.set_exclusive_start_key(Some(key)));
            Ok(Some((page.items.unwrap_or_default(), next)))
        });
        Box::pin(pages)
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
        let requests = keys.into_iter().map(deletion).collect();
        let call = self.client.batch_write_item().request_items(&self.name, requests);
        let output = call.send().await.map_err(failed("BatchWriteItem"))?;
        let left = output.unprocessed_items.unwrap_or_default().into_values().flatten();
        Ok(left.filter_map(|request| Some(request.delete_request?.key)).collect())
    }
}

fn deletion(key: Item) -> WriteRequest {
    let delete = DeleteRequest::builder().set_key(Some(key)).build().expect("a key is set");
    WriteRequest::builder().delete_request(delete).build()
}

fn key(partition: &str, sort: &str) -> Item {
    let attribute = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    Item::from([attribute("pk", partition), attribute("sk", sort)])
}
