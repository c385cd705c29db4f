//! Answers a turn: claims it, loads what the payload lacks, runs the attempt and does what its end requires.
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use api::types::{ConversationEvent, Sender, SenderKind, ToolUse};
use tokio::{join, time::timeout_at};
use turn::{
    attempt::{Attempt, AttemptStart, RetrievalStart},
    claim::{ClaimRefusal, RunId, StoredTurn},
    effect::AttemptEnd,
    knowledge_tool::{remove_passages, stored_passages},
    model::ModelRequest,
    mutation::EndReason,
    replies::ReplyTo,
    request::{Agent, TurnRequest},
    title::{is_first_answer, is_titled_after},
    tool::{CallAnswer, Caller, CallerCredential, StoredCalls},
    transcript::{TranscriptInput, build_transcript, calls_without_results, older_events_to_load},
};

use crate::{
    InvocationContext,
    attempt_loop::{Effects, run_attempt},
    aws::{CLAIM_RETENTION, ClaimOutcome, StoredAnswer, Table, TableError},
    clock::{self, iso_8601},
    errors::{HandlerError, log_failure},
    orphan_closer::close_run,
    title::{Untitled, give_title},
};

/// All callers with the API key are this user. The same as in resolvers/auth/authenticate.js.
const API_KEY_USER: &str = "API_KEY";
/// The largest difference between the clocks of AppSync, the handler and DynamoDB.
const CLOCK_DIFFERENCE: Duration = Duration::from_mins(60);

pub async fn answer_turn<E: Effects>(
    request: TurnRequest,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    let run_id = request.run_id();
    let leased_at = clock::now();
    match context.table.claim_turn(&run_id, request.started_at, context.holder, context.clock).await? {
        ClaimOutcome::Claimed(turn) => {
            answer_claimed_turn(request, &run_id, ClaimedTurn { turn, leased_at }, context).await
        }
        ClaimOutcome::Refused(refusal) => on_claim_refused(refusal, &run_id, request.reply_to.as_ref(), context).await,
    }
}

async fn on_claim_refused<E: Effects>(
    refusal: ClaimRefusal,
    run_id: &RunId,
    reply_to: Option<&ReplyTo>,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    tracing::info!(?refusal, "not claimed");
    match refusal {
        ClaimRefusal::Leased => Err(HandlerError::Leased),
        ClaimRefusal::NotFound
        | ClaimRefusal::OtherRun
        | ClaimRefusal::Ended
        | ClaimRefusal::Waiting
        | ClaimRefusal::LeasedByOtherStart => Ok(()),
        // The attempt that has ended the turn has sent the answer.
        ClaimRefusal::Unannounced => close_run(run_id, None, context).await,
        ClaimRefusal::Cancelled | ClaimRefusal::Expired => close_run(run_id, reply_to, context).await,
    }
}

struct ClaimedTurn {
    turn: StoredTurn,
    /// When the claim was first sent. The lease started no earlier.
    leased_at: Instant,
}

