//! Claiming a turn: one conditional update.
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use turn::{
    claim::{Claim, Refusal, StoredTurn},
    request::TurnRequest,
};

use super::{
    Table, TableError, conversation_key, failed,
    items::{Item, needed, number_in, text_in, word},
    number, text,
};

const LEASE: Duration = Duration::from_secs(30);
const CLAIM: &str = "SET #status = :running, leaseUntil = :lease, lastSequence = :zero ADD attempt :one";
const CLAIMABLE: &str = "#run = :run AND #status IN (:queued, :running) \
    AND (attribute_not_exists(leaseUntil) OR leaseUntil <= :now) AND claimableUntil > :now";

impl Table {
    pub async fn claim(&self, request: &TurnRequest, now: SystemTime) -> Result<Result<Claim, Refusal>, TableError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claimed = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(conversation_key(&request.conversation_id)))
            .key("sk", text(format!("TURN#{}", request.turn_id)))
            .update_expression(CLAIM)
            .condition_expression(CLAIMABLE)
            .expression_attribute_names("#run", "run")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":run", number(request.run))
            .expression_attribute_values(":queued", text("QUEUED"))
            .expression_attribute_values(":running", text("RUNNING"))
            .expression_attribute_values(":now", number(now.as_millis()))
            .expression_attribute_values(":lease", number((now + LEASE).as_millis()))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match claimed {
            Ok(output) => claim(request, output.attributes.unwrap_or_default()).map(Ok),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(met)) => {
                    met_a_turn(request, met.item.clone(), now)
                }
                _ => Err(failed("UpdateItem")(error)),
            },
        }
    }
}

/// A lease that ends when ours would is ours: the SDK repeats a call whose answer was lost.
fn met_a_turn(request: &TurnRequest, met: Option<Item>, now: Duration) -> Result<Result<Claim, Refusal>, TableError> {
    let turn = met.as_ref().map(stored_turn).transpose()?;
    let ours = Some((now + LEASE).as_millis() as u64);
    match met {
        Some(met) if turn.is_some_and(|turn| turn.run == request.run && turn.lease_until == ours) => {
            claim(request, met).map(Ok)
        }
        _ => Ok(Err(Refusal::of(turn, request.run, now.as_millis() as u64))),
    }
}

fn claim(request: &TurnRequest, turn: Item) -> Result<Claim, TableError> {
    Ok(Claim {
        conversation_id: request.conversation_id.clone(),
        turn_id: request.turn_id.clone(),
        run: request.run,
        attempt: needed("turn", "attempt", number_in(&turn, "attempt"))?,
        last_position: needed("turn", "lastPosition", number_in(&turn, "lastPosition"))?,
    })
}

fn stored_turn(turn: &Item) -> Result<StoredTurn, TableError> {
    Ok(StoredTurn {
        status: needed("turn", "status", text_in(turn, "status").and_then(word))?,
        run: needed("turn", "run", number_in(turn, "run"))?,
        lease_until: number_in(turn, "leaseUntil"),
        claimable_until: needed("turn", "claimableUntil", number_in(turn, "claimableUntil"))?,
    })
}
