//! The state machine of one attempt at a turn.
//!
//! Its caller passes inputs to [`Attempt::handle`], performs the effects from [`Attempt::next_effect`] until
//! there is none left, and then waits for an input or for the moment of [`Attempt::wake_at`].
use std::{sync::Arc, time::Instant};

use api::{
    backoff::jitter_seed,
    types::{ContentBlock, ConversationEvent, FailureCode, TurnStatus, Usage},
};

use crate::{
    answer::Answer,
    claim::Claim,
    deadlines::Deadlines,
    delivery::{Accepts, Delivery, DeliveryOutcome},
    direct_write::WriteFailure,
    effect::{AttemptEnd, Effect},
    limits::Limits,
    model::{ModelError, ModelRequest, StreamEvent},
    model_call::{ModelAction, ModelCall},
    mutation::{AgentEvent, AnswerEnd, EndReason, Mutation, PublishFailure, Update},
    pacing::Pacing,
    request::Agent,
    token_estimate::estimate_tokens,
};

/// The note for the user while a throttled model is called again.
const BUSY_NOTE: &str = "The model is busy; trying again.";

/// An event outside of the attempt.
#[derive(Debug, PartialEq)]
pub enum Input {
    ModelEvent(StreamEvent),
    /// The model's stream broke, or could not be opened.
    ModelFailed(ModelError),
    ModelStreamEnded,
    /// The result of a publish: the turn's status after an accepted one.
    Published(Result<TurnStatus, PublishFailure>),
    /// The result of a direct write: the turn's status after it.
    Written(Result<TurnStatus, WriteFailure>),
    /// The moment of [`Attempt::wake_at`] has come.
    TimerFired,
}

/// Everything an attempt starts with.
pub struct AttemptStart {
    pub claim: Claim,
    /// When the claim was first sent. The lease started no earlier.
    pub leased_at: Instant,
    pub agent: Agent,
    pub question: ConversationEvent,
    /// Whether the attempt appends to the existing answer.
    pub continues: bool,
    pub request: ModelRequest,
    pub limits: Limits,
    pub deadlines: Deadlines,
}

pub struct Attempt {
    claim: Claim,
    agent: Arc<Agent>,
    request: Arc<ModelRequest>,
    model_call: ModelCall,
    is_model_called: bool,
    answer: Answer,
    /// The length of all text that the model has sent.
    answer_bytes: usize,
    usage: Option<Usage>,
    /// A note that is not published yet.
    note: Option<&'static str>,
    pacing: Pacing,
    delivery: Delivery,
    last_sequence: u32,
    event_count: u32,
    end: Option<AttemptEnd>,
}

impl Attempt {
    pub fn new(start: AttemptStart, now: Instant) -> Self {
        let AttemptStart { claim, leased_at, agent, question, continues, request, limits, deadlines } = start;
        let jitter_seed = jitter_seed(&[&claim.conversation_id, &claim.turn_id, &claim.attempt.to_string()]);
        let mut attempt = Self {
            model_call: ModelCall::new(&limits, deadlines, jitter_seed, now),
            is_model_called: false,
            answer: Answer::new(&limits),
            answer_bytes: 0,
            usage: None,
            note: None,
            pacing: Pacing::new(&limits),
            delivery: Delivery::new(claim.clone(), limits, deadlines, jitter_seed, leased_at),
            last_sequence: 0,
            event_count: 0,
            end: None,
            agent: Arc::new(agent),
            request: Arc::new(request),
            claim,
        };
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
            Input::Published(result) => {
                let outcome = self.delivery.on_published(result, now);
                self.on_delivery_outcome(outcome);
            }
            Input::Written(result) => {
                let outcome = self.delivery.on_written(result, now);
                self.on_delivery_outcome(outcome);
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
        match self.model_call.next_action(now) {
            Some(ModelAction::Open) => {
                self.is_model_called = true;
                Some(Effect::CallModel(Arc::clone(&self.request)))
            }
            Some(ModelAction::Close) => Some(Effect::CloseModelStream),
            None => self.next_delivery_effect(now),
        }
    }

    /// When `next_effect` may have a result without further input.
    pub fn wake_at(&self, now: Instant) -> Instant {
        let batch_at = match self.delivery.accepts() {
            Accepts::Anything => self.next_batch_at(now),
            Accepts::EventsOnly | Accepts::Nothing => None,
        };
        [self.model_call.wake_at(), batch_at].into_iter().flatten().fold(self.delivery.wake_at(), Instant::min)
    }

    /// How many updates the attempt has numbered.
    pub fn update_count(&self) -> u32 {
        self.last_sequence
    }

    /// Why the answer ended; `None` while it has not.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.model_call.end_reason()
    }

