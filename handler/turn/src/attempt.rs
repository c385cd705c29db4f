//! One attempt at one turn. Hand in what happened, drain the steps, ask when to wake.
use std::{sync::Arc, time::Instant};

use crate::{
    answer::Answer,
    claim::Claim,
    deadlines::Deadlines,
    delivery::{Accepts, Delivery, DeliveryOutcome},
    direct_write::{DirectWrite, WriteFailure},
    limits::Limits,
    model_call::{ModelAction, ModelCall},
    mutation::{AgentEvent, AnswerEnd, EndReason, Mutation, PublishFailure, Update},
    pacing::Pacing,
    request::Agent,
    token_estimate::estimate_tokens,
    types::{ModelRequest, StreamEvent},
};
use api::{
    backoff::jitter_seed,
    types::{ContentBlock, ConversationEvent, FailureCode, TurnStatus, Usage},
};

/// What a person reads while a throttled model is asked again.
const BUSY_NOTE: &str = "The model is busy; trying again.";

/// What has happened effects.
#[derive(Debug, PartialEq)]
pub enum Input {
    ModelEvent(StreamEvent),
    /// The model's stream broke, or could not be opened.
    ModelFailed(FailureCode),
    /// The model's stream is over.
    ModelStreamEnded,
    /// The turn's status, as the accepted publish returned it.
    Published(Result<TurnStatus, PublishFailure>),
    /// The turn's status, as the write found or left it.
    Written(Result<TurnStatus, WriteFailure>),
    /// Nothing but time.
    TimerFired,
}

/// What is to be done effects.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Opens a stream in place of the one before.
    CallModel(Arc<ModelRequest>),
    CloseModelStream,
    /// One at a time: the next comes after the answer to this one.
    Publish(Arc<Mutation>),
    /// One at a time, beside the publish.
    Write(DirectWrite),
    /// The attempt is over.
    End(AttemptEnd),
}

/// How an attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The turn is closed, and everybody who watches has been told.
    Published,
    /// The turn is closed, but AppSync has not taken its last update.
    Unannounced,
    /// Another attempt owns the turn, or somebody else has closed it.
    Superseded,
    /// The process has no time left to close the turn.
    OutOfTime,
}

/// What an attempt begins with.
pub struct AttemptStart {
    pub claim: Claim,
    /// When the claim was sent, which began the lease.
    pub leased: Instant,
    pub agent: Agent,
    pub question: ConversationEvent,
    /// Whether what stands of the answer stays, and this attempt goes on after it.
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
    answer: Answer,
    usage: Option<Usage>,
    /// Whether the model has been asked.
    asked: bool,
    /// Bytes that it has said.
    said: usize,
    note: Option<&'static str>,
    pacing: Pacing,
    delivery: Delivery,
    /// How many updates have been numbered.
    sequence: u32,
    /// How many events of the answer have been made.
    events: u32,
    ended: Option<AttemptEnd>,
}

impl AttemptEnd {
    /// Whether the turn is closed as this attempt says.
    pub fn is_accepted(self) -> bool {
        match self {
            Self::Published | Self::Unannounced => true,
            Self::Superseded | Self::OutOfTime => false,
        }
    }
}

impl Attempt {
    pub fn begin(beginning: AttemptStart, now: Instant) -> Self {
        let AttemptStart { claim, leased, agent, question, continues, request, limits, deadlines } = beginning;
        let jitter_seed = jitter_seed(&[&claim.conversation_id, &claim.turn_id, &claim.attempt.to_string()]);
        let mut attempt = Self {
            model_call: ModelCall::begin(&limits, deadlines, jitter_seed, now),
            answer: Answer::new(&limits),
            usage: None,
            asked: false,
            said: 0,
            note: None,
            pacing: Pacing::new(&limits),
            delivery: Delivery::begin(claim.clone(), limits, deadlines, jitter_seed, leased),
            sequence: 0,
            events: 0,
            ended: None,
            agent: Arc::new(agent),
            request: Arc::new(request),
            claim,
        };
        attempt.number(Update::Began { question, continues }, now);
        attempt
    }

    pub fn on(&mut self, input: Input, now: Instant) {
        match input {
            Input::ModelEvent(event) => self.on_heard(event, now),
            Input::ModelFailed(code) => self.on_model_failure(code, now),
            Input::ModelStreamEnded => self.on_model_failure(FailureCode::ModelUnavailable, now),
            Input::Published(result) => {
                let news = self.delivery.on_published(result, now);
                self.on_news(news);
            }
            Input::Written(result) => {
                let news = self.delivery.on_written(result, now);
                self.on_news(news);
            }
            Input::TimerFired => {}
        }
    }