async fn answer_claimed_turn<E: Effects>(
    request: TurnRequest,
    run_id: &RunId,
    claimed: ClaimedTurn,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    let turn = &claimed.turn;
    context.table.supersede_orphaned_events(run_id, turn, context.jitter_seed()).await?;
    let agent = request.agent.clone();
    let asked_by = request.asked_by.clone();
    let credential = request.caller_credential.clone().map(Arc::new);
    let groups = request.caller_groups.clone();
    let is_shared = request.participant_count > 0;
    let reply_to = request.reply_to.clone();
    let is_untitled = request.untitled;
    let Some(mut input) = load_transcript_input(request, turn, context.table).await? else {
        tracing::info!("the question has been purged");
        return Ok(());
    };
    let agent = agent.for_answer(&input.kept_answer);
    input.model_id.clone_from(&agent.model_id);
    let untitled = is_untitled.then(|| untitled(run_id, &input, &agent)).flatten();
    let caller = caller(&asked_by, groups, &input.question, credential);
    let stored_calls = load_stored_calls(&input.kept_answer, &agent, asked_by.as_deref(), run_id, context).await?;
    let mut attempt = Attempt::new(
        AttemptStart {
            claim: run_id.last_claim(turn),
            retrieval: RetrievalStart::for_question(&agent, &input, &caller),
            stored_passages: stored_passages(&input.kept_answer),
            reply_to: reply_to.clone(),
            caller,
            leased_at: claimed.leased_at,
            request: model_request(&agent, &input),
            agent,
            continues: keeps_events(turn),
            stored_calls,
            kept_usage: input.kept_answer.iter().rev().find_map(|event| event.usage),
            question: input.question,
            limits: context.limits,
            deadlines: context.deadlines,
        },
        clock::now(),
    );
    let (end, replies) = run_attempt(&mut attempt, context.effects).await;
    log_end(turn.attempt, end, &attempt);
    let tokens = if end.ends_work() { attempt.token_count() } else { attempt.ended_steps_token_count() };
    let bookkeeping = async {
        if let (Some(user_id), Some(tokens)) = (asked_by, tokens) {
            count_tokens(&user_id, tokens, context).await;
        }
        if end.closed_turn() && is_shared {
            move_to_top_of_lists(&run_id.conversation_id, context).await;
        }
    };
    let titling = async {
        let is_titled = end == AttemptEnd::Published && attempt.end_reason().is_some_and(is_titled_after);
        if let Some(untitled) = untitled.filter(|_| is_titled) {
            give_title(untitled, context).await;
        }
    };
    if end.ends_work() {
        let until = context.deadlines.give_up_at.min(clock::now() + context.limits.reply_timeout);
        join!(bookkeeping, replies.send(until), titling);
    } else {
        drop(replies);
        bookkeeping.await;
    }
    match end {
        AttemptEnd::Published | AttemptEnd::Waiting => Ok(()),
        AttemptEnd::Superseded => close_if_lease_expired(run_id, turn, reply_to.as_ref(), context).await,
        AttemptEnd::Unannounced => Err(HandlerError::Unannounced),
        AttemptEnd::OutOfTime => Err(HandlerError::OutOfTime),
    }
}

/// `None` where an earlier answer could have given the title.
fn untitled(run_id: &RunId, input: &TranscriptInput, agent: &Agent) -> Option<Untitled> {
    is_first_answer(&input.history, input.history_cut).then(|| Untitled {
        conversation_id: run_id.conversation_id.clone(),
        question: input.question.texts().collect(),
        guardrail: agent.guardrail.clone(),
    })
}

/// The name is known where the caller has also sent the question: another user may have asked for a retry.
fn caller(
    asked_by: &Option<String>,
    groups: Vec<String>,
    question: &ConversationEvent,
    credential: Option<Arc<CallerCredential>>,
) -> Caller {
    let Sender { id, name, .. } = &question.sender;
    Caller { id: asked_by.clone(), name: name.clone().filter(|_| id == asked_by), groups, credential }
}

/// Tries for a short time. The invocation succeeds without the count, because quotas limit usage but bill
/// nothing.
async fn count_tokens<E>(user_id: &str, tokens: u32, context: &InvocationContext<'_, E>) {
    let counting = context.table.count_tokens(user_id, tokens, context.clock.now(), context.jitter_seed());
    match timeout_at(bookkeeping_deadline(context), counting).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "tokens not counted"),
        Err(_) => tracing::warn!("tokens not counted in time"),
    }
}

/// Tries for a short time. A list that is not updated has the conversation at its old place until the next
/// answer.
async fn move_to_top_of_lists<E>(conversation_id: &str, context: &InvocationContext<'_, E>) {
    let moving = context.table.move_to_top_of_participants_lists(conversation_id, context.clock.now());
    match timeout_at(bookkeeping_deadline(context), moving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "participants' lists not updated"),
        Err(_) => tracing::warn!("participants' lists not updated in time"),
    }
}

