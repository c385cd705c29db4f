//! Ending a turn whose order nobody will carry out: closed where its handler is dead, announced where nobody has told.
#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::types::SenderKind;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{sleep, timeout_at};
use tracing::{Instrument, info_span};
use turn::{
    claim::{Order, StoredTurn},
    closing::{ClosingEvent, Decision, decide},
    mutation::{Mutation, PublishFailure, StoredEvent, Update, Why},
    request::PurgeRequest,
};

use crate::{
    Invoked,
    aws::{TableError, patiently},
    clock::{self, epoch_milliseconds},
    errors::HandlerError,
    relay::Outside,
};

/// What Lambda sends on when an invocation has failed for good. It quotes the conversation: only ids are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureRecord {
    request_context: RequestContext,
    request_payload: FailedOrder,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: Option<String>,
    /// RetriesExhausted or EventAgeExceeded.
    condition: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum FailedOrder {
    Turn(Order),
    Purge(PurgeRequest),
}

pub fn is_failure_record(payload: &Value) -> bool {
    payload.get("requestPayload").is_some()
}

pub async fn close_failed<O: Outside>(record: Value, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    let record = serde_json::from_value(record).map_err(HandlerError::payload)?;
    let FailureRecord { request_context: RequestContext { request_id, condition }, request_payload } = record;
    match request_payload {
        FailedOrder::Turn(order) => {
            let span = info_span!("close", conversation = order.conversation_id, turn = order.turn_id, run = order.run);
            span.in_scope(|| tracing::warn!(request_id, condition, "an invocation failed for good"));
            close(&order, invoked).instrument(span).await
        }
        FailedOrder::Purge(PurgeRequest { conversation_id }) => {
            tracing::error!(conversation = conversation_id, request_id, condition, "a conversation is not purged");
            Ok(())
        }
    }
}

/// Does what is left to do for the order, whoever has begun it.
pub async fn close<O: Outside>(order: &Order, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    match patiently(invoked.salt(), || Box::pin(end(order, invoked))).await? {
        Left::Nothing => Ok(()),
        Left::Later => Err(HandlerError::Leased),
        Left::Announcement(turn) => announce(order, &turn, invoked).await,
    }
}

/// What is left to do for a turn whose table needs no more writing.
enum Left {
    Nothing,
    Later,
    Announcement(StoredTurn),
}

/// One try: fails where anything changes between reading and writing.
async fn end<O: Outside>(order: &Order, invoked: &Invoked<'_, O>) -> Result<Left, TableError> {
    let turn = invoked.table.turn(order).await?;
    let decision = decide(turn.as_ref(), order.run, epoch_milliseconds(invoked.clock.now()));
    tracing::info!(?decision, "closing");
    match (turn, decision) {
        (None, _) | (_, Decision::Nothing) => Ok(Left::Nothing),
        (_, Decision::Later) => Ok(Left::Later),
        (Some(turn), Decision::Announce) => {
            // Whoever ended it may not have marked them.
            invoked.table.supersede_leftovers(order, &turn, invoked.salt()).await?;
            Ok(Left::Announcement(turn))
        }
        (Some(turn), Decision::Close(why)) => write(order, &turn, why, invoked).await,
    }
}

async fn write<O: Outside>(
    order: &Order,
    turn: &StoredTurn,
    why: Why,
    invoked: &Invoked<'_, O>,
) -> Result<Left, TableError> {
    let Some(agent) = invoked.table.agent_of(&order.conversation_id).await? else { return Ok(Left::Nothing) };
    invoked.table.supersede_leftovers(order, turn, invoked.salt()).await?;
    let batches = invoked.table.batches(order, turn).await?;
    let event = ClosingEvent::new(&order.turn_id, turn, why, &batches);
    invoked.table.close(order, turn, &event, &agent, invoked.clock.now()).await?;
    let (status, last_position, last_sequence) = (why.status(), event.position, event.sequence);
    Ok(Left::Announcement(StoredTurn { status, last_position, last_sequence, ..*turn }))
}

async fn announce<O: Outside>(order: &Order, turn: &StoredTurn, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    let event = invoked.table.event(&order.conversation_id, turn.last_position).await?;
    let is_the_turns = |id: Option<&str>| id == Some(&order.turn_id);
    let Some(event) =
        event.filter(|event| event.sender.kind == SenderKind::Agent && is_the_turns(event.turn_id.as_deref()))
    else {
        return Ok(());
    };
    let event = StoredEvent { id: event.id, position: event.position, status: turn.status };
    let mutation = Mutation { claim: order.claim(turn), sequence: turn.last_sequence, update: Update::Stored(event) };
    let until = invoked.limits.give_up_at.min(clock::now() + invoked.bounds.announcing);
    let announced = timeout_at(until.into(), publish(Arc::new(mutation), invoked)).await;
    announced.unwrap_or(Err(HandlerError::Unannounced))
}

/// Until AppSync takes it, or never will.
async fn publish<O: Outside>(mutation: Arc<Mutation>, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    let mut tries = 0;
    loop {
        match invoked.outside.publish(Arc::clone(&mutation)).await {
            Ok(_) | Err(PublishFailure::Stale) => return Ok(()),
            Err(PublishFailure::Refused) => return Err(HandlerError::Unannounced),
            Err(PublishFailure::Again) => {
                tries += 1;
                sleep(invoked.bounds.publish_retry.seeded_delay(tries, invoked.salt())).await;
            }
        }
    }
}