    /// Call until it answers None, then wait for an input or for `wake`.
    pub fn next(&mut self, now: Instant) -> Option<Effect> {
        self.ended = self.ended.or_else(|| self.delivery.keep_limits(now));
        if let Some(ended) = self.ended {
            return Some(Effect::End(ended));
        }
        match self.model_call.next(now) {
            Some(ModelAction::Open) => {
                self.asked = true;
                Some(Effect::CallModel(Arc::clone(&self.request)))
            }
            Some(ModelAction::Close) => Some(Effect::CloseModelStream),
            None => self.deliver(now),
        }
    }

    /// When time alone will make a difference.
    pub fn wake(&self, now: Instant) -> Instant {
        let batch = self.batch_due(now).filter(|_| self.delivery.accepts() == Accepts::Anything);
        [self.model_call.wake(), batch].into_iter().flatten().fold(self.delivery.wake(), Instant::min)
    }

    /// How many updates have been numbered.
    pub fn updates(&self) -> u32 {
        self.sequence
    }

    /// Why the answer is over, once it is.
    pub fn why(&self) -> Option<EndReason> {
        self.model_call.why()
    }

    /// What counts for whoever asked: the model's own count or, where it never came, an estimate; none where the model
    /// was not asked.
    pub fn tokens(&self) -> Option<u32> {
        let counted = self.usage.map(|usage| usage.total_tokens);
        counted.or_else(|| self.asked.then(|| estimate_tokens(&self.request.transcript, self.said)))
    }

    fn on_heard(&mut self, event: StreamEvent, now: Instant) {
        if self.why().is_some() {
            return;
        }
        self.model_call.on_sign_of_life(now);
        match event {
            StreamEvent::Text { block, text } => self.on_text(block, &text),
            StreamEvent::Stopped(reason) => self.model_call.on_stop(reason),
            StreamEvent::Used(usage) => {
                self.usage = Some(usage);
                self.model_call.on_usage();
            }
            StreamEvent::Other => {}
        }
    }

    fn on_text(&mut self, block: u32, text: &str) {
        if !text.is_empty() {
            self.note = None;
            self.model_call.on_word();
            self.said += text.len();
            self.answer.push(block, text);
        }
    }

    fn on_model_failure(&mut self, code: FailureCode, now: Instant) {
        if self.model_call.on_failure(code, now) {
            self.note = Some(BUSY_NOTE);
        }
    }

    fn on_news(&mut self, news: DeliveryOutcome) {
        match news {
            DeliveryOutcome::None => {}
            DeliveryOutcome::Cancelled => self.model_call.cancel(),
            DeliveryOutcome::Over(ended) => self.ended = Some(ended),
        }
    }

    fn deliver(&mut self, now: Instant) -> Option<Effect> {
        if self.why().is_some() {
            self.delivery.answer_is_over(now);
        }
        let update = match self.delivery.accepts() {
            Accepts::Anything => self.next_event().or_else(|| self.next_partial(now)),
            Accepts::Events => self.next_event(),
            Accepts::Nothing => None,
        };
        if let Some(update) = update {
            self.number(update, now);
        }
        self.delivery.next(now)
    }

    fn next_event(&mut self) -> Option<Update> {
        if let Some(content) = self.answer.next_full() {
            return Some(self.event(content, None));
        }
        let why = self.why()?;
        let content = self.answer.close();
        Some(self.event(content, Some(AnswerEnd { why, usage: self.usage })))
    }

    fn next_partial(&mut self, now: Instant) -> Option<Update> {
        if self.batch_due(now).is_some_and(|due| due <= now) {
            self.pacing.started(now);
            return self.answer.next_batch().map(Update::Batch);
        }
        self.note.take().map(Update::Note)
    }

    fn batch_due(&self, now: Instant) -> Option<Instant> {
        if self.answer.has_full_batch() {
            return Some(now);
        }
        self.answer.has_batch().then(|| self.pacing.due(now))
    }

    fn event(&mut self, content: Vec<ContentBlock>, end: Option<AnswerEnd>) -> Update {
        self.events += 1;
        Update::Event(AgentEvent {
            id: format!("{}-{}-{}", self.claim.turn_id, self.claim.attempt, self.events),
            position: self.claim.last_position + self.events,
            agent: Arc::clone(&self.agent),
            content,
            end,
        })
    }

    fn number(&mut self, update: Update, now: Instant) {
        self.sequence += 1;
        self.delivery.put(Mutation { claim: self.claim.clone(), sequence: self.sequence, update }, now);
    }
}
