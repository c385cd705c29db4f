//! The state machine of one attempt at a turn.
//!
//! Its caller passes inputs to [`Attempt::handle`], performs the effects from [`Attempt::next_effect`] until
//! there is none left, and then waits for an input or for the moment of [`Attempt::wake_at`].
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    backoff::jitter_seed,
    text::is_blank,
    types::{
        ContentBlock, ConversationEvent, FailureCode, GuardrailIntervention, NoteCode, SenderKind, StopReason,
        ToolCall, ToolStatus, ToolUse, TurnStatus, Usage,
    },
};

use crate::{
    answer::Answer,
    citations::{CitationStyle, Citations, DOCUMENTS_UNAVAILABLE},
    claim::Claim,
    deadlines::Deadlines,
    delivery::{Accepts, Delivery, DeliveryOutcome},
    direct_write::WriteFailure,
    effect::{AttemptEnd, Effect},
    failures::Failure,
    fallback_models::FallbackModels,
    guardrail::GuardedText,
    history::current_events,
    knowledge::{Knowledge, KnowledgeFailure, KnowledgeMode, Passage, RetrievalRequest, query_for_question},
    knowledge_tool::{SEARCH_TOOL_NAME, passages_of_result, search_tool},
    limits::Limits,
    model::{
        ModelError, ModelRequest, ModelStop, ReasoningPart, Role, StreamEvent, ToolOutput, TranscriptBlock,
        TranscriptMessage,
    },
    model_call::{ModelAction, ModelCall, StepEnd},
    mutation::{Accepted, AgentEvent, AnswerEnd, Author, EndReason, Mutation, Note, PublishFailure, Update, Wait},
    pacing::Pacing,
    query_rewriting::{WrittenQuery, query_request},
    replies::{Replies, ReplyFailure, ReplyTo},
    request::Agent,
    retrieval::{Retrieval, RetrievalAction, RetrievalResult},
    search_results::convert_found_passages,
    token_estimate::estimate_tokens,
    tool::{Caller, StoredCalls, Tool, ToolOutcome, ToolTarget},
    tool_calls::{Call, CallCollector, stored_call},
    tool_runs::ToolRuns,
    transcript::{TranscriptInput, answer_block, build_transcript, push_block, result_block},
    transcript_size::trim_tool_results,
};

/// An event outside of the attempt.
#[derive(Debug, PartialEq)]
pub enum Input {
    ModelEvent(StreamEvent),
    /// The model's stream broke, or could not be opened.
    ModelFailed(ModelError),
    ModelStreamEnded,
    /// The result of a publish.
    Published(Result<Accepted, PublishFailure>),
    /// The result of a direct write: the turn's status after it.
    Written(Result<TurnStatus, WriteFailure>),
    /// The result of a request with replies.
    RepliesSent(Result<(), ReplyFailure>),
    /// A search of documents has ended.
    Retrieved(RetrievalResult),
    /// A tool has ended.
    ToolFinished {
        tool_use_id: String,
        outcome: ToolOutcome,
    },
    /// The moment of [`Attempt::wake_at`] has come.
    TimerFired,
}

/// Everything an attempt starts with.
pub struct AttemptStart {
    pub claim: Claim,
    /// For the tools.
    pub caller: Caller,
    /// When the claim was first sent. The lease started no earlier.
    pub leased_at: Instant,
    pub agent: Agent,
    pub question: ConversationEvent,
    /// Whether the attempt appends to the existing answer.
    pub continues: bool,
    /// The calls at the end of the existing answer whose results are not stored.
    pub stored_calls: Option<StoredCalls>,
    /// The tokens of the existing answer, as far as the model reported them.
    pub kept_usage: Option<Usage>,
    pub request: ModelRequest,
    /// `None` if no documents are searched before the model is asked.
    pub retrieval: Option<RetrievalStart>,
    /// The passages that the model has found in earlier attempts, by their numbers.
    pub stored_passages: BTreeMap<usize, Passage>,
    /// Where replies go.
    pub reply_to: Option<ReplyTo>,
    pub limits: Limits,
    pub deadlines: Deadlines,
}

/// The search for passages to answer from.
pub struct RetrievalStart {
    pub knowledge: Knowledge,
    pub request: RetrievalRequest,
    /// Asks a model for a better query first.
    pub query_request: Option<ModelRequest>,
    /// For the transcript with the passages.
    pub transcript: TranscriptInput,
}

impl RetrievalStart {
    /// `None` for an agent whose documents are not searched for each question.
    pub fn for_question(agent: &Agent, transcript: &TranscriptInput, caller: &Caller) -> Option<Self> {
        let knowledge = agent.knowledge.clone().filter(|knowledge| knowledge.mode == KnowledgeMode::Always)?;
        let is_question = |event: &&ConversationEvent| event.sender.kind == SenderKind::User;
        let question_before = current_events(&transcript.history).rev().find(is_question).map(event_text);
        let query = query_for_question(&event_text(&transcript.question), question_before.as_deref());
        let request = knowledge.request(&query, caller);
        let query_model_id = knowledge.query_model_id.as_deref();
        let query_request =
            query_model_id.and_then(|model_id| query_request(model_id, transcript, agent.guardrail.clone()));
        Some(Self { knowledge, request, query_request, transcript: transcript.clone() })
    }
}

