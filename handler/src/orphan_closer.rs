//! Ends a run whose invocations have failed for good: closes its turn, or announces an end that is not
//! announced.
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use api::{
    retry::retry,
    types::{ContentBlock, ConversationEvent, SenderKind, TurnStatus},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout_at;
use tracing::{Instrument, info_span};
use turn::{
    answer::Answer,
    claim::{RunId, StoredTurn},
    closing_decision::{ClosingDecision, ClosingEvent},
    mutation::{EndReason, Mutation, PublishFailure, StoredEvent, Update},
    replies::{Replies, ReplyTo, RunEnd},
    request::{CloseRequest, PublishToolCallRequest, PurgeRequest},
    tool::StoredCalls,
    tool_runs::results_of_expired_wait,
    transcript::calls_without_results,
};

use crate::{
    InvocationContext,
    answer_turn::load_kept_answer,
    attempt_loop::{Effects, RemainingReplies},
    aws::{TableError, with_retries},
    clock::{self, epoch_milliseconds},
    errors::HandlerError,
};

/// Lambda's record of an invocation that failed for good. It contains the invocation's payload with the
/// conversation, of which only ids are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureRecord {
    request_context: RequestContext,
    request_payload: FailedInvocation,
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
enum FailedInvocation {
    Turn(CloseRequest),
    Close(CloseRequest),
    Purge(PurgeRequest),
    PublishToolCall(PublishToolCallRequest),
}

pub fn is_failure_record(payload: &Value) -> bool {
    payload.get("requestPayload").is_some()
}

pub async fn close_failed_run<E: Effects>(
    payload: Value,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    let record: FailureRecord = serde_json::from_value(payload).map_err(HandlerError::from_payload_error)?;
    let RequestContext { request_id, condition } = record.request_context;
    match record.request_payload {
        FailedInvocation::Turn(request) | FailedInvocation::Close(request) => {
            let CloseRequest { run_id, reply_to } = request;
            let span =
                info_span!("close", conversation = run_id.conversation_id, turn = run_id.turn_id, run = run_id.run);
            span.in_scope(|| tracing::warn!(request_id, condition, "an invocation failed for good"));
            close_run(&run_id, reply_to.as_ref(), context).instrument(span).await
        }
        FailedInvocation::Purge(PurgeRequest { conversation_id }) => {
            tracing::error!(conversation = conversation_id, request_id, condition, "a conversation is not purged");
            Ok(())
        }
        FailedInvocation::PublishToolCall(PublishToolCallRequest { conversation_id, turn_id, .. }) => {
            // Readers find the state of the call in the turn.
            let (conversation, turn) = (conversation_id, turn_id);
            tracing::warn!(conversation, turn, request_id, condition, "an answered tool call is not published");
            Ok(())
        }
    }
}

/// Closes the run's turn or announces its end, and sends the answer to who else listens. An earlier
/// invocation may have done a part of that.
pub async fn close_run<E: Effects>(
    run_id: &RunId,
    reply_to: Option<&ReplyTo>,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    let (turn, is_closed_now) = match with_retries(context.jitter_seed(), || close_in_table(run_id, context)).await? {
        AfterClose::Done => return Ok(()),
        AfterClose::Leased => return Err(HandlerError::Leased),
        AfterClose::Announce(turn) => (turn, false),
        AfterClose::AnnounceOwn(turn) => (turn, true),
    };
    let Some(event) = load_last_event(run_id, &turn, context).await? else { return Ok(()) };
    let announced = announce_end(run_id, &turn, &event, context).await;
    // The invocation that has closed the turn tells of it while AppSync is down, but not a repeated one.
    if is_closed_now || announced.is_ok() {
        send_answer(run_id, &turn, &event, reply_to, context).await;
    }
    announced
}

/// The next step once the turn needs no more writes to the table.
enum AfterClose {
    Done,
    /// A handler holds the lease: the invocation is repeated later.
    Leased,
    Announce(StoredTurn),
    /// The same, and this invocation has closed the turn.
    AnnounceOwn(StoredTurn),
}

/// Tries once. Fails if the turn changes between the read and the write.
async fn close_in_table<E: Effects>(
    run_id: &RunId,
    context: &InvocationContext<'_, E>,
) -> Result<AfterClose, TableError> {
    let turn = context.table.load_turn(run_id).await?;
    let now = epoch_milliseconds(context.clock.now());
    let decision = ClosingDecision::for_run(turn.as_ref(), run_id.run, now);
    tracing::info!(?decision, "closing");
    let Some(turn) = turn else { return Ok(AfterClose::Done) };
    match decision {
        ClosingDecision::Nothing => Ok(AfterClose::Done),
        ClosingDecision::Wait => Ok(AfterClose::Leased),
        ClosingDecision::Announce => {
            // The attempt that ended the turn may have died before it could mark them.
            context.table.supersede_orphaned_events(run_id, &turn, context.jitter_seed()).await?;
            Ok(AfterClose::Announce(turn))
        }
        ClosingDecision::Close(reason) => close_turn(run_id, &turn, reason, context).await,
    }
}

async fn close_turn<E: Effects>(
    run_id: &RunId,
    turn: &StoredTurn,
    reason: EndReason,
    context: &InvocationContext<'_, E>,
) -> Result<AfterClose, TableError> {
    let Some(agent_id) = context.table.load_agent_id(&run_id.conversation_id).await? else {
        return Ok(AfterClose::Done);
    };
    context.table.supersede_orphaned_events(run_id, turn, context.jitter_seed()).await?;
    let event = closing_event(run_id, turn, reason, context).await?;
    context.table.close_turn(run_id, turn, &event, agent_id, context.clock.now()).await?;
    Ok(AfterClose::AnnounceOwn(StoredTurn {
        status: reason.status(),
        last_position: event.position,
        last_sequence: event.sequence,
        ..*turn
    }))
}

async fn closing_event<E: Effects>(
    run_id: &RunId,
    turn: &StoredTurn,
    reason: EndReason,
    context: &InvocationContext<'_, E>,
) -> Result<ClosingEvent, TableError> {
    let RunId { conversation_id, turn_id, .. } = run_id;
    if turn.status == TurnStatus::Waiting {
        let answer = load_kept_answer(conversation_id, turn_id, turn, context.table).await?;
        let results = match calls_without_results(&answer) {
            Some(stored) => expired_results(run_id, stored, context).await?,
            None => Vec::new(),
        };
        return Ok(ClosingEvent::of_expired_wait(turn_id, turn, reason, results));
    }
    let batches = context.table.load_batches(run_id, turn).await?;
    Ok(ClosingEvent::new(turn_id, turn, reason, &batches))
}

/// The results of the calls of a wait that has expired. Some of them may have their answers.
async fn expired_results<E>(
    run_id: &RunId,
    mut stored: StoredCalls,
    context: &InvocationContext<'_, E>,
) -> Result<Vec<ContentBlock>, TableError> {
    let ids = stored.calls.iter().map(|call| call.id.as_str());
    let answers = context.table.load_call_answers(run_id, stored.position, ids).await?;
    stored.answers = answers.into_iter().map(|(id, stored)| (id, stored.answer)).collect();
    Ok(results_of_expired_wait(stored, Answer::event_room(&context.limits)))
}

/// The event that has ended the turn. A turn that ended without an event of its own needs no announcement.
async fn load_last_event<E>(
    run_id: &RunId,
    turn: &StoredTurn,
    context: &InvocationContext<'_, E>,
) -> Result<Option<ConversationEvent>, TableError> {
    let last_event = context.table.load_event(&run_id.conversation_id, turn.last_position).await?;
    Ok(last_event
        .filter(|event| event.sender.kind != SenderKind::User && event.turn_id.as_ref() == Some(&run_id.turn_id)))
}

/// Publishes the turn's last event.
async fn announce_end<E: Effects>(
    run_id: &RunId,
    turn: &StoredTurn,
    event: &ConversationEvent,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    let stored = StoredEvent { id: event.id.clone(), position: event.position, status: turn.status };
    let mutation =
        Mutation { claim: run_id.last_claim(turn), sequence: turn.last_sequence, update: Update::Stored(stored) };
    let until = context.deadlines.give_up_at.min(clock::now() + context.limits.announce_timeout);
    let published = timeout_at(until.into(), publish_until_accepted(Arc::new(mutation), context)).await;
    published.unwrap_or(Err(HandlerError::Unannounced))
}

/// Tries for a short time. A client that does not get the answer reads the turn.
async fn send_answer<E: Effects>(
    run_id: &RunId,
    turn: &StoredTurn,
    event: &ConversationEvent,
    reply_to: Option<&ReplyTo>,
    context: &InvocationContext<'_, E>,
) {
    let Some(reply_to) = reply_to else { return };
    let InvocationContext { limits, deadlines, effects, .. } = *context;
    let until = deadlines.give_up_at.min(clock::now() + limits.closing_answer_timeout);
    let earlier = load_earlier_events(run_id, turn, until, context).await;
    let claim = run_id.last_claim(turn);
    let mut replies = Replies::new(reply_to.clone(), claim, limits.reply_retry, context.jitter_seed());
    replies.push_answer(&RunEnd::of_stored_events(turn.last_sequence, turn.status, earlier.as_deref(), event));
    RemainingReplies::new(replies, effects).send(until).await;
}

/// The events of the turn's last step before its last event: no more than are read to supersede orphaned
/// ones. `None` if they cannot be read in half of the time until `until`.
async fn load_earlier_events<E>(
    run_id: &RunId,
    turn: &StoredTurn,
    until: Instant,
    context: &InvocationContext<'_, E>,
) -> Option<Vec<ConversationEvent>> {
    let load_by = until - until.saturating_duration_since(clock::now()) / 2;
    let positions = turn.run_position + 1..=turn.last_position.saturating_sub(1);
    let loading = context.table.load_events(&run_id.conversation_id, positions);
    match timeout_at(load_by.into(), loading).await {
        Ok(Ok(events)) => Some(events),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the answer's earlier events cannot be read");
            None
        }
        Err(_) => {
            tracing::warn!("the answer's earlier events cannot be read in time");
            None
        }
    }
}

/// Repeats the publish until AppSync accepts it, or refuses it for good.
pub async fn publish_until_accepted<E: Effects>(
    mutation: Arc<Mutation>,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    let publish = || context.effects.publish(Arc::clone(&mutation), false);
    let is_retryable = |failure: &PublishFailure, _| matches!(failure, PublishFailure::Retryable);
    match retry(context.limits.publish_retry, context.jitter_seed(), publish, is_retryable).await {
        Ok(_) | Err(PublishFailure::Stale) => Ok(()),
        Err(PublishFailure::Refused | PublishFailure::Retryable) => Err(HandlerError::Unannounced),
    }
}
