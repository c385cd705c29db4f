//! Reading what the invocation does not carry. Everything is read consistently.
use std::ops::RangeInclusive;

use api::{backoff::jitter_seed, types::ConversationEvent};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use turn::{
    claim::{RunId, StoredTurn},
    closing_decision::StoredBatch,
    transcript::OlderEvents,
};

use super::{
    Table, TableError, failed,
    items::{self, Item, text, text_in},
    keys::{batch_sort, batches_partition, conversation_partition, event_key, event_sort, meta_key, turn_key},
    with_retries,
};

const LAST_SEQUENCE: u32 = 999_999;

impl Table {
    pub async fn turn(&self, order: &RunId) -> Result<Option<StoredTurn>, TableError> {
        self.item(turn_key(&order.conversation_id, &order.turn_id)).await?.as_ref().map(items::stored_turn).transpose()
    }

    pub async fn event(&self, conversation: &str, position: u32) -> Result<Option<ConversationEvent>, TableError> {
        let event = self.item(event_key(conversation, position)).await?;
        event.as_ref().map(items::event).transpose()
    }

    /// Of a conversation that is not deleted: which agent answers it.
    pub async fn agent_of(&self, conversation: &str) -> Result<Option<String>, TableError> {
        let meta = self.item(meta_key(conversation)).await?;
        let current = meta.filter(|meta| text_in(meta, "deletedAt").is_none());
        current
            .map(|meta| items::needed("conversation", "agentId", text_in(&meta, "agentId").map(str::to_owned)))
            .transpose()
    }

    /// In ascending order; fewer than wanted when a page of DynamoDB is full.
    pub async fn events_before(
        &self,
        conversation: &str,
        wanted: OlderEvents,
    ) -> Result<Vec<ConversationEvent>, TableError> {
        let (first, last) = (event_sort(1), event_sort(wanted.before.saturating_sub(1)));
        let range = self.range(conversation_partition(conversation), first, last);
        let newest = range.scan_index_forward(false).limit(wanted.at_most.cast_signed());
        let page = with_retries(jitter_seed(&[conversation]), || async {
            newest.clone().send().await.map_err(failed("Query"))
        });
        page.await?.items().iter().rev().map(items::event).collect()
    }

    /// In ascending order, all of them.
    pub async fn events_at(
        &self,
        conversation: &str,
        positions: RangeInclusive<u32>,
    ) -> Result<Vec<ConversationEvent>, TableError> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let (first, last) = (event_sort(*positions.start()), event_sort(*positions.end()));
        let range = self.range(conversation_partition(conversation), first, last);
        let events = with_retries(jitter_seed(&[conversation]), || whole(&range)).await?;
        events.iter().map(items::event).collect()
    }

    /// What the turn's attempt has published since its last event, in order.
    pub async fn batches(&self, order: &RunId, turn: &StoredTurn) -> Result<Vec<StoredBatch>, TableError> {
        let partition = batches_partition(&order.conversation_id, &order.turn_id);
        let sort = |sequence| batch_sort(turn.attempt, sequence);
        let range = self.range(partition, sort(turn.last_event_sequence + 1), sort(LAST_SEQUENCE));
        let batches = with_retries(jitter_seed(&[&order.turn_id]), || whole(&range)).await?;
        batches.iter().map(items::stored_batch).collect()
    }

    pub(super) async fn item(&self, key: Item) -> Result<Option<Item>, TableError> {
        let jitter_seed = jitter_seed(&[text_in(&key, "sk").unwrap_or_default()]);
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        Ok(with_retries(jitter_seed, || async { call.clone().send().await.map_err(failed("GetItem")) }).await?.item)
    }

    fn range(&self, partition: String, first: String, last: String) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .consistent_read(true)
    }
}

/// Page after page.
async fn whole(query: &QueryFluentBuilder) -> Result<Vec<Item>, TableError> {
    query.clone().into_paginator().items().send().collect::<Result<_, _>>().await.map_err(failed("Query"))
}
