//! Reads of what the payload of an invocation does not contain. All reads are strongly consistent.
use std::{collections::HashMap, ops::RangeInclusive};

use api::{backoff::jitter_seed, types::ConversationEvent};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures::future::try_join_all;
use turn::{
    claim::{RunId, StoredTurn},
    closing_decision::StoredBatch,
    replies::Participant,
    transcript::OlderEvents,
};

use super::{
    Table, TableError,
    attributes::{Item, get_string, string},
    error::{call_error, with_retries},
    items::{StoredAnswer, parse_answer, parse_batch, parse_event, parse_turn},
    keys::{
        answer_sort_key, batch_sort_key, batches_partition, conversation_key, conversation_partition, event_key,
        event_sort_key, participant_key, turn_key,
    },
};

/// The highest sequence that a sort key can hold. The same as MAX_SEQUENCE in resolvers/shared.js.
const MAX_SEQUENCE: u32 = 999_999;

impl Table {
    pub async fn load_turn(&self, run_id: &RunId) -> Result<Option<StoredTurn>, TableError> {
        let item = self.get_item(turn_key(&run_id.conversation_id, &run_id.turn_id)).await?;
        item.map(parse_turn).transpose()
    }

    pub async fn load_event(
        &self,
        conversation_id: &str,
        position: u32,
    ) -> Result<Option<ConversationEvent>, TableError> {
        let item = self.get_item(event_key(conversation_id, position)).await?;
        item.map(parse_event).transpose()
    }

    /// The id of the agent that answers the conversation. `None` if the conversation is deleted.
    pub async fn load_agent_id(&self, conversation_id: &str) -> Result<Option<String>, TableError> {
        let Some(conversation) = self.get_item(conversation_key(conversation_id)).await? else { return Ok(None) };
        if get_string(&conversation, "deletedAt").is_some() {
            return Ok(None);
        }
        match get_string(&conversation, "agentId") {
            Some(agent_id) => Ok(Some(agent_id.to_owned())),
            None => Err(TableError::Item { kind: "conversation" }),
        }
    }

    /// One page of events before a position, in ascending order. A page limited by DynamoDB has fewer events
    /// than wanted.
    pub async fn load_older_events(
        &self,
        conversation_id: &str,
        older: OlderEvents,
    ) -> Result<Vec<ConversationEvent>, TableError> {
        let first = event_sort_key(1);
        let last = event_sort_key(older.before.saturating_sub(1));
        let query = self
            .query_range(conversation_partition(conversation_id), first, last)
            .scan_index_forward(false)
            .limit(older.at_most.cast_signed());
        let send = || async { query.clone().send().await.map_err(call_error("Query")) };
        let page = with_retries(jitter_seed(&[conversation_id]), send).await?;
        page.items.unwrap_or_default().into_iter().rev().map(parse_event).collect()
    }

    /// All events in a range of positions, in ascending order.
    pub async fn load_events(
        &self,
        conversation_id: &str,
        positions: RangeInclusive<u32>,
    ) -> Result<Vec<ConversationEvent>, TableError> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let first = event_sort_key(*positions.start());
        let last = event_sort_key(*positions.end());
        let query = self.query_range(conversation_partition(conversation_id), first, last);
        let items = with_retries(jitter_seed(&[conversation_id]), || query_all_pages(&query)).await?;
        items.into_iter().map(parse_event).collect()
    }

    /// The batches of the turn's attempt since its last event, in order of sequence.
    pub async fn load_batches(&self, run_id: &RunId, turn: &StoredTurn) -> Result<Vec<StoredBatch>, TableError> {
        let partition = batches_partition(&run_id.conversation_id, &run_id.turn_id);
        let first = batch_sort_key(turn.attempt, turn.last_event_sequence + 1);
        let last = batch_sort_key(turn.attempt, MAX_SEQUENCE);
        let query = self.query_range(partition, first, last);
        let items = with_retries(jitter_seed(&[&run_id.turn_id]), || query_all_pages(&query)).await?;
        items.into_iter().map(parse_batch).collect()
    }

    /// The answers to tool calls of the event at a position, by the ids of the calls. They are loaded at the
    /// same time: an event has at most 32 calls that can have one.
    pub async fn load_call_answers<'a>(
        &self,
        run_id: &RunId,
        position: u32,
        tool_use_ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, StoredAnswer>, TableError> {
        let answers = tool_use_ids.into_iter().map(|id| async move {
            let answer = self.load_call_answer(run_id, position, id).await?;
            Ok(answer.map(|answer| (id.to_owned(), answer)))
        });
        Ok(try_join_all(answers).await?.into_iter().flatten().collect())
    }

    async fn load_call_answer(
        &self,
        run_id: &RunId,
        position: u32,
        tool_use_id: &str,
    ) -> Result<Option<StoredAnswer>, TableError> {
        let partition = batches_partition(&run_id.conversation_id, &run_id.turn_id);
        let sort_key = answer_sort_key(position, tool_use_id);
        // A query, because the closer may not read single items of this partition.
        let query = self.query_range(partition, sort_key.clone(), sort_key);
        let items = with_retries(jitter_seed(&[&run_id.turn_id]), || query_all_pages(&query)).await?;
        items.into_iter().next().map(parse_answer).transpose()
    }

    pub async fn is_participant(&self, participant: &Participant) -> Result<bool, TableError> {
        let Participant { conversation_id, user_id } = participant;
        Ok(self.get_item(participant_key(conversation_id, user_id)).await?.is_some())
    }

    pub(super) async fn get_item(&self, key: Item) -> Result<Option<Item>, TableError> {
        let jitter_seed = jitter_seed(&[get_string(&key, "sk").unwrap_or_default()]);
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        let send = || async { call.clone().send().await.map_err(call_error("GetItem")) };
        Ok(with_retries(jitter_seed, send).await?.item)
    }

    fn query_range(&self, partition: String, first: String, last: String) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", string(partition))
            .expression_attribute_values(":first", string(first))
            .expression_attribute_values(":last", string(last))
            .consistent_read(true)
    }
}

async fn query_all_pages(query: &QueryFluentBuilder) -> Result<Vec<Item>, TableError> {
    let items = query.clone().into_paginator().items().send();
    items.collect::<Result<_, _>>().await.map_err(call_error("Query"))
}