fn bookkeeping_deadline<E>(context: &InvocationContext<'_, E>) -> tokio::time::Instant {
    context.deadlines.give_up_at.min(clock::now() + context.limits.bookkeeping_timeout).into()
}

/// Closes the turn if no other attempt has claimed it: then the lease has merely expired, and no retry of the
/// invocation would continue the turn.
async fn close_if_lease_expired<E: Effects>(
    run_id: &RunId,
    claimed: &StoredTurn,
    reply_to: Option<&ReplyTo>,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    if !is_last_attempt(run_id, claimed, context).await? {
        return Ok(());
    }
    match close_run(run_id, reply_to, context).await {
        Err(HandlerError::Leased) if is_last_attempt(run_id, claimed, context).await? => {
            // A publish of this attempt was accepted late and has renewed the lease. No other invocation
            // works on the turn, so this one fails, and its retry closes the turn or answers it.
            Err(HandlerError::Leased)
        }
        Err(HandlerError::Leased) => Ok(()),
        result => result,
    }
}

/// Whether no other attempt has claimed the turn since.
async fn is_last_attempt<E: Effects>(
    run_id: &RunId,
    claimed: &StoredTurn,
    context: &InvocationContext<'_, E>,
) -> Result<bool, TableError> {
    let turn = context.table.load_turn(run_id).await?;
    Ok(turn.is_some_and(|turn| turn.attempt == claimed.attempt))
}

/// `None` if the question has been purged.
async fn load_transcript_input(
    request: TurnRequest,
    turn: &StoredTurn,
    table: &Table,
) -> Result<Option<TranscriptInput>, TableError> {
    let conversation_id = &request.conversation_id;
    let question = match request.question {
        Some(question) => Some(question),
        None => table.load_event(conversation_id, turn.question_position).await?,
    };
    let Some(question) = question else { return Ok(None) };
    let mut input = TranscriptInput {
        history: request.history,
        history_cut: request.history_cut.unwrap_or(false),
        question,
        context: Vec::new(),
        kept_answer: Vec::new(),
        context_bytes: request.agent.context_bytes,
        model_id: request.agent.model_id.clone(),
    };
    input.kept_answer = load_kept_answer(conversation_id, &request.turn_id, turn, table).await?;
    load_older_events(&mut input, conversation_id, table).await?;
    Ok(Some(input))
}

/// The calls at the end of the existing answer whose results are not stored, with what is known about them.
async fn load_stored_calls<E>(
    kept_answer: &[ConversationEvent],
    agent: &Agent,
    asked_by: Option<&str>,
    run_id: &RunId,
    context: &InvocationContext<'_, E>,
) -> Result<Option<StoredCalls>, TableError> {
    let Some(mut stored) = calls_without_results(kept_answer) else { return Ok(None) };
    let event = kept_answer.iter().find(|event| event.position == stored.position);
    if event.is_none_or(|event| !has_claims(event, context.clock.now())) {
        let ids = stored.calls.iter().map(|call| call.id.clone());
        stored.answers = ids.map(|id| (id, CallAnswer::NoLongerCounts)).collect();
        return Ok(Some(stored));
    }
    let calls = stored.calls.iter().filter(|call| may_have_answer(call, agent, run_id));
    let ids = calls.map(|call| call.id.as_str());
    let answers = context.table.load_call_answers(run_id, stored.position, ids).await?;
    stored.answers = answers.into_iter().map(|(id, answer)| (id, effective_answer(answer, agent, asked_by))).collect();
    Ok(Some(stored))
}

/// Whether all claims of an event's calls are still stored: then no call is run twice.
fn has_claims(event: &ConversationEvent, now: SystemTime) -> bool {
    event.created_at > iso_8601(now - (CLAIM_RETENTION - CLOCK_DIFFERENCE))
}

