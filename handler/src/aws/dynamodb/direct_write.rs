//! Direct writes of an attempt, with the same effect on the table as AppSync's resolvers.
use std::time::SystemTime;

use api::types::{Failure, TurnStatus};
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, ReturnValue, TransactWriteItem},
};
use turn::{
    claim::Claim,
    direct_write::{DirectWrite, WriteFailure},
    mutation::{AgentEvent, AnswerEnd, EndReason, Mutation, Update},
};

use super::{
    Table, TableError,
    attributes::{attribute, boolean, number, string},
    error::{call_error, is_condition_failure},
    expressions::{ItemUpdate, LEASE, conversation_awaits, fence, put_if_absent},
    items::{agent_event_item, parse_event, parse_turn},
    keys::{conversation_key, turn_key},
};
use crate::clock::{epoch_milliseconds, iso_8601};

impl Table {
    /// Tries once. Returns the turn's status after the write.
    pub async fn write_directly(&self, write: DirectWrite, now: SystemTime) -> Result<TurnStatus, WriteFailure> {
        let result = match &write {
            DirectWrite::RenewLease(claim) => self.renew_lease(claim, now).await,
            DirectWrite::StoreEvent(mutation) => self.store_event(mutation, now).await,
        };
        match &result {
            Ok(status) => tracing::info!(?status, "written directly"),
            Err(failure) => tracing::info!(?failure, "not written directly"),
        }
        result
    }

    async fn renew_lease(&self, claim: &Claim, now: SystemTime) -> Result<TurnStatus, WriteFailure> {
        let key = turn_key(&claim.conversation_id, &claim.turn_id);
        let update = ItemUpdate::new(key, fence(claim, epoch_milliseconds(now))).set("leaseUntil", lease_until(now));
        match self.update_item(update).return_values(ReturnValue::AllNew).send().await {
            Ok(output) => match parse_turn(output.attributes.unwrap_or_default()) {
                Ok(turn) => Ok(turn.status),
                Err(_) => Err(WriteFailure::Stale),
            },
            Err(error) if is_condition_failure(&error) => Err(WriteFailure::Stale),
            Err(error) => Err(retryable(call_error("UpdateItem")(error))),
        }
    }

    async fn store_event(&self, mutation: &Mutation, now: SystemTime) -> Result<TurnStatus, WriteFailure> {
        let Update::Event(event) = &mutation.update else { return Err(WriteFailure::Stale) };
        let event_item = agent_event_item(&mutation.claim, event, iso_8601(now));
        let result = self
            .client
            .transact_write_items()
            .transact_items(put_if_absent(&self.name, event_item))
            .transact_items(self.turn_update(mutation, event, now))
            .transact_items(self.conversation_update(&mutation.claim, event, now))
            .send()
            .await;
        let error = match result {
            Ok(_) => return Ok(event.status()),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                result_of_cancelled_transaction(cancelled.cancellation_reasons(), &mutation.claim, event)
            }
            _ => Err(retryable(call_error("TransactWriteItems")(error))),
        }
    }

    /// Extends the lease, or ends the turn if the event is the last one.
    fn turn_update(&self, mutation: &Mutation, event: &AgentEvent, now: SystemTime) -> TransactWriteItem {
        let claim = &mutation.claim;
        let key = turn_key(&claim.conversation_id, &claim.turn_id);
        let update = ItemUpdate::new(key, fence(claim, epoch_milliseconds(now)))
            .set("lastPosition", number(event.position))
            .set("lastSequence", number(mutation.sequence))
            .set("lastEventSequence", number(mutation.sequence));
        let update = match event.is_kept_by_later_attempts() {
            true => update.set("runPosition", number(event.position)),
            false => update,
        };
        let update = match event.end {
            None => update.set("leaseUntil", lease_until(now)),
            Some(end) => set_turn_end(update, end),
        };
        update.into_transact_item(&self.name)
    }

    /// Counts the event, and frees the conversation if the event is the last one.
    fn conversation_update(&self, claim: &Claim, event: &AgentEvent, now: SystemTime) -> TransactWriteItem {
        let Claim { conversation_id, turn_id, .. } = claim;
        let condition = conversation_awaits(turn_id, event.position.saturating_sub(1));
        let mut update =
            ItemUpdate::new(conversation_key(conversation_id), condition).set("eventCount", number(event.position));
        if event.end.is_some() {
            update = update
                .set("lastActivityAt", string(iso_8601(now)))
                .set("listSort", string(format!("{}#{conversation_id}", iso_8601(now))))
                .clause("REMOVE #activeTurnId");
        }
        update.into_transact_item(&self.name)
    }
}

fn set_turn_end(update: ItemUpdate, end: AnswerEnd) -> ItemUpdate {
    let failure = match end.reason {
        EndReason::Stopped(_) => None,
        EndReason::Failed(failure) => Some(attribute(Failure::from(failure))),
    };
    update
        .set("status", attribute(end.reason.status()))
        .set("announced", boolean(false))
        .set_if_some("usage", end.usage.map(attribute))
        .set_if_some("failure", failure)
        .clause("REMOVE #callerCredential")
}

/// If the event is already stored, an earlier try has done the whole transaction.
fn result_of_cancelled_transaction(
    reasons: &[CancellationReason],
    claim: &Claim,
    event: &AgentEvent,
) -> Result<TurnStatus, WriteFailure> {
    let stored_event = reasons.first().and_then(CancellationReason::item);
    if let Some(stored) = stored_event
        && let Ok(stored) = parse_event(stored.clone())
        && stored.id == event.id
        && stored.attempt == Some(claim.attempt)
    {
        return Ok(event.status());
    }
    let is_condition_failure = reasons.iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"));
    Err(if is_condition_failure { WriteFailure::Stale } else { WriteFailure::Retryable })
}

fn lease_until(now: SystemTime) -> AttributeValue {
    number(epoch_milliseconds(now + LEASE))
}

fn retryable(error: TableError) -> WriteFailure {
    tracing::warn!(%error, "writing directly");
    WriteFailure::Retryable
}
