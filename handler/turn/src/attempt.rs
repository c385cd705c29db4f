//! One attempt at one turn. Hand in what happened, drain the steps, ask when to wake.
use std::{sync::Arc, time::Instant};

use crate::{
    answer::Answer,
    asking::{Asking, Due},
    claim::Claim,
    cost::estimated_tokens,
    delivery::{Delivery, News, Takes},
    limits::{Bounds, Limits},
    mutation::{AgentEvent, AnswerEnd, Mutation, PublishFailure, Update, Why},
    pacing::Pacing,
    request::Agent,
    types::{ModelRequest, StreamEvent},
    writing::{Write, WriteFailure},
};
use api::{
    backoff::jitter_seed,
    types::{ContentBlock, ConversationEvent, FailureCode, TurnStatus, Usage},
};

/// What a person reads while a throttled model is asked again.
const BUSY_NOTE: &str = "The model is busy; trying again.";

/// What has happened outside.
#[derive(Debug, PartialEq)]
pub enum Input {
    Heard(StreamEvent),
    /// The model's stream broke, or could not be opened.
    ModelFailed(FailureCode),
    /// The model's stream is over.
    ModelClosed,
    /// The turn's status, as the accepted publish returned it.
    Published(Result<TurnStatus, PublishFailure>),
    /// The turn's status, as the write found or left it.
    Written(Result<TurnStatus, WriteFailure>),
    /// Nothing but time.
    Woken,
}

/// What is to be done outside.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Opens a stream in place of the one before.
    AskModel(Arc<ModelRequest>),
    CloseModel,
    /// One at a time: the next comes after the answer to this one.
    Publish(Arc<Mutation>),
    /// One at a time, beside the publish.
    Write(Write),
    /// The attempt is over.
    End(Ended),
}

/// How an attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
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
pub struct Beginning {
    pub claim: Claim,
    /// When the claim was sent, which began the lease.
    pub leased: Instant,
    pub agent: Agent,
    pub question: ConversationEvent,
    /// Whether what stands of the answer stays, and this attempt goes on after it.
    pub continues: bool,
    pub request: ModelRequest,
    pub bounds: Bounds,
    pub limits: Limits,
}

pub struct Attempt {
    claim: Claim,
    agent: Arc<Agent>,
    request: Arc<ModelRequest>,
    asking: Asking,
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
    ended: Option<Ended>,
}

impl Ended {
    /// Whether the turn is closed as this attempt says.
    pub fn is_accepted(self) -> bool {
        match self {
            Self::Published | Self::Unannounced => true,
            Self::Superseded | Self::OutOfTime => false,
        }
    }
}

impl Attempt {
    pub fn begin(beginning: Beginning, now: Instant) -> Self {
        let Beginning { claim, leased, agent, question, continues, request, bounds, limits } = beginning;
        let salt = jitter_seed(&[&claim.conversation_id, &claim.turn_id, &claim.attempt.to_string()]);
        let mut attempt = Self {
            asking: Asking::begin(&bounds, limits, salt, now),
            answer: Answer::new(&bounds),
            usage: None,
            asked: false,
            said: 0,
            note: None,
            pacing: Pacing::new(&bounds),
            delivery: Delivery::begin(claim.clone(), bounds, limits, salt, leased),
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
            Input::Heard(event) => self.on_heard(event, now),
            Input::ModelFailed(code) => self.on_model_failure(code, now),
            Input::ModelClosed => self.on_model_failure(FailureCode::ModelUnavailable, now),
            Input::Published(result) => {
                let news = self.delivery.on_published(result, now);
                self.on_news(news);
            }
            Input::Written(result) => {
                let news = self.delivery.on_written(result, now);
                self.on_news(news);
            }
            Input::Woken => {}
        }
    }

    /// Call until it answers None, then wait for an input or for `wake`.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        self.ended = self.ended.or_else(|| self.delivery.keep_limits(now));
        if let Some(ended) = self.ended {
            return Some(Step::End(ended));
        }
        match self.asking.next(now) {
            Some(Due::Ask) => {
                self.asked = true;
                Some(Step::AskModel(Arc::clone(&self.request)))
            }
            Some(Due::Close) => Some(Step::CloseModel),
            None => self.deliver(now),
        }
    }

    /// When time alone will make a difference.
    pub fn wake(&self, now: Instant) -> Instant {
        let batch = self.batch_due(now).filter(|_| self.delivery.takes() == Takes::Anything);
        [self.asking.wake(), batch].into_iter().flatten().fold(self.delivery.wake(), Instant::min)
    }

    /// How many updates have been numbered.
    pub fn updates(&self) -> u32 {
        self.sequence
    }

    /// Why the answer is over, once it is.
    pub fn why(&self) -> Option<Why> {
        self.asking.why()
    }

    /// What counts for whoever asked: the model's own count or, where it never came, an estimate; none where the model
    /// was not asked.
    pub fn tokens(&self) -> Option<u32> {
        let counted = self.usage.map(|usage| usage.total_tokens);
        counted.or_else(|| self.asked.then(|| estimated_tokens(&self.request.transcript, self.said)))
    }

    fn on_heard(&mut self, event: StreamEvent, now: Instant) {
        if self.why().is_some() {
            return;
        }
        self.asking.on_sign_of_life(now);
        match event {
            StreamEvent::Text { block, text } => self.on_text(block, &text),
            StreamEvent::Stopped(reason) => self.asking.on_stop(reason),
            StreamEvent::Used(usage) => {
                self.usage = Some(usage);
                self.asking.on_usage();
            }
            StreamEvent::Other => {}
        }
    }

    fn on_text(&mut self, block: u32, text: &str) {
        if !text.is_empty() {
            self.note = None;
            self.asking.on_word();
            self.said += text.len();
            self.answer.push(block, text);
        }
    }

    fn on_model_failure(&mut self, code: FailureCode, now: Instant) {
        if self.asking.on_failure(code, now) {
            self.note = Some(BUSY_NOTE);
        }
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::None => {}
            News::Cancelled => self.asking.cancel(),
            News::Over(ended) => self.ended = Some(ended),
        }
    }

    fn deliver(&mut self, now: Instant) -> Option<Step> {
        if self.why().is_some() {
            self.delivery.answer_is_over(now);
        }
        let update = match self.delivery.takes() {
            Takes::Anything => self.next_event().or_else(|| self.next_partial(now)),
            Takes::Events => self.next_event(),
            Takes::Nothing => None,
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
