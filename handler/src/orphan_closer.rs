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
    claim::{RunId, StoredTurn},
    closing_decision::{ClosingDecision, ClosingEvent, decide},
    mutation::{EndReason, Mutation, PublishFailure, StoredEvent, Update},
    request::PurgeRequest,
};

use crate::{
    InvocationContext,
    aws::{TableError, with_retries},
    clock::{self, epoch_milliseconds},
    errors::HandlerError,
    event_loop::Effects,
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
    Turn(RunId),
    Purge(PurgeRequest),
}

pub fn is_failure_record(payload: &Value) -> bool {
    payload.get("requestPayload").is_some()
}

pub async fn close_failed<O: Effects>(record: Value, context: &InvocationContext<'_, O>) -> Result<(), HandlerError> {
    let record = serde_json::from_value(record).map_err(HandlerError::payload)?;
    let FailureRecord { request_context: RequestContext { request_id, condition }, request_payload } = record;
    match request_payload {
        FailedOrder::Turn(order) => {
            let span = info_span!("close", conversation = order.conversation_id, turn = order.turn_id, run = order.run);
            span.in_scope(|| tracing::warn!(request_id, condition, "an invocation failed for good"));
            close(&order, context).instrument(span).await
        }
        FailedOrder::Purge(PurgeRequest { conversation_id }) => {
            tracing::error!(conversation = conversation_id, request_id, condition, "a conversation is not purged");
            Ok(())
        }
    }
}

/// Does what is left to do for the order, whoever has begun it.
pub async fn close<O: Effects>(order: &RunId, context: &InvocationContext<'_, O>) -> Result<(), HandlerError> {
    match with_retries(context.jitter_seed(), || Box::pin(end(order, context))).await? {
        Left::Nothing => Ok(()),
        Left::Later => Err(HandlerError::Leased),
        Left::Announcement(turn) => announce(order, &turn, context).await,
    }
}

/// What is left to do for a turn whose table needs no more writing.
enum Left {
    Nothing,
    Later,
    Announcement(StoredTurn),
}

/// One try: fails where anything changes between reading and writing.
async fn end<O: Effects>(order: &RunId, context: &InvocationContext<'_, O>) -> Result<Left, TableError> {
    let turn = context.table.turn(order).await?;
    let decision = decide(turn.as_ref(), order.run, epoch_milliseconds(context.clock.now()));
    tracing::info!(?decision, "closing");
    match (turn, decision) {
        (None, _) | (_, ClosingDecision::Nothing) => Ok(Left::Nothing),
        (_, ClosingDecision::Later) => Ok(Left::Later),
        (Some(turn), ClosingDecision::Announce) => {
            // Whoever ended it may not have marked them.
            context.table.supersede_leftovers(order, &turn, context.jitter_seed()).await?;
            Ok(Left::Announcement(turn))
        }
        (Some(turn), ClosingDecision::Close(why)) => write(order, &turn, why, context).await,
    }
}

async fn write<O: Effects>(
    order: &RunId,
    turn: &StoredTurn,
    why: EndReason,
    context: &InvocationContext<'_, O>,
) -> Result<Left, TableError> {
    let Some(agent) = context.table.agent_of(&order.conversation_id).await? else { return Ok(Left::Nothing) };
    context.table.supersede_leftovers(order, turn, context.jitter_seed()).await?;
    let batches = context.table.batches(order, turn).await?;
    let event = ClosingEvent::new(&order.turn_id, turn, why, &batches);
    context.table.close(order, turn, &event, &agent, context.clock.now()).await?;
    let (status, last_position, last_sequence) = (why.status(), event.position, event.sequence);
    Ok(Left::Announcement(StoredTurn { status, last_position, last_sequence, ..*turn }))
}

async fn announce<O: Effects>(
    order: &RunId,
    turn: &StoredTurn,
    context: &InvocationContext<'_, O>,
) -> Result<(), HandlerError> {
    let event = context.table.event(&order.conversation_id, turn.last_position).await?;
    let is_the_turns = |id: Option<&str>| id == Some(&order.turn_id);
    let Some(event) =
        event.filter(|event| event.sender.kind == SenderKind::Agent && is_the_turns(event.turn_id.as_deref()))
    else {
        return Ok(());
    };
    let event = StoredEvent { id: event.id, position: event.position, status: turn.status };
    let mutation = Mutation { claim: order.claim(turn), sequence: turn.last_sequence, update: Update::Stored(event) };
    let until = context.deadlines.give_up_at.min(clock::now() + context.limits.announcing);
    let announced = timeout_at(until.into(), publish(Arc::new(mutation), context)).await;
    announced.unwrap_or(Err(HandlerError::Unannounced))
}

/// Until AppSync takes it, or never will.
async fn publish<O: Effects>(mutation: Arc<Mutation>, context: &InvocationContext<'_, O>) -> Result<(), HandlerError> {
    let mut tries = 0;
    loop {
        match context.effects.publish(Arc::clone(&mutation)).await {
            Ok(_) | Err(PublishFailure::Stale) => return Ok(()),
            Err(PublishFailure::Refused) => return Err(HandlerError::Unannounced),
            Err(PublishFailure::Again) => {
                tries += 1;
                sleep(context.limits.publish_retry.seeded_delay(tries, context.jitter_seed())).await;
            }
        }
    }
}
