//! Carrying out an order: the claim, what was said before, the attempt.
#[cfg(test)]
mod tests;

use std::time::Instant;

use api::types::{ConversationEvent, SenderKind};
use tokio::time::timeout_at;
use turn::{
    attempt::{Attempt, AttemptEnd, AttemptStart},
    claim::{ClaimRefusal, RunId, StoredTurn},
    mutation::EndReason,
    request::{Agent, TurnRequest},
    transcript::{TranscriptInput, older_events_wanted, transcript},
    types::{ModelRequest, TranscriptMessage},
};

use crate::{
    InvocationContext,
    aws::{Table, TableError},
    clock,
    errors::{HandlerError, log_failure},
    event_loop::{Effects, run_attempt},
    orphan_closer::close,
};

pub async fn answer_turn<O: Effects>(
    request: TurnRequest,
    context: &InvocationContext<'_, O>,
) -> Result<(), HandlerError> {
    let order = RunId::from_request(&request);
    let leased = clock::now();
    match context.table.claim(&order, context.holder, context.clock).await? {
        Ok(turn) => Box::pin(attempt(request, &order, Claimed { turn, leased }, context)).await,
        Err(refusal) => refused(refusal, &order, context).await,
    }
}

async fn refused<O: Effects>(
    refusal: ClaimRefusal,
    order: &RunId,
    context: &InvocationContext<'_, O>,
) -> Result<(), HandlerError> {
    tracing::info!(?refusal, "not claimed");
    match refusal {
        ClaimRefusal::Leased => Err(HandlerError::Leased),
        ClaimRefusal::Gone | ClaimRefusal::OtherRun | ClaimRefusal::Ended => Ok(()),
        ClaimRefusal::Unannounced | ClaimRefusal::Cancelled | ClaimRefusal::TooLate => {
            Box::pin(close(order, context)).await
        }
    }
}

struct Claimed {
    turn: StoredTurn,
    /// When the claim was first sent: its lease began no earlier.
    leased: Instant,
}

async fn attempt<O: Effects>(
    request: TurnRequest,
    order: &RunId,
    claimed: Claimed,
    context: &InvocationContext<'_, O>,
) -> Result<(), HandlerError> {
    let turn = &claimed.turn;
    context.table.supersede_leftovers(order, turn, context.jitter_seed()).await?;
    let (agent, continues) = (request.agent.clone(), request.continues.unwrap_or(false));
    let asked_by = request.asked_by.clone();
    let Some(material) = material(request, turn, context.table).await? else {
        tracing::info!("the question is gone");
        return Ok(());
    };
    let beginning = attempt_start(material, agent, continues, order, &claimed, context);
    let mut attempt = Attempt::begin(beginning, clock::now());
    let ended = run_attempt(&mut attempt, context.effects).await;
    report(turn.attempt, ended, &attempt);
    if let (Some(user), Some(tokens), true) = (asked_by, attempt.tokens(), ended.is_accepted()) {
        count(&user, tokens, context).await;
    }
    match ended {
        AttemptEnd::Published => Ok(()),
        AttemptEnd::Superseded => leave(order, turn, context).await,
        AttemptEnd::Unannounced => Err(HandlerError::Unannounced),
        AttemptEnd::OutOfTime => Err(HandlerError::OutOfTime),
    }
}

/// The turn has its end whether this succeeds or not: quotas are a brake, not a bill.
async fn count<O>(user: &str, tokens: u32, context: &InvocationContext<'_, O>) {
    let until = context.deadlines.give_up_at.min(clock::now() + context.limits.counting);
    let counting = context.table.count_tokens(user, tokens, context.clock.now(), context.jitter_seed());
    match timeout_at(until.into(), counting).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "tokens not counted"),
        Err(_) => tracing::warn!("tokens not counted in time"),
    }
}

/// What was read goes into the transcript, and no further.
fn attempt_start<O>(
    material: TranscriptInput,
    agent: Agent,
    continues: bool,
    order: &RunId,
    claimed: &Claimed,
    context: &InvocationContext<'_, O>,
) -> AttemptStart {
    AttemptStart {
        claim: order.claim(&claimed.turn),
        leased: claimed.leased,
        request: ask(&agent, transcript(&material)),
        agent,
        question: material.question,
        continues,
        limits: context.limits,
        deadlines: context.deadlines,
    }
}

/// Refused by the fence, an attempt has no more to say; but where it only overslept its lease, nobody else may come.
async fn leave<O: Effects>(
    order: &RunId,
    mine: &StoredTurn,
    context: &InvocationContext<'_, O>,
) -> Result<(), HandlerError> {
    let turn = context.table.turn(order).await?;
    if turn.is_none_or(|turn| turn.attempt != mine.attempt) {
        return Ok(());
    }
    match Box::pin(close(order, context)).await {
        Err(HandlerError::Leased) => Ok(()),
        closed => closed,
    }
}

/// None where the question has been purged.
async fn material(
    request: TurnRequest,
    turn: &StoredTurn,
    table: &Table,
) -> Result<Option<TranscriptInput>, TableError> {
    let conversation = &request.conversation_id;
    let question = match request.question {
        Some(question) => Some(question),
        None => table.event(conversation, turn.question_position).await?,
    };
    let Some(question) = question else { return Ok(None) };
    let mut material = TranscriptInput {
        history: request.history,
        history_cut: request.history_cut.unwrap_or(false),
        question,
        kept_answer: Vec::new(),
        context_bytes: request.agent.context_bytes,
    };
    if request.continues == Some(true) {
        let answer = table.events_at(conversation, turn.answer_position + 1..=turn.run_position).await?;
        material.kept_answer = answer.into_iter().filter(|event| stands(event, &request.turn_id)).collect();
    }
    read_older_events(&mut material, conversation, table).await?;
    Ok(Some(material))
}

fn stands(event: &ConversationEvent, turn_id: &str) -> bool {
    let is_answer = event.sender.kind == SenderKind::Agent && event.turn_id.as_deref() == Some(turn_id);
    is_answer && event.superseded != Some(true)
}

async fn read_older_events(
    material: &mut TranscriptInput,
    conversation: &str,
    table: &Table,
) -> Result<(), TableError> {
    while let Some(wanted) = older_events_wanted(material) {
        let mut older = table.events_before(conversation, wanted).await?;
        material.history_cut = !older.is_empty();
        older.append(&mut material.history);
        material.history = older;
    }
    Ok(())
}

fn ask(agent: &Agent, transcript: Vec<TranscriptMessage>) -> ModelRequest {
    ModelRequest {
        model_id: agent.model_id.clone(),
        system_prompt: agent.system_prompt.clone(),
        inference: agent.inference.clone().unwrap_or_default(),
        transcript,
    }
}

fn report(attempt: u32, ended: AttemptEnd, turn: &Attempt) {
    let updates = turn.updates();
    match turn.why() {
        _ if ended == AttemptEnd::Superseded => tracing::info!(attempt, updates, "superseded"),
        Some(EndReason::Failed(failure)) => log_failure(attempt, updates, ended, &failure),
        Some(EndReason::Stopped(reason)) => tracing::info!(attempt, updates, ?reason, ?ended, "answered"),
        None => tracing::warn!(attempt, updates, ?ended, "not answered"),
    }
}
