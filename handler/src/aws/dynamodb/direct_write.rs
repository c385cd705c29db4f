//! What an attempt writes by itself, under its fence: exactly what AppSync's resolvers write for it.
use std::time::SystemTime;

use api::types::TurnStatus;
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
    LEASE, Table, TableError,
    expressions::{Change, addition, busy, fence},
    failed, is_refused,
    items::{self, flag, number, number_in, spelled, text, text_in, word},
    keys::{meta_key, turn_key},
};
use crate::clock::{epoch_milliseconds, iso_8601};

impl Table {
    /// One try. The turn's status, as the write found or left it.
    pub async fn write(&self, write: DirectWrite, now: SystemTime) -> Result<TurnStatus, WriteFailure> {
        let written = match &write {
            DirectWrite::RenewLease(claim) => self.renew(claim, now).await,
            DirectWrite::StoreEvent(mutation) => self.store(mutation, now).await,
        };
        match &written {
            Ok(status) => tracing::info!(?status, "written directly"),
            Err(failure) => tracing::info!(?failure, "not written directly"),
        }
        written
    }

    async fn renew(&self, claim: &Claim, now: SystemTime) -> Result<TurnStatus, WriteFailure> {
        let condition = fence(claim, epoch_milliseconds(now));
        let change =
            Change::new(turn_key(&claim.conversation_id, &claim.turn_id), condition).set("leaseUntil", lease(now));
        let renewed = self.update(change).return_values(ReturnValue::AllNew).send().await;
        match renewed {
            Ok(output) => {
                let turn = output.attributes.unwrap_or_default();
                text_in(&turn, "status").and_then(word).ok_or(WriteFailure::Stale)
            }
            Err(error) if is_refused(&error) => Err(WriteFailure::Stale),
            Err(error) => Err(again(failed("UpdateItem")(error))),
        }
    }

    /// Nobody has announced what is stored here.
    async fn store(&self, mutation: &Mutation, now: SystemTime) -> Result<TurnStatus, WriteFailure> {
        let Update::Event(event) = &mutation.update else { return Err(WriteFailure::Stale) };
        let items = vec![
            addition(&self.name, items::agent_event(&mutation.claim, event, iso_8601(now))),
            self.turn_goes_on(mutation, event, now),
            self.conversation_goes_on(&mutation.claim, event, now),
        ];
        let stored = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        match stored {
            Ok(_) => Ok(event.status()),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    met(cancelled.cancellation_reasons(), &mutation.claim, event)
                }
                _ => Err(again(failed("TransactWriteItems")(error))),
            },
        }
    }

    fn turn_goes_on(&self, mutation: &Mutation, event: &AgentEvent, now: SystemTime) -> TransactWriteItem {
        let Claim { conversation_id, turn_id, .. } = &mutation.claim;
        let change = Change::new(turn_key(conversation_id, turn_id), fence(&mutation.claim, epoch_milliseconds(now)))
            .set("lastPosition", number(event.position))
            .set("lastSequence", number(mutation.sequence))
            .set("lastEventSequence", number(mutation.sequence));
        let change = match event.end {
            None => change.set("leaseUntil", lease(now)),
            Some(end) => ended(change, end),
        };
        change.transacted(&self.name)
    }

    fn conversation_goes_on(&self, claim: &Claim, event: &AgentEvent, now: SystemTime) -> TransactWriteItem {
        let Claim { conversation_id, turn_id, .. } = claim;
        let change = Change::new(meta_key(conversation_id), busy(turn_id, event.position.saturating_sub(1)))
            .set("eventCount", number(event.position));
        let change = match event.end {
            None => change,
            Some(_) => change
                .set("lastActivityAt", text(iso_8601(now)))
                .set("listSort", text(format!("{}#{conversation_id}", iso_8601(now))))
                .also("REMOVE #activeTurnId"),
        };
        change.transacted(&self.name)
    }
}

fn ended(change: Change, AnswerEnd { why, usage }: AnswerEnd) -> Change {
    let change = change.set("status", text(spelled(why.status()))).set("announced", flag(false));
    let change = usage.into_iter().fold(change, |change, usage| change.set("usage", items::usage(usage)));
    match why {
        EndReason::Stopped(_) => change,
        EndReason::Failed(failure) => change.set("failure", items::failure(failure)),
    }
}

/// The event may be there already: then an earlier try has done it all.
fn met(reasons: &[CancellationReason], claim: &Claim, event: &AgentEvent) -> Result<TurnStatus, WriteFailure> {
    let there = reasons.first().and_then(CancellationReason::item);
    let is_ours = there.is_some_and(|there| {
        text_in(there, "id") == Some(&event.id) && number_in(there, "attempt") == Some(claim.attempt)
    });
    let is_refused = reasons.iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"));
    match (is_ours, is_refused) {
        (true, _) => Ok(event.status()),
        (false, true) => Err(WriteFailure::Stale),
        (false, false) => Err(WriteFailure::Again),
    }
}

fn lease(now: SystemTime) -> AttributeValue {
    number(epoch_milliseconds(now + LEASE))
}

fn again(error: TableError) -> WriteFailure {
    tracing::warn!(%error, "writing directly");
    WriteFailure::Again
}