    /// The tokens to count against the user's quota: the model's own count, or an estimate if the model did
    /// not report one. `None` if the model was not called.
    pub fn token_count(&self) -> Option<u32> {
        if let Some(usage) = self.usage {
            return Some(usage.total_tokens);
        }
        self.is_model_called.then(|| estimate_tokens(&self.request.transcript, self.answer_bytes))
    }

    fn on_model_event(&mut self, event: StreamEvent, now: Instant) {
        if self.end_reason().is_some() {
            return;
        }
        self.model_call.on_activity(now);
        match event {
            StreamEvent::Text { block, text } => self.on_text(block, &text),
            StreamEvent::MessageStop(reason) => self.model_call.on_stop(reason),
            StreamEvent::Usage(usage) => {
                self.usage = Some(usage);
                self.model_call.on_usage();
            }
            StreamEvent::Other => {}
        }
    }

    fn on_text(&mut self, block: u32, text: &str) {
        if text.is_empty() {
            return;
        }
        self.note = None;
        self.model_call.on_text();
        self.answer_bytes += text.len();
        self.answer.push_delta(block, text);
    }

    fn on_model_failure(&mut self, error: ModelError, now: Instant) {
        let will_call_again = self.model_call.on_failure(error, now);
        if will_call_again {
            self.note = Some(BUSY_NOTE);
        }
    }

    fn on_delivery_outcome(&mut self, outcome: DeliveryOutcome) {
        match outcome {
            DeliveryOutcome::Continue => {}
            DeliveryOutcome::Cancel => self.model_call.cancel(),
            DeliveryOutcome::End(end) => self.end = Some(end),
        }
    }

    fn next_delivery_effect(&mut self, now: Instant) -> Option<Effect> {
        if self.end_reason().is_some() {
            self.delivery.on_answer_ended(now);
        }
        let update = match self.delivery.accepts() {
            Accepts::Anything => self.next_event().or_else(|| self.next_partial_update(now)),
            Accepts::EventsOnly => self.next_event(),
            Accepts::Nothing => None,
        };
        if let Some(update) = update {
            self.deliver(update, now);
        }
        self.delivery.next_effect(now)
    }

    fn next_event(&mut self) -> Option<Update> {
        if let Some(content) = self.answer.take_full_event() {
            return Some(self.agent_event(content, None));
        }
        let reason = self.end_reason()?;
        let content = self.answer.take_open_event();
        Some(self.agent_event(content, Some(AnswerEnd { reason, usage: self.usage })))
    }

    fn next_partial_update(&mut self, now: Instant) -> Option<Update> {
        if self.next_batch_at(now).is_some_and(|at| at <= now) {
            self.pacing.on_batch_published(now);
            return self.answer.take_batch().map(Update::Batch);
        }
        self.note.take().map(Update::Note)
    }

    fn next_batch_at(&self, now: Instant) -> Option<Instant> {
        if self.answer.has_full_batch() {
            return Some(now);
        }
        self.answer.has_batch().then(|| self.pacing.next_batch_at(now))
    }

    fn agent_event(&mut self, content: Vec<ContentBlock>, end: Option<AnswerEnd>) -> Update {
        self.event_count += 1;
        Update::Event(AgentEvent {
            id: format!("{}-{}-{}", self.claim.turn_id, self.claim.attempt, self.event_count),
            position: self.claim.last_position + self.event_count,
            agent: Arc::clone(&self.agent),
            content,
            end,
        })
    }

    /// Numbers an update and hands it to the delivery.
    fn deliver(&mut self, update: Update, now: Instant) {
        self.last_sequence += 1;
        self.delivery.put(Mutation { claim: self.claim.clone(), sequence: self.last_sequence, update }, now);
    }
}