fn event_text(event: &ConversationEvent) -> String {
    event.texts().collect()
}

pub struct Attempt {
    claim: Claim,
    caller: Caller,
    agent: Arc<Agent>,
    request: Arc<ModelRequest>,
    step: Step,
    /// How many requests to the model were started.
    step_count: u32,
    calls: CallCollector,
    answer: Answer,
    /// `None` without passages: then the model's text blocks stay apart.
    citations: Option<Citations>,
    /// The blocks of the step's message that are in published events.
    published_blocks: Vec<TranscriptBlock>,
    /// Events to publish before the open event of the answer: those of a step with tool calls.
    step_events: VecDeque<(Author, Vec<ContentBlock>)>,
    /// At most one for each call of the step.
    tool_progress: VecDeque<ToolCall>,
    tokens: TokenCount,
    step_content: StepContent,
    /// The text of the current step, where a guardrail assesses it.
    guarded_text: Option<GuardedText>,
    /// What the guardrail did to the answer.
    intervention: Option<GuardrailIntervention>,
    /// Empty once an answer has begun.
    fallback_models: FallbackModels,
    /// The tokens of what the answer has from earlier attempts.
    kept_usage: Option<Usage>,
    /// A note that is not published yet.
    note: Option<Note>,
    pacing: Pacing,
    delivery: Delivery,
    /// `None` if the updates go to subscribers alone.
    replies: Option<Replies>,
    limits: Limits,
    deadlines: Deadlines,
    /// How long a throttled model is called again.
    model_retry_time: Duration,
    jitter_seed: u64,
    last_sequence: u32,
    event_count: u32,
    end: Option<AttemptEnd>,
}

/// What the attempt waits for.
enum Step {
    Query(Box<QueryStep>),
    Retrieval(Box<RetrievalStep>),
    Model(ModelCall),
    Tools(ToolRuns),
    /// The answer ended after the results of tools.
    Ended(EndReason),
}

/// A model writes the query. The search follows, with the question as its query if the model fails.
struct QueryStep {
    call: ModelCall,
    request: Arc<ModelRequest>,
    query: WrittenQuery,
    retrieval: RetrievalStart,
    stored_runs: Option<ToolRuns>,
}

/// Documents are searched. The first request to the model follows, or the tools of stored calls.
struct RetrievalStep {
    retrieval: Retrieval,
    knowledge: Knowledge,
    transcript: TranscriptInput,
    stored_runs: Option<ToolRuns>,
    /// Why the answer ends after the search, if it does.
    end: Option<EndReason>,
}

/// The tokens of all steps.
#[derive(Default)]
struct TokenCount {
    /// As the model reported them.
    reported: Option<Usage>,
    /// Of ended steps without a report.
    estimated: u32,
    /// Of the current step.
    is_model_called: bool,
    is_reported: bool,
    /// The length of all text that the model has sent.
    answer_bytes: usize,
}

/// What the model has sent in the current step.
#[derive(Clone, Copy, Debug, Default)]
struct StepContent {
    /// A text that is not blank, or a tool call.
    has_answer: bool,
    has_reasoning: bool,
}

