//! Carrying out an order: the claim, what was said before, the attempt.
#[cfg(test)]
mod tests;

use std::time::Instant;

use api::types::{ConversationEvent, SenderKind};
use tokio::time::timeout_at;
use turn::{
    attempt::{Attempt, Beginning, Ended},
    claim::{Order, Refusal, StoredTurn},
    mutation::Why,
    request::{Agent, TurnRequest},
    transcript::{Material, older_events_wanted, transcript},
    types::{ModelRequest, TranscriptMessage},
};

use crate::{
    Invoked,
    aws::{Table, TableError},
    clock,
    closing::close,
    errors::{HandlerError, log_failure},
    relay::{Outside, relay},
};

pub async fn answer<O: Outside>(request: TurnRequest, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    let order = Order::of(&request);
    let leased = clock::now();
    match invoked.table.claim(&order, invoked.holder, invoked.clock).await? {
        Ok(turn) => Box::pin(attempt(request, &order, Claimed { turn, leased }, invoked)).await,
        Err(refusal) => refused(refusal, &order, invoked).await,
    }
}

async fn refused<O: Outside>(refusal: Refusal, order: &Order, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    tracing::info!(?refusal, "not claimed");
    match refusal {
        Refusal::Leased => Err(HandlerError::Leased),
        Refusal::Gone | Refusal::OtherRun | Refusal::Ended => Ok(()),
        Refusal::Unannounced | Refusal::Cancelled | Refusal::TooLate => Box::pin(close(order, invoked)).await,
    }
}

struct Claimed {
    turn: StoredTurn,
    /// When the claim was first sent: its lease began no earlier.
    leased: Instant,
}

async fn attempt<O: Outside>(
    request: TurnRequest,
    order: &Order,
    claimed: Claimed,
    invoked: &Invoked<'_, O>,
) -> Result<(), HandlerError> {
    let turn = &claimed.turn;
    invoked.table.supersede_leftovers(order, turn, invoked.salt()).await?;
    let (agent, continues) = (request.agent.clone(), request.continues.unwrap_or(false));
    let asked_by = request.asked_by.clone();
    let Some(material) = material(request, turn, invoked.table).await? else {
        tracing::info!("the question is gone");
        return Ok(());
    };
    let beginning = beginning(material, agent, continues, order, &claimed, invoked);
    let mut attempt = Attempt::begin(beginning, clock::now());
    let ended = relay(&mut attempt, invoked.outside).await;
    report(turn.attempt, ended, &attempt);
    if let (Some(user), Some(tokens), true) = (asked_by, attempt.tokens(), ended.is_accepted()) {
        count(&user, tokens, invoked).await;
    }
    match ended {
        Ended::Published => Ok(()),
        Ended::Superseded => leave(order, turn, invoked).await,
        Ended::Unannounced => Err(HandlerError::Unannounced),
        Ended::OutOfTime => Err(HandlerError::OutOfTime),
    }
}

/// The turn has its end whether this succeeds or not: quotas are a brake, not a bill.
async fn count<O>(user: &str, tokens: u32, invoked: &Invoked<'_, O>) {
    let until = invoked.limits.give_up_at.min(clock::now() + invoked.bounds.counting);
    let counting = invoked.table.count_tokens(user, tokens, invoked.clock.now(), invoked.salt());
    match timeout_at(until.into(), counting).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "tokens not counted"),
        Err(_) => tracing::warn!("tokens not counted in time"),
    }
}

/// What was read goes into the transcript, and no further.
fn beginning<O>(
    material: Material,
    agent: Agent,
    continues: bool,
    order: &Order,
    claimed: &Claimed,
    invoked: &Invoked<'_, O>,
) -> Beginning {
    Beginning {
        claim: order.claim(&claimed.turn),
        leased: claimed.leased,
        request: ask(&agent, transcript(&material)),
        agent,
        question: material.question,
        continues,
        bounds: invoked.bounds,
        limits: invoked.limits,
    }
}

/// Refused by the fence, an attempt has no more to say; but where it only overslept its lease, nobody else may come.
async fn leave<O: Outside>(order: &Order, mine: &StoredTurn, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    let turn = invoked.table.turn(order).await?;
    if turn.is_none_or(|turn| turn.attempt != mine.attempt) {
        return Ok(());
    }
    match Box::pin(close(order, invoked)).await {
        Err(HandlerError::Leased) => Ok(()),
        closed => closed,
    }
}

/// None where the question has been purged.
async fn material(request: TurnRequest, turn: &StoredTurn, table: &Table) -> Result<Option<Material>, TableError> {
    let conversation = &request.conversation_id;
    let question = match request.question {
        Some(question) => Some(question),
        None => table.event(conversation, turn.question_position).await?,
    };
    let Some(question) = question else { return Ok(None) };
    let mut material = Material {
        history: request.history,
        history_cut: request.history_cut.unwrap_or(false),
        question,
        standing: Vec::new(),
        context_bytes: request.agent.context_bytes,
    };
    if request.continues == Some(true) {
        let answer = table.events_at(conversation, turn.answer_position + 1..=turn.run_position).await?;
        material.standing = answer.into_iter().filter(|event| stands(event, &request.turn_id)).collect();
    }
    read_older_events(&mut material, conversation, table).await?;
    Ok(Some(material))
}

fn stands(event: &ConversationEvent, turn_id: &str) -> bool {
    let is_answer = event.sender.kind == SenderKind::Agent && event.turn_id.as_deref() == Some(turn_id);
    is_answer && event.superseded != Some(true)
}

async fn read_older_events(material: &mut Material, conversation: &str, table: &Table) -> Result<(), TableError> {
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

fn report(attempt: u32, ended: Ended, turn: &Attempt) {
    let updates = turn.updates();
    match turn.why() {
        _ if ended == Ended::Superseded => tracing::info!(attempt, updates, "superseded"),
        Some(Why::Failed(failure)) => log_failure(attempt, updates, ended, &failure),
        Some(Why::Stopped(reason)) => tracing::info!(attempt, updates, ?reason, ?ended, "answered"),
        None => tracing::warn!(attempt, updates, ?ended, "not answered"),
    }
}
