//! Claiming a turn: one conditional update.
use std::time::SystemTime;

use api::types::TurnStatus;
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use turn::claim::{ClaimRefusal, RunId, StoredTurn};
use uuid::Uuid;

use super::{
    LEASE, Table, TableError,
    expressions::{Change, claimable},
    failed,
    items::{Item, number, spelled, stored_turn, text, text_in},
    keys::turn_key,
    with_retries,
};
use crate::clock::{Clock, epoch_milliseconds};

impl Table {
    /// `holder`: told to nobody else, so that a claim whose answer was lost is known for ours.
    pub async fn claim(
        &self,
        order: &RunId,
        holder: Uuid,
        clock: Clock,
    ) -> Result<Result<StoredTurn, ClaimRefusal>, TableError> {
        with_retries(holder.as_u64_pair().0, || self.claim_once(order, holder, clock.now())).await
    }

    async fn claim_once(
        &self,
        order: &RunId,
        holder: Uuid,
        now: SystemTime,
    ) -> Result<Result<StoredTurn, ClaimRefusal>, TableError> {
        let key = turn_key(&order.conversation_id, &order.turn_id);
        let change = Change::new(key, claimable(order.run, epoch_milliseconds(now)))
            .set("status", text(spelled(TurnStatus::Running)))
            .set("leaseUntil", number(epoch_milliseconds(now + LEASE)))
            .set("holder", text(holder))
            .set("lastSequence", number(0))
            .set("lastEventSequence", number(0))
            .also("ADD #attempt :one")
            .with(":one", number(1));
        let claimed = self
            .update(change)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match claimed {
            Ok(output) => stored_turn(&output.attributes.unwrap_or_default()).map(Ok),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(met)) => {
                    met_a_turn(order, met.item.as_ref(), holder, epoch_milliseconds(now))
                }
                _ => Err(failed("UpdateItem")(error)),
            },
        }
    }
}

/// One that we hold already was claimed by a call whose answer was lost.
fn met_a_turn(
    order: &RunId,
    met: Option<&Item>,
    holder: Uuid,
    now: u64,
) -> Result<Result<StoredTurn, ClaimRefusal>, TableError> {
    let turn = met.map(stored_turn).transpose()?;
    let is_held = met.and_then(|met| text_in(met, "holder")) == Some(&holder.to_string());
    let ours = turn.filter(|turn| is_held && turn.run == order.run && turn.is_leased(now));
    Ok(ours.filter(|turn| !turn.status.is_end()).ok_or_else(|| ClaimRefusal::of(turn, order.run, now)))
}
