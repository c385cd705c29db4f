//! One-shot answers: the caller waits for the text. The attempt is that of a turn, but nothing is claimed,
//! published or stored.
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{
    retry::retry,
    types::{ContentBlock, ConversationEvent, FailureCode, Sender, SenderKind, StopReason, TurnStatus},
};
use futures::Stream;
use tokio::time::timeout_at;
use turn::{
    attempt::{Attempt, AttemptStart, RetrievalStart},
    claim::Claim,
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    failures::Failure,
    knowledge::RetrievalRequest,
    model::{ModelError, ModelRequest, StreamEvent},
    mutation::{Accepted, EndReason, Mutation, PublishFailure},
    one_shot::{AnswerText, GeneratedAnswer, GenerationRequest, OneShotAnswer, is_allowed_tool},
    replies::{ReplyFailure, ReplyRequest},
    request::OneShotRequest,
    retrieval::RetrievalResult,
    tool::{Caller, ToolOutcome, ToolRun},
    transcript::TranscriptInput,
};

use crate::{
    InvocationContext,
    answer_turn::{log_end, model_request},
    attempt_loop::{Effects, run_attempt},
    aws::KnowledgeBases,
    clock::{self, iso_8601},
};

/// The only attempt of the only run.
const ATTEMPT: u32 = 1;
/// The position of the question, the only event before the answer.
const QUESTION_POSITION: u32 = 1;

pub async fn answer_one_shot<E: Effects>(request: OneShotRequest, context: &InvocationContext<'_, E>) -> OneShotAnswer {
    match (GenerationRequest::from_question(&request), context.knowledge_bases) {
        (Some(generation), Some(knowledge_bases)) => generate(&generation, knowledge_bases, context).await,
        _ => run_one_shot_attempt(request, context).await,
    }
}

/// Bedrock searches and answers.
async fn generate<E>(
    request: &GenerationRequest,
    knowledge_bases: &KnowledgeBases,
    context: &InvocationContext<'_, E>,
) -> OneShotAnswer {
    let deadlines = Deadlines::of_one_shot(clock::now(), remaining_time(context));
    let generated = match request.answer_without_documents() {
        Some(answer) => Ok(Ok(answer)),
        None => {
            let call = || knowledge_bases.generate(request);
            let tries = retry(context.limits.model_retry, context.jitter_seed(), call, |error, next| {
                error.repeat_until(&deadlines).is_some_and(|until| clock::now() + next.delay < until)
            });
            timeout_at(deadlines.stop_model_at.into(), tries).await
        }
    };
    let mut text = AnswerText::default();
    let end = match generated {
        Ok(Ok(GeneratedAnswer { text: generated, reason })) => {
            text.push(&generated);
            EndReason::Stopped(reason)
        }
        Ok(Err(error)) => EndReason::Failed(Failure::new(error.code())),
        Err(_) => EndReason::Stopped(StopReason::Deadline),
    };
    tracing::info!(?end, "generated");
    text.into_answer(end)
}

async fn run_one_shot_attempt<E: Effects>(
    request: OneShotRequest,
    context: &InvocationContext<'_, E>,
) -> OneShotAnswer {
    let effects = Unpublished { effects: context.effects, text: Mutex::default() };
    let mut attempt = Attempt::new(attempt_start(request, context), clock::now());
    let (end, _) = run_attempt(&mut attempt, &effects).await;
    log_end(ATTEMPT, end, &attempt);
    let text = effects.text.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Without a reason the time was over before the answer could end.
    text.into_answer(attempt.end_reason().unwrap_or(EndReason::Failed(Failure::new(FailureCode::Internal))))
}

fn attempt_start<E>(request: OneShotRequest, context: &InvocationContext<'_, E>) -> AttemptStart {
    let question = question(&request, context);
    let OneShotRequest { conversation_id, turn_id, mut agent, caller_credential, .. } = request;
    agent.tools.retain(is_allowed_tool);
    let input = TranscriptInput {
        history: Vec::new(),
        history_cut: false,
        question: question.clone(),
        context: Vec::new(),
        kept_answer: Vec::new(),
        context_bytes: agent.context_bytes,
        model_id: agent.model_id.clone(),
    };
    let caller = Caller { credential: caller_credential.map(Arc::new), ..Caller::default() };
    let now = clock::now();
    AttemptStart {
        claim: Claim { conversation_id, turn_id, run: 1, attempt: ATTEMPT, last_position: QUESTION_POSITION },
        retrieval: RetrievalStart::for_question(&agent, &input, &caller),
        stored_passages: Default::default(),
        reply_to: None,
        caller,
        leased_at: now,
        request: model_request(&agent, &input),
        agent,
        continues: false,
        stored_calls: None,
        kept_usage: None,
        question,
        limits: context.limits,
        deadlines: Deadlines::of_one_shot(now, remaining_time(context)),
    }
}

fn remaining_time<E>(context: &InvocationContext<'_, E>) -> Duration {
    let until_stop = context.deadlines.stop_model_at.saturating_duration_since(clock::now());
    until_stop.min(context.limits.one_shot_timeout)
}

fn question<E>(request: &OneShotRequest, context: &InvocationContext<'_, E>) -> ConversationEvent {
    ConversationEvent {
        id: request.turn_id.clone(),
        conversation_id: request.conversation_id.clone(),
        position: QUESTION_POSITION,
        turn_id: Some(request.turn_id.clone()),
        attempt: None,
        sender: Sender { kind: SenderKind::User, id: None, name: None },
        content: vec![ContentBlock::text(request.text.clone())],
        text: None,
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: None,
        replaces_turn_id: None,
        answer_position: None,
        model_id: None,
        guardrail: None,
        created_at: iso_8601(context.clock.now()),
    }
}

/// The effects of an invocation without those on AppSync and the table: the text of updates is kept.
struct Unpublished<'a, E> {
    effects: &'a E,
    text: Mutex<AnswerText>,
}

impl<E: Effects> Effects for Unpublished<'_, E> {
    /// There is no conversation.
    async fn publish_title(&self, _: &str, _: &str) -> Result<(), PublishFailure> {
        Err(PublishFailure::Refused)
    }

    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        self.effects.call_model(request)
    }

    async fn retrieve(&self, request: Arc<RetrievalRequest>) -> RetrievalResult {
        self.effects.retrieve(request).await
    }

    async fn run_tool(&self, run: ToolRun) -> (String, ToolOutcome) {
        self.effects.run_tool(run).await
    }

    async fn publish(&self, mutation: Arc<Mutation>, _: bool) -> Result<Accepted, PublishFailure> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).on_update(&mutation.update);
        Ok(TurnStatus::Running.into())
    }

    /// There is no lease to renew, and no event to store.
    async fn write(&self, _: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        Ok(TurnStatus::Running)
    }

    /// The caller waits for the response, and listens nowhere else.
    async fn send_replies(&self, _: Arc<ReplyRequest>) -> Result<(), ReplyFailure> {
        Err(ReplyFailure::NotDeployed)
    }
}
