//! Claims a turn with one conditional update.
use std::time::SystemTime;

use api::types::TurnStatus;
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use turn::claim::{ClaimRefusal, RunId, StoredTurn};
use uuid::Uuid;

use super::{
    Table, TableError,
    attributes::{Item, attribute, get_string, number, string},
    error::{call_error, with_retries},
    expressions::{ItemUpdate, LEASE, claimable},
    items::parse_turn,
    keys::turn_key,
};
use crate::clock::{Clock, epoch_milliseconds};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    Claimed(StoredTurn),
    Refused(ClaimRefusal),
}

impl Table {
    /// `holder` identifies the invocation, so that it recognizes its own claim if the response was lost.
    /// `started_at` is that of the request.
    pub async fn claim_turn(
        &self,
        run_id: &RunId,
        started_at: Option<u64>,
        holder: Uuid,
        clock: Clock,
    ) -> Result<ClaimOutcome, TableError> {
        let jitter_seed = holder.as_u64_pair().0;
        with_retries(jitter_seed, || self.claim_turn_once(run_id, started_at, holder, clock.now())).await
    }

    async fn claim_turn_once(
        &self,
        run_id: &RunId,
        started_at: Option<u64>,
        holder: Uuid,
        now: SystemTime,
    ) -> Result<ClaimOutcome, TableError> {
        let key = turn_key(&run_id.conversation_id, &run_id.turn_id);
        let update = ItemUpdate::new(key, claimable(run_id.run, epoch_milliseconds(now)))
            .set("status", attribute(TurnStatus::Running))
            .set("leaseUntil", number(epoch_milliseconds(now + LEASE)))
            .set("holder", string(holder))
            .set_if_some("claimedStart", started_at.map(number))
            .set("lastSequence", number(0))
            .set("lastEventSequence", number(0))
            .clause("ADD #attempt :one")
            .value(":one", number(1));
        let result = self
            .update_item(update)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match result {
            Ok(output) => return Ok(ClaimOutcome::Claimed(parse_turn(output.attributes.unwrap_or_default())?)),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failure)) => {
                let stored = failure.item.clone();
                outcome_of_failed_condition(run_id, started_at, stored, holder, epoch_milliseconds(now))
            }
            _ => Err(call_error("UpdateItem")(error)),
        }
    }
}

/// A turn with our own holder was claimed by an earlier try, whose response was lost.
fn outcome_of_failed_condition(
    run_id: &RunId,
    started_at: Option<u64>,
    stored: Option<Item>,
    holder: Uuid,
    now: u64,
) -> Result<ClaimOutcome, TableError> {
    let Some(item) = stored else {
        return Ok(ClaimOutcome::Refused(ClaimRefusal::from_stored(None, run_id.run, started_at, now)));
    };
    let is_ours = get_string(&item, "holder") == Some(&holder.to_string());
    let turn = parse_turn(item)?;
    let is_answerable = turn.run == run_id.run && turn.is_leased(now) && !turn.status.is_end();
    if is_ours && is_answerable {
        return Ok(ClaimOutcome::Claimed(turn));
    }
    Ok(ClaimOutcome::Refused(ClaimRefusal::from_stored(Some(turn), run_id.run, started_at, now)))
}