/// Every call of a run after the first may have one: the agent may have changed since.
fn may_have_answer(call: &ToolUse, agent: &Agent, run_id: &RunId) -> bool {
    let tool = agent.tools.iter().find(|tool| tool.name == call.name);
    run_id.run > 1 || tool.is_some_and(|tool| tool.pending_status().is_some())
}

/// The answer as it counts in this run. A run calls tools as the user who asked for it, and as its agent has
/// them, so an approval counts if the same user has given it for the same version of the agent.
fn effective_answer(stored: StoredAnswer, agent: &Agent, asked_by: Option<&str>) -> CallAnswer {
    let is_of_asker = stored.answered_by.as_deref() == Some(asked_by.unwrap_or(API_KEY_USER));
    let is_of_agent = stored.agent_id.as_ref() == Some(&agent.id) && stored.agent_version == Some(agent.version);
    match stored.answer {
        CallAnswer::Approved if !is_of_asker || !is_of_agent => CallAnswer::NoLongerCounts,
        answer => answer,
    }
}

/// Whether the answer has events that the attempt appends to: the run continues an answer, or an earlier
/// attempt of the run has stored a step with tool calls.
fn keeps_events(turn: &StoredTurn) -> bool {
    turn.run_position > turn.answer_position
}

/// The existing events that the attempt appends to, ascending by position.
pub async fn load_kept_answer(
    conversation_id: &str,
    turn_id: &str,
    turn: &StoredTurn,
    table: &Table,
) -> Result<Vec<ConversationEvent>, TableError> {
    if !keeps_events(turn) {
        return Ok(Vec::new());
    }
    let mut events = table.load_events(conversation_id, turn.answer_position + 1..=turn.run_position).await?;
    events.retain(|event| is_kept_answer(event, turn_id));
    Ok(events)
}

fn is_kept_answer(event: &ConversationEvent, turn_id: &str) -> bool {
    let is_answer = event.sender.kind != SenderKind::User && event.turn_id.as_deref() == Some(turn_id);
    is_answer && event.superseded != Some(true)
}

async fn load_older_events(
    input: &mut TranscriptInput,
    conversation_id: &str,
    table: &Table,
) -> Result<(), TableError> {
    while let Some(page) = older_events_to_load(input) {
        let mut older = table.load_older_events(conversation_id, page).await?;
        input.history_cut = !older.is_empty();
        older.append(&mut input.history);
        remove_passages(&mut older);
        input.history = older;
    }
    Ok(())
}

pub fn model_request(agent: &Agent, input: &TranscriptInput) -> ModelRequest {
    ModelRequest {
        model_id: agent.model_id.clone(),
        system_prompt: agent.system_prompt.clone(),
        inference: agent.inference.clone().unwrap_or_default(),
        tools: agent.model_tools(),
        transcript: build_transcript(input),
        reasoning: agent.reasoning,
        prompt_caching: agent.prompt_caching,
        guardrail: agent.guardrail.clone(),
    }
}

pub fn log_end(attempt_number: u32, end: AttemptEnd, attempt: &Attempt) {
    let updates = attempt.update_count();
    match end {
        AttemptEnd::Superseded => return tracing::info!(attempt = attempt_number, updates, "superseded"),
        AttemptEnd::Waiting => return tracing::info!(attempt = attempt_number, updates, "waiting for answers"),
        AttemptEnd::Published | AttemptEnd::Unannounced | AttemptEnd::OutOfTime => {}
    }
    match attempt.end_reason() {
        Some(EndReason::Failed(failure)) => log_failure(attempt_number, updates, end, &failure),
        Some(EndReason::Stopped(reason)) => {
            tracing::info!(attempt = attempt_number, updates, ?reason, ended = ?end, "answered");
        }
        None => tracing::warn!(attempt = attempt_number, updates, ended = ?end, "not answered"),
    }
}