impl Attempt {
    pub fn new(start: AttemptStart, now: Instant) -> Self {
        let AttemptStart {
            claim,
            caller,
            leased_at,
            agent,
            question,
            continues,
            stored_calls,
            kept_usage,
            request,
            retrieval,
            stored_passages,
            reply_to,
            limits,
            deadlines,
        } = start;
        let jitter_seed = jitter_seed(&[&claim.conversation_id, &claim.turn_id, &claim.attempt.to_string()]);
        let stored_runs = stored_calls.map(|StoredCalls { position, calls, mut answers }| {
            let to_call = |call: ToolUse| {
                let answer = answers.remove(&call.id);
                stored_call(call, answer, &request.tools)
            };
            let calls = calls.into_iter().map(to_call).collect();
            ToolRuns::of_stored_calls(calls, position, Answer::event_room(&limits), request.guardrail.clone())
        });
        let fallback_ids: &[String] = if continues { &[] } else { &agent.fallback_model_ids };
        let fallback_models = FallbackModels::new(fallback_ids, &limits);
        let first_deadlines = fallback_models.deadlines(deadlines, now);
        let step = first_step(retrieval, stored_runs, &limits, first_deadlines, jitter_seed, now);
        let mut attempt = Self {
            step,
            step_count: 1,
            calls: CallCollector::default(),
            answer: Answer::new(&limits),
            citations: None,
            published_blocks: Vec::new(),
            step_events: VecDeque::new(),
            tool_progress: VecDeque::new(),
            tokens: TokenCount::default(),
            step_content: StepContent::default(),
            guarded_text: request.guardrail.is_some().then(GuardedText::default),
            intervention: None,
            fallback_models,
            kept_usage,
            note: None,
            pacing: Pacing::new(&limits),
            delivery: Delivery::new(claim.clone(), limits, deadlines, jitter_seed, leased_at),
            replies: reply_to.map(|to| Replies::new(to, claim.clone(), limits.reply_retry, jitter_seed.rotate_left(3))),
            limits,
            deadlines,
            model_retry_time: deadlines.retry_model_until.saturating_duration_since(now),
            jitter_seed,
            last_sequence: 0,
            event_count: 0,
            end: None,
            agent: Arc::new(agent),
            request: Arc::new(request),
            claim,
            caller,
        };
        if attempt.searches_by_tool() {
            let style = CitationStyle::of_model(&attempt.request.model_id);
            attempt.expect_citations(Citations::new(stored_passages, style));
            attempt.fit_found_passages();
        }
        attempt.deliver(Update::Started { question, continues }, now);
        attempt
    }

    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::ModelEvent(event) => self.on_model_event(event, now),
            Input::ModelFailed(error) => self.on_model_failure(error, now),
            Input::ModelStreamEnded => {
                self.on_model_failure(ModelError::Failed(FailureCode::ModelUnavailable), now);
            }
            Input::Published(result) => self.on_published(result, now),
            Input::RepliesSent(result) => {
                if let Some(replies) = &mut self.replies {
                    replies.on_result(result, now);
                }
            }
            Input::Written(result) => {
                let outcome = self.delivery.on_written(result, now);
                self.on_delivery_outcome(outcome);
            }
            Input::Retrieved(result) => {
                if let Step::Retrieval(step) = &mut self.step
                    && step.retrieval.on_result(result, now)
                {
                    self.note = Some(Note(NoteCode::KnowledgeResuming));
                }
            }
            Input::ToolFinished { tool_use_id, outcome } => {
                if let Step::Tools(runs) = &mut self.step {
                    let outcome = match &mut self.citations {
                        Some(citations) if runs.tool_name(&tool_use_id) == Some(SEARCH_TOOL_NAME) => {
                            number_passages(outcome, citations, runs.max_result_bytes())
                        }
                        _ => outcome,
                    };
                    self.tool_progress.extend(runs.on_finished(&tool_use_id, outcome));
                }
            }
            Input::TimerFired => {}
        }
    }

    /// The next effect to perform; `None` when there is nothing to do until the next input.
    pub fn next_effect(&mut self, now: Instant) -> Option<Effect> {
        if self.end.is_none() {
            self.end = self.delivery.check_deadlines(now);
        }
        if let Some(end) = self.end {
            return Some(Effect::End(end));
        }
        if let Some(effect) = self.next_step_effect(now) {
            return Some(effect);
        }
        if let Some(effect) = self.next_delivery_effect(now) {
            return Some(effect);
        }
        let replies = self.replies.as_mut()?;
        replies.next_request(now).map(Effect::SendReplies)
    }

    /// When `next_effect` may have a result without further input.
    pub fn wake_at(&self, now: Instant) -> Instant {
        let batch_at = match self.delivery.accepts() {
            Accepts::Anything => self.next_batch_at(now),
            Accepts::EventsOnly | Accepts::Nothing => None,
        };
        let step_at = match &self.step {
            Step::Query(step) => step.call.wake_at(),
            Step::Retrieval(step) => step.retrieval.wake_at(),
            Step::Model(model_call) => model_call.wake_at(),
            Step::Tools(runs) if runs.end().is_none() => Some(self.deadlines.stop_model_at),
            Step::Tools(_) | Step::Ended(_) => None,
        };
        let reply_at = self.replies.as_ref().and_then(Replies::wake_at);
        [step_at, batch_at, reply_at].into_iter().flatten().fold(self.delivery.wake_at(), Instant::min)
    }

    /// Whether the update of an accepted publish is needed, for a reply.
    pub fn keeps_update(&self, mutation: &Mutation) -> bool {
        self.replies.as_ref().is_some_and(|replies| replies.keeps_update(mutation))
    }

    /// The replies of an attempt that is over, of which some may not be sent yet.
    pub fn take_replies(&mut self) -> Option<Replies> {
        self.replies.take()
    }

    /// How many updates the attempt has numbered.
    pub fn update_count(&self) -> u32 {
        self.last_sequence
    }

    /// Why the answer ended; `None` while it has not.
    pub fn end_reason(&self) -> Option<EndReason> {
        match &self.step {
            Step::Model(model_call) => match model_call.end() {
                Some(StepEnd::Answer(reason)) => Some(reason),
                Some(StepEnd::ToolUse) | None => None,
            },
            Step::Query(_) | Step::Retrieval(_) | Step::Tools(_) => None,
            Step::Ended(reason) => Some(*reason),
        }
    }

    /// The tokens to count against the user's quota: the model's own count, or an estimate for steps of which
    /// the model did not report one. `None` if the model was not called.
    pub fn token_count(&self) -> Option<u32> {
        let is_current_estimated = self.tokens.is_model_called && !self.tokens.is_reported;
        let current = is_current_estimated.then(|| self.estimate_step_tokens());
        if current.is_none() && self.tokens.reported.is_none() && self.tokens.estimated == 0 {
            return None;
        }
        let reported = self.tokens.reported.map_or(0, |usage| usage.total_tokens);
        Some(reported.saturating_add(self.tokens.estimated).saturating_add(current.unwrap_or(0)))
    }

    /// The tokens of the steps that are over, for an attempt whose last step another one repeats. `None` if
    /// there are none.
    pub fn ended_steps_token_count(&self) -> Option<u32> {
        let reported = self.tokens.reported.map_or(0, |usage| usage.total_tokens);
        Some(reported.saturating_add(self.tokens.estimated)).filter(|tokens| *tokens > 0)
    }

    /// The tokens of the answer up to now, as far as the model reported them.
    fn usage(&self) -> Option<Usage> {
        match (self.kept_usage, self.tokens.reported) {
            (Some(kept), Some(reported)) => Some(kept + reported),
            (kept, reported) => kept.or(reported),
        }
    }

    fn estimate_step_tokens(&self) -> u32 {
        estimate_tokens(&self.request.transcript, self.tokens.answer_bytes)
    }

    fn on_published(&mut self, result: Result<Accepted, PublishFailure>, now: Instant) {
        let sequence = self.delivery.sequence_in_flight();
        let result = result.map(|Accepted { status, update }| {
            if let (Some(replies), Some(sequence), Some(update)) = (&mut self.replies, sequence, update) {
                replies.push_update(sequence, &update);
            }
            status
        });
        let outcome = self.delivery.on_published(result, now);
        self.on_delivery_outcome(outcome);
    }

    fn on_model_event(&mut self, event: StreamEvent, now: Instant) {
        if let Step::Query(step) = &mut self.step {
            if let StreamEvent::Usage(usage) = &event {
                self.tokens.add_reported(*usage);
            }
            return step.on_model_event(event, now);
        }
        let Step::Model(model_call) = &mut self.step else { return };
        if model_call.end().is_some() {
            return;
        }
        model_call.on_activity(now);
        if event.is_content() {
            model_call.on_content();
            self.note.take_if(|note| *note == Note(NoteCode::ModelBusy));
        }
        match event {
            StreamEvent::Text { block, text } => self.on_text(block, &text),
            StreamEvent::Reasoning { block, part } => {
                self.step_content.has_reasoning = true;
                if let ReasoningPart::Text(text) = &part {
                    self.tokens.answer_bytes += text.len();
                }
                self.answer.push_reasoning(block, part, now);
            }
            StreamEvent::Citation { block, cited } => {
                if let Some(citations) = &mut self.citations {
                    citations.push_citation(&mut self.answer, block, &cited);
                }
            }
            StreamEvent::BlockEnd { block } => {
                if let Some(citations) = &mut self.citations {
                    citations.on_block_end(&mut self.answer, block);
                }
            }
            StreamEvent::ToolUse { block, id, name } => {
                self.step_content.has_answer = true;
                self.calls.push_call(block, id, name);
            }
            StreamEvent::ToolInput { block, json } => {
                self.tokens.answer_bytes += json.len();
                self.calls.push_input(block, &json);
            }
            StreamEvent::MessageStop(stop) => {
                model_call.on_stop(self.step_content.stop(stop));
                if let Some(citations) = &mut self.citations {
                    citations.on_step_end(&mut self.answer);
                }
            }
            StreamEvent::Guardrail(findings) => {
                if let Some(guarded) = &mut self.guarded_text {
                    guarded.on_findings(findings);
                }
            }
            StreamEvent::Usage(usage) => {
                model_call.on_usage();
                self.tokens.is_reported = true;
                self.tokens.add_reported(usage);
            }
            StreamEvent::Other => {}
        }
    }

    fn on_text(&mut self, block: u32, text: &str) {
        if text.is_empty() {
            return;
        }
        self.tokens.answer_bytes += text.len();
        self.step_content.has_answer |= !is_blank(text);
        if let Some(guarded) = &mut self.guarded_text {
            guarded.push(text);
        }
        match &mut self.citations {
            Some(citations) => citations.push_text(&mut self.answer, block, text),
            None => self.answer.push_delta(block, text),
        }
    }

    /// The model that refuses search results is asked once more, with numbered text.
    fn on_model_failure(&mut self, error: ModelError, now: Instant) {
        if error == ModelError::SearchResultsRefused
            && let Step::Model(model_call) = &mut self.step
            && let Some(citations) =
                self.citations.as_mut().filter(|citations| citations.style() == CitationStyle::Native)
            && model_call.repeat_call(now)
        {
            let request = Arc::make_mut(&mut self.request);
            give_markers(request, citations, self.agent.context_bytes);
            return;
        }
        let model_call = match &mut self.step {
            Step::Query(step) => &mut step.call,
            Step::Model(model_call) => model_call,
            Step::Retrieval(_) | Step::Tools(_) | Step::Ended(_) => return,
        };
        let will_call_again = model_call.on_failure(error, now);
        if will_call_again {
            self.note = Some(Note(NoteCode::ModelBusy));
        }
    }

    fn next_step_effect(&mut self, now: Instant) -> Option<Effect> {
        match &mut self.step {
            Step::Query(step) => match step.call.next_action(now) {
                Some(ModelAction::Open) => Some(Effect::CallModel(Arc::clone(&step.request))),
                Some(ModelAction::Close) => Some(Effect::CloseModelStream),
                None if step.call.end().is_some() => {
                    self.end_query(now);
                    self.next_step_effect(now)
                }
                None => None,
            },
            Step::Retrieval(_) => self.next_retrieval_effect(now),
            Step::Model(model_call) => match model_call.next_action(now) {
                Some(ModelAction::Open) => {
                    self.tokens.is_model_called = true;
                    if let Some(citations) = &mut self.citations {
                        citations.on_request(&self.request.transcript);
                    }
                    Some(Effect::CallModel(Arc::clone(&self.request)))
                }
                Some(ModelAction::Close) => Some(Effect::CloseModelStream),
                None if model_call.end() == Some(StepEnd::ToolUse) => {
                    self.end_step_with_calls();
                    self.next_step_effect(now)
                }
                None if model_call.may_be_replaced() && self.ask_fallback_model(now) => self.next_step_effect(now),
                None => {
                    self.end_guarded_step();
                    None
                }
            },
            Step::Tools(_) => self.next_tool_effect(now),
            Step::Ended(_) => None,
        }
    }

    fn model_call(&self, now: Instant) -> ModelCall {
        let deadlines = self.fallback_models.deadlines(self.deadlines, now);
        ModelCall::new(&self.limits, deadlines, self.jitter_seed, now)
    }

    /// Whether there is a model to ask in place of the one that cannot answer.
    fn ask_fallback_model(&mut self, now: Instant) -> bool {
        let Some(model_id) = self.fallback_models.take_next() else { return false };
        let request = Arc::make_mut(&mut self.request);
        request.model_id = model_id;
        if let Some(citations) = self.citations.as_mut().filter(|citations| citations.style() == CitationStyle::Native)
            && CitationStyle::of_model(&request.model_id) == CitationStyle::Markers
        {
            give_markers(request, citations, self.agent.context_bytes);
        }
        self.note = Some(Note(NoteCode::FallbackModel));
        self.step = Step::Model(self.model_call(now));
        true
    }

    /// A guardrail has ended the answer: what it has blocked is not kept.
    fn end_guarded_step(&mut self) {
        let reason = EndReason::Stopped(StopReason::GuardrailIntervened);
        if self.intervention.is_some() || self.end_reason() != Some(reason) {
            return;
        }
        let Some(guarded) = self.guarded_text.take() else {
            self.intervention = Some(GuardedText::default().intervention());
            return;
        };
        self.intervention = Some(guarded.intervention());
        if let Some(text) = guarded.replacement() {
            self.citations = None;
            self.answer.replace(0, text);
        }
        // Whether the guardrail assesses what the model thinks is not documented.
        self.answer.remove_reasoning();
    }

    /// The model has written the query, or has failed to.
    fn end_query(&mut self, now: Instant) {
        let next = Step::Model(self.model_call(now));
        let Step::Query(step) = std::mem::replace(&mut self.step, next) else { return };
        let QueryStep { call, query, retrieval, stored_runs, .. } = *step;
        let RetrievalStart { knowledge, mut request, transcript, .. } = retrieval;
        if let Some(query) = query.into_query() {
            request.query = query;
        }
        self.note = None;
        let mut retrieval = Retrieval::new(request, &self.limits, self.deadlines.stop_model_at, self.jitter_seed, now);
        let cancelled = EndReason::Stopped(StopReason::Cancelled);
        let end = (call.end() == Some(StepEnd::Answer(cancelled))).then_some(cancelled);
        if end.is_some() {
            retrieval.stop();
        }
        self.step = Step::Retrieval(Box::new(RetrievalStep { retrieval, knowledge, transcript, stored_runs, end }));
    }

    fn next_retrieval_effect(&mut self, now: Instant) -> Option<Effect> {
        let Step::Retrieval(step) = &mut self.step else { return None };
        match step.retrieval.next_action(now) {
            Some(RetrievalAction::Start(request)) => return Some(Effect::Retrieve(request)),
            Some(RetrievalAction::Stop) => return Some(Effect::StopRetrieval),
            None => {}
        }
        let result = step.retrieval.take_result()?;
        self.end_retrieval(result, now);
        self.next_step_effect(now)
    }

    /// The search is over: the model gets the passages, or is to say that there are none.
    fn end_retrieval(&mut self, result: RetrievalResult, now: Instant) {
        let next = Step::Model(self.model_call(now));
        let Step::Retrieval(step) = std::mem::replace(&mut self.step, next) else { return };
        let RetrievalStep { knowledge, mut transcript, stored_runs, end, .. } = *step;
        let must_fail = result.is_err() && knowledge.on_failure == KnowledgeFailure::Fail;
        let failure = must_fail.then(|| EndReason::Failed(Failure::new(FailureCode::KnowledgeUnavailable)));
        if let Some(reason) = end.or(failure) {
            self.step = match stored_runs {
                None => Step::Ended(reason),
                Some(mut runs) => {
                    runs.stop(reason);
                    Step::Tools(runs)
                }
            };
            return;
        }
        match result {
            Ok(passages) => {
                let style = CitationStyle::of_model(&self.request.model_id);
                let citations = Citations::new((1..).zip(knowledge.select(passages)).collect(), style);
                transcript.context = citations.context();
                self.note = None;
                self.expect_citations(citations);
            }
            Err(_) => {
                self.note = Some(Note(NoteCode::KnowledgeUnavailable));
                transcript.context = vec![TranscriptBlock::Text(DOCUMENTS_UNAVAILABLE.to_owned())];
            }
        }
        Arc::make_mut(&mut self.request).transcript = build_transcript(&transcript);
        if let Some(runs) = stored_runs {
            self.step = Step::Tools(runs);
        }
    }

    fn expect_citations(&mut self, citations: Citations) {
        self.answer.expect_citations();
        self.citations = Some(citations);
    }

    fn next_tool_effect(&mut self, now: Instant) -> Option<Effect> {
        let is_delivered = self.step_events.is_empty() && self.delivery.accepts() != Accepts::Nothing;
        let Step::Tools(runs) = &mut self.step else { return None };
        if is_delivered {
            runs.on_published_stored();
        }
        if runs.end().is_none() && now >= self.deadlines.stop_model_at {
            runs.stop(EndReason::Stopped(StopReason::Deadline));
            self.delivery.withdraw_wait();
        }
        if runs.is_waiting() && self.delivery.is_writing_directly() {
            // Only AppSync can begin a wait.
            runs.stop(EndReason::Failed(Failure::new(FailureCode::Internal)));
        }
        self.tool_progress.extend(runs.take_pending_states());
        if runs.take_stop() {
            return Some(Effect::StopTools);
        }
        let timeout = Duration::from_secs(self.agent.tool_timeout_seconds);
        if let Some(run) = runs.next_run(&self.claim, &self.caller, timeout, self.deadlines.stop_model_at, now) {
            return Some(Effect::RunTool(Box::new(run)));
        }
        if !runs.is_settled() {
            return None;
        }
        let (results, end, is_waiting) = (runs.take_results(), runs.end(), runs.is_waiting());
        if !results.is_empty() {
            self.publish_results(results);
        }
        if is_waiting {
            return None;
        }
        self.end_step(end, now);
        self.next_step_effect(now)
    }

    /// The model has asked for tools: its text and its calls become an event, and the tools run once it is
    /// stored.
    fn end_step_with_calls(&mut self) {
        let id_prefix = format!("call-{}-{}", self.claim.attempt, self.step_count);
        let calls = self.calls.take_calls(&self.request.tools, &id_prefix, self.call_ids());
        if calls.is_empty() {
            if let Step::Model(model_call) = &mut self.step {
                model_call.end_instead(EndReason::Stopped(StopReason::MalformedOutput));
            }
            return;
        }
        self.count_step_tokens();
        self.step_content = StepContent::default();
        self.fallback_models.clear();
        self.guarded_text = self.request.guardrail.is_some().then(GuardedText::default);
        let tool_uses = || calls.iter().map(|call: &Call| call.tool_use.clone());
        let (texts, event) = self.answer.take_step(tool_uses().map(ContentBlock::tool_use).collect());
        let mut message = std::mem::take(&mut self.published_blocks);
        for block in texts.iter().flatten().chain(&event).filter_map(answer_block) {
            push_block(&mut message, block);
        }
        self.push_message(Role::Assistant, message);
        self.step_events.extend(texts.into_iter().chain([event]).map(|content| (Author::Agent, content)));
        self.step = Step::Tools(ToolRuns::new(calls, Answer::event_room(&self.limits), self.request.guardrail.clone()));
    }

    /// The ids of all calls of the transcript.
    fn call_ids(&self) -> HashSet<String> {
        let blocks = self.request.transcript.iter().flat_map(|message| &message.content);
        let ids = blocks.filter_map(|block| match block {
            TranscriptBlock::ToolUse(tool_use) => Some(tool_use.id.clone()),
            TranscriptBlock::Text(_)
            | TranscriptBlock::Reasoning(_)
            | TranscriptBlock::SearchResult(_)
            | TranscriptBlock::ToolResult { .. }
            | TranscriptBlock::FoundSearchResults { .. } => None,
        });
        ids.collect()
    }

    /// All calls of the step have a result, or wait: the results become an event.
    fn publish_results(&mut self, results: Vec<ContentBlock>) {
        self.tool_progress.clear();
        let content = results.iter().filter_map(|block| block.tool_result.as_ref()).map(result_block).collect();
        self.push_message(Role::User, content);
        self.step_events.push_back((Author::Tools, results));
    }

    /// All calls of the step have a result: the model is asked again, unless the answer ends.
    fn end_step(&mut self, end: Option<EndReason>, now: Instant) {
        let reached_max_steps = self.step_count >= self.agent.max_steps;
        let end = end.or(reached_max_steps.then_some(EndReason::Stopped(StopReason::MaxSteps)));
        self.step = match end {
            Some(reason) => Step::Ended(reason),
            None => {
                self.step_count += 1;
                // A throttled model is called again for as long as in the first step.
                let retry_model_until = (now + self.model_retry_time).min(self.deadlines.stop_model_at);
                let deadlines = Deadlines { retry_model_until, ..self.deadlines };
                Step::Model(ModelCall::new(&self.limits, deadlines, self.jitter_seed, now))
            }
        };
    }

    /// Appends a message to the transcript of the next request.
    fn push_message(&mut self, role: Role, content: Vec<TranscriptBlock>) {
        let request = Arc::make_mut(&mut self.request);
        match request.transcript.last_mut() {
            Some(last) if last.role == role => last.content.extend(content),
            _ => request.transcript.push(TranscriptMessage { role, content }),
        }
        self.fit_found_passages();
        trim_tool_results(&mut Arc::make_mut(&mut self.request).transcript, self.agent.context_bytes);
    }

    /// Gives what the model has found in the form in which the model takes it.
    fn fit_found_passages(&mut self) {
        let is_native = self.citations.as_ref().is_some_and(|citations| citations.style() == CitationStyle::Native);
        if is_native && self.searches_by_tool() {
            convert_found_passages(&mut Arc::make_mut(&mut self.request).transcript);
        }
    }

    fn searches_by_tool(&self) -> bool {
        self.agent.knowledge.as_ref().is_some_and(|knowledge| knowledge.mode == KnowledgeMode::Tool)
    }

    fn count_step_tokens(&mut self) {
        if self.tokens.is_model_called && !self.tokens.is_reported {
            self.tokens.estimated = self.tokens.estimated.saturating_add(self.estimate_step_tokens());
        }
        self.tokens = TokenCount { is_model_called: false, is_reported: false, answer_bytes: 0, ..self.tokens };
    }

    fn on_delivery_outcome(&mut self, outcome: DeliveryOutcome) {
        match outcome {
            DeliveryOutcome::Continue => {}
            DeliveryOutcome::Cancel => self.cancel(),
            DeliveryOutcome::End(end) => self.end = Some(end),
        }
        let Some(replies) = &mut self.replies else { return };
        if self.end == Some(AttemptEnd::Waiting) {
            replies.push_wait();
        } else if self.end == Some(AttemptEnd::Published) || self.delivery.has_written_end() {
            replies.push_end();
        }
    }

    fn cancel(&mut self) {
        let reason = EndReason::Stopped(StopReason::Cancelled);
        match &mut self.step {
            Step::Query(step) => step.call.cancel(),
            Step::Retrieval(step) => {
                step.end = Some(reason);
                step.retrieval.stop();
            }
            Step::Model(model_call) => model_call.cancel(),
            Step::Tools(runs) => {
                runs.stop(reason);
                self.delivery.withdraw_wait();
            }
            Step::Ended(end) => *end = reason,
        }
    }

    fn next_delivery_effect(&mut self, now: Instant) -> Option<Effect> {
        let is_ending = match &self.step {
            Step::Tools(runs) => runs.end().is_some(),
            Step::Query(_) | Step::Retrieval(_) | Step::Model(_) | Step::Ended(_) => self.end_reason().is_some(),
        };
        if is_ending {
            self.delivery.on_answer_ended(now);
        }
        let update = match self.delivery.accepts() {
            Accepts::Anything => {
                self.next_event().or_else(|| self.next_wait()).or_else(|| self.next_partial_update(now))
            }
            Accepts::EventsOnly => self.next_event(),
            Accepts::Nothing => None,
        };
        if let Some(update) = update {
            self.deliver(update, now);
        }
        self.delivery.next_effect(now)
    }

    fn next_event(&mut self) -> Option<Update> {
        if let Some((author, content)) = self.step_events.pop_front() {
            let update = self.agent_event(author, content, None);
            if author == Author::Agent
                && self.step_events.is_empty()
                && let Step::Tools(runs) = &mut self.step
            {
                runs.on_event_published(self.claim.last_position + self.event_count);
            }
            return Some(update);
        }
        if !self.holds_events()
            && let Some(content) = self.answer.take_full_event()
        {
            for block in content.iter().filter_map(answer_block) {
                push_block(&mut self.published_blocks, block);
            }
            return Some(self.agent_event(Author::Agent, content, None));
        }
        let reason = self.end_reason()?;
        if let Some(citations) = &mut self.citations {
            citations.on_step_end(&mut self.answer);
        }
        let content = self.answer.take_open_event();
        Some(self.agent_event(Author::Agent, content, Some(AnswerEnd { reason, usage: self.usage() })))
    }

    /// Whether an event with a part of the step's text waits, because a guardrail may still block the text.
    /// The batches of what follows it wait as well.
    fn holds_events(&self) -> bool {
        self.guarded_text.is_some()
            && matches!(&self.step, Step::Model(model_call) if model_call.end().is_none())
            && self.answer.has_full_event()
    }

    /// The update that begins the wait for answers, once everything before it is stored.
    fn next_wait(&mut self) -> Option<Update> {
        let Step::Tools(runs) = &mut self.step else { return None };
        let (calls, position) = runs.take_wait()?;
        let (agent, asked_by) = (Arc::clone(&self.agent), self.caller.id.clone());
        Some(Update::Waiting(Wait { calls, position, agent, asked_by }))
    }

    fn next_partial_update(&mut self, now: Instant) -> Option<Update> {
        if let Some(progress) = self.tool_progress.pop_front() {
            return Some(Update::ToolProgress(progress));
        }
        if self.next_batch_at(now).is_some_and(|at| at <= now) {
            self.pacing.on_batch_published(now);
            return self.answer.take_batch().map(Update::Batch);
        }
        self.note.take().map(Update::Note)
    }

    fn next_batch_at(&self, now: Instant) -> Option<Instant> {
        if self.holds_events() {
            return None;
        }
        if self.answer.has_full_batch() {
            return Some(now);
        }
        self.answer.has_batch().then(|| self.pacing.next_batch_at(now))
    }

    fn agent_event(&mut self, author: Author, content: Vec<ContentBlock>, end: Option<AnswerEnd>) -> Update {
        self.event_count += 1;
        let has_calls = content.iter().any(|block| block.tool_use.is_some());
        let guardrail = if end.is_some() { self.intervention.clone() } else { None };
        Update::Event(AgentEvent {
            id: format!("{}-{}-{}", self.claim.turn_id, self.claim.attempt, self.event_count),
            position: self.claim.last_position + self.event_count,
            agent: Arc::clone(&self.agent),
            model_id: self.request.model_id.clone(),
            author,
            content,
            step_usage: if has_calls { self.usage() } else { None },
            end,
            guardrail,
        })
    }

    /// Numbers an update and hands it to the delivery.
    fn deliver(&mut self, update: Update, now: Instant) {
        self.last_sequence += 1;
        let mutation = Mutation { claim: self.claim.clone(), sequence: self.last_sequence, update };
        if let Some(replies) = &mut self.replies {
            replies.on_delivery(&mutation);
        }
        self.delivery.put(mutation, now);
    }
}

