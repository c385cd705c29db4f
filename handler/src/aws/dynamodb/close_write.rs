//! Closing a turn that nobody works on: its last event, its end and its conversation in one transaction.
use std::time::SystemTime;

use api::types::{ConversationEvent, SenderKind};
use turn::{
    claim::{RunId, StoredTurn},
    closing_decision::ClosingEvent,
    mutation::EndReason,
};

use super::{
    Table, TableError,
    expressions::{Change, addition, as_read, busy, of_turn},
    failed, is_refused,
    items::{self, flag, number, spelled, text},
    keys::{event_key, meta_key, turn_key},
    with_retries,
};
use crate::clock::iso_8601;

impl Table {
    /// One try. Refused where anything has changed since the turn was read.
    pub async fn close(
        &self,
        order: &RunId,
        turn: &StoredTurn,
        event: &ClosingEvent,
        agent: &str,
        now: SystemTime,
    ) -> Result<(), TableError> {
        let RunId { conversation_id, turn_id, .. } = order;
        let ended = Change::new(turn_key(conversation_id, turn_id), as_read(turn))
            .set("status", text(spelled(event.why.status())))
            .set("announced", flag(false))
            .set("lastPosition", number(event.position))
            .set("lastSequence", number(event.sequence))
            .set("lastEventSequence", number(event.sequence));
        let ended = match event.why {
            EndReason::Stopped(_) => ended,
            EndReason::Failed(failure) => ended.set("failure", items::failure(failure)),
        };
        let freed = Change::new(meta_key(conversation_id), busy(turn_id, turn.last_position))
            .set("eventCount", number(event.position))
            .also("REMOVE #activeTurnId");
        let items = vec![
            addition(&self.name, items::closing_event(&order.claim(turn), event, agent, iso_8601(now))),
            ended.transacted(&self.name),
            freed.transacted(&self.name),
        ];
        let closed = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        closed.map(drop).map_err(failed("TransactWriteItems"))
    }

    /// Marks what attempts of the current run have said that died before the turn's attempt.
    pub async fn supersede_leftovers(
        &self,
        order: &RunId,
        turn: &StoredTurn,
        jitter_seed: u64,
    ) -> Result<(), TableError> {
        let said = self.events_at(&order.conversation_id, turn.run_position + 1..=turn.last_position).await?;
        for event in said.iter().filter(|event| is_left_over(event, turn)) {
            with_retries(jitter_seed, || self.supersede(order, event.position)).await?;
        }
        Ok(())
    }

    /// Nothing, where it has been purged meanwhile.
    async fn supersede(&self, order: &RunId, position: u32) -> Result<(), TableError> {
        let key = event_key(&order.conversation_id, position);
        let change = Change::new(key, of_turn(&order.turn_id)).set("superseded", flag(true));
        match self.update(change).send().await {
            Err(error) if !is_refused(&error) => Err(failed("UpdateItem")(error)),
            _ => Ok(()),
        }
    }
}

fn is_left_over(event: &ConversationEvent, turn: &StoredTurn) -> bool {
    let is_replaced = event.sender.kind == SenderKind::Agent && event.attempt != Some(turn.attempt);
    is_replaced && event.superseded != Some(true)
}
