//! Closes a turn that no handler works on: its closing event, its end and its conversation in one
//! transaction.
use std::time::SystemTime;

use api::types::{ConversationEvent, SenderKind, TurnStatus};
use turn::{
    claim::{RunId, StoredTurn},
    closing_decision::ClosingEvent,
    mutation::EndReason,
};

use super::{
    Table, TableError,
    attributes::{attribute, boolean, number},
    error::{call_error, is_condition_failure, with_retries},
    expressions::{ItemUpdate, conversation_awaits, event_of_turn, put_if_absent, unchanged},
    items::closing_event_item,
    keys::{conversation_key, event_key, turn_key},
};
use crate::clock::iso_8601;

impl Table {
    /// Tries once. Fails if the turn or its conversation has changed since the turn was read.
    pub async fn close_turn(
        &self,
        run_id: &RunId,
        turn: &StoredTurn,
        event: &ClosingEvent,
        agent_id: String,
        now: SystemTime,
    ) -> Result<(), TableError> {
        let RunId { conversation_id, turn_id, .. } = run_id;
        let failure = match event.reason {
            EndReason::Stopped(_) => None,
            EndReason::Failed(failure) => Some(attribute(api::types::Failure::from(failure))),
        };
        let turn_update = ItemUpdate::new(turn_key(conversation_id, turn_id), unchanged(turn))
            .set("status", attribute(event.reason.status()))
            .set("announced", boolean(false))
            .set("lastPosition", number(event.position))
            .set("lastSequence", number(event.sequence))
            .set("lastEventSequence", number(event.sequence))
            .set_if_some("failure", failure);
        let turn_update = match turn.status {
            TurnStatus::Waiting => turn_update.clause("REMOVE #pending, #pendingUntil, #callerCredential"),
            _ => turn_update.clause("REMOVE #callerCredential"),
        };
        let conversation_update =
            ItemUpdate::new(conversation_key(conversation_id), conversation_awaits(turn_id, turn.last_position))
                .set("eventCount", number(event.position))
                .clause("REMOVE #activeTurnId");
        let event_item = closing_event_item(&run_id.last_claim(turn), event, agent_id, iso_8601(now));
        self.client
            .transact_write_items()
            .transact_items(put_if_absent(&self.name, event_item))
            .transact_items(turn_update.into_transact_item(&self.name))
            .transact_items(conversation_update.into_transact_item(&self.name))
            .send()
            .await
            .map_err(call_error("TransactWriteItems"))?;
        Ok(())
    }

    /// Marks the events of the current run that earlier attempts have stored as superseded, but for those up
    /// to the turn's run position: they have steps with tool calls, which the run keeps.
    pub async fn supersede_orphaned_events(
        &self,
        run_id: &RunId,
        turn: &StoredTurn,
        jitter_seed: u64,
    ) -> Result<(), TableError> {
        let run_positions = turn.run_position + 1..=turn.last_position;
        for event in self.load_events(&run_id.conversation_id, run_positions).await? {
            if is_orphaned(&event, turn) {
                with_retries(jitter_seed, || self.supersede_event(run_id, event.position)).await?;
            }
        }
        Ok(())
    }

    /// Does nothing if the event has been purged.
    async fn supersede_event(&self, run_id: &RunId, position: u32) -> Result<(), TableError> {
        let key = event_key(&run_id.conversation_id, position);
        let update = ItemUpdate::new(key, event_of_turn(&run_id.turn_id)).set("superseded", boolean(true));
        match self.update_item(update).send().await {
            Err(error) if !is_condition_failure(&error) => Err(call_error("UpdateItem")(error)),
            _ => Ok(()),
        }
    }
}

/// Whether the event was stored by an attempt before the turn's last one.
fn is_orphaned(event: &ConversationEvent, turn: &StoredTurn) -> bool {
    if event.superseded == Some(true) {
        return false;
    }
    event.sender.kind != SenderKind::User && event.attempt != Some(turn.attempt)
}