fn first_step(
    retrieval: Option<RetrievalStart>,
    stored_runs: Option<ToolRuns>,
    limits: &Limits,
    deadlines: Deadlines,
    jitter_seed: u64,
    now: Instant,
) -> Step {
    let model_call = || ModelCall::new(limits, deadlines, jitter_seed, now);
    let Some(mut retrieval) = retrieval else {
        return stored_runs.map_or_else(|| Step::Model(model_call()), Step::Tools);
    };
    if let Some(request) = retrieval.query_request.take() {
        let (request, query) = (Arc::new(request), WrittenQuery::default());
        return Step::Query(Box::new(QueryStep { call: model_call(), request, query, retrieval, stored_runs }));
    }
    let RetrievalStart { knowledge, request, transcript, .. } = retrieval;
    let retrieval = Retrieval::new(request, limits, deadlines.stop_model_at, jitter_seed, now);
    Step::Retrieval(Box::new(RetrievalStep { retrieval, knowledge, transcript, stored_runs, end: None }))
}

impl QueryStep {
    /// The model has no tools, so whatever it stops for is its end.
    fn on_model_event(&mut self, event: StreamEvent, now: Instant) {
        if self.call.end().is_some() {
            return;
        }
        self.call.on_activity(now);
        match event {
            StreamEvent::Text { text, .. } if !text.is_empty() => {
                self.call.on_content();
                self.query.push(&text);
            }
            StreamEvent::MessageStop(stop) => {
                if stop == ModelStop::Answered(StopReason::GuardrailIntervened) {
                    // The text is the guardrail's.
                    self.query = WrittenQuery::default();
                }
                self.call.on_stop(ModelStop::Answered(StopReason::EndTurn));
            }
            StreamEvent::Usage(_) => self.call.on_usage(),
            StreamEvent::Text { .. }
            | StreamEvent::Reasoning { .. }
            | StreamEvent::Guardrail(_)
            | StreamEvent::Citation { .. }
            | StreamEvent::BlockEnd { .. }
            | StreamEvent::ToolUse { .. }
            | StreamEvent::ToolInput { .. }
            | StreamEvent::Other => {}
        }
    }
}

impl StepContent {
    /// A model that has only thought has given no answer.
    fn stop(self, stop: ModelStop) -> ModelStop {
        let is_end = matches!(stop, ModelStop::Answered(StopReason::EndTurn | StopReason::StopSequence));
        let has_only_thought = self.has_reasoning && !self.has_answer;
        if is_end && has_only_thought { ModelStop::Answered(StopReason::NoAnswer) } else { stop }
    }
}

impl TokenCount {
    fn add_reported(&mut self, usage: Usage) {
        self.reported = Some(self.reported.map_or(usage, |earlier| earlier + usage));
    }
}

/// The result of a search with the numbers by which the model cites.
fn number_passages(outcome: ToolOutcome, citations: &mut Citations, max_bytes: usize) -> ToolOutcome {
    match &outcome.output {
        ToolOutput::Json(json) if outcome.status == ToolStatus::Succeeded => {
            let passages = passages_of_result(json).into_iter().map(|(_, passage)| passage).collect();
            let json = citations.add_result(passages, max_bytes);
            ToolOutcome { output: ToolOutput::Json(json), ..outcome }
        }
        ToolOutput::Json(_) | ToolOutput::Text(_) => outcome,
    }
}

/// Gives passages as numbered text to a model that takes no search results.
fn give_markers(request: &mut ModelRequest, citations: &mut Citations, context_bytes: usize) {
    citations.use_markers(&mut request.transcript);
    trim_tool_results(&mut request.transcript, context_bytes);
    request.tools = request.tools.iter().map(with_markers).collect();
}

/// The built-in tool asks for markers.
fn with_markers(tool: &Tool) -> Tool {
    if let ToolTarget::Knowledge(knowledge) = &tool.target {
        return search_tool(knowledge, CitationStyle::Markers);
    }
    tool.clone()
}
