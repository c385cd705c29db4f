//! One attempt at one turn. Hand in what happened, drain the steps, ask when to wake.
use std::{sync::Arc, time::Instant};

use crate::{
    answer::Answer,
    asking::{Asking, Due},
    backoff::salt,
    claim::Claim,
    failures::FailureCode,
    limits::{Bounds, Limits},
    mutation::{AgentEvent, AnswerEnd, Mutation, PublishFailure, Update, Why},
    outbox::Outbox,
    pacing::Pacing,
    request::Agent,
    words::{ContentBlock, ConversationEvent, ModelRequest, StreamEvent, TurnStatus, Usage},
    writing::{Write, WriteFailure},
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
    /// The process has no time left to publish.
    OutOfTime,
}

/// What an attempt begins with.
pub struct Beginning {
    pub claim: Claim,
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
    give_up_at: Instant,
    asking: Asking,
    answer: Answer,
    usage: Option<Usage>,
    note: Option<&'static str>,
    pacing: Pacing,
    outbox: Outbox,
    /// How many updates have been numbered.
    sequence: u32,
    /// How many events of the answer have been made.
    events: u32,
    ended: Option<Ended>,
}

impl Attempt {
    pub fn begin(beginning: Beginning, now: Instant) -> Self {
        let Beginning { claim, agent, question, continues, request, bounds, limits } = beginning;
        let salt = salt(&[&claim.conversation_id, &claim.turn_id, &claim.attempt.to_string()]);
        let mut attempt = Self {
            asking: Asking::begin(&bounds, limits, salt, now),
            answer: Answer::new(&bounds),
            usage: None,
            note: None,
            pacing: Pacing::new(&bounds),
            outbox: Outbox::new(bounds.publish_retry, salt),
            sequence: 0,
            events: 0,
            ended: None,
            give_up_at: limits.give_up_at,
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
            Input::Published(Ok(status)) => self.on_accepted(status),
            Input::Published(Err(PublishFailure::Again)) => self.outbox.again(now),
            Input::Published(Err(PublishFailure::Stale)) => self.ended = Some(Ended::Superseded),
            Input::Published(Err(PublishFailure::Refused)) => self.outbox.again(now),
            Input::Written(Ok(status)) => self.on_status(status),
            Input::Written(Err(WriteFailure::Again)) => {}
            Input::Written(Err(WriteFailure::Stale)) => self.ended = Some(Ended::Superseded),
            Input::Woken => {}
        }
    }

    /// Call until it answers None, then wait for an input or for `wake`.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        if now >= self.give_up_at {
            self.ended = self.ended.or(Some(Ended::OutOfTime));
        }
        match (self.ended, self.asking.next(now)) {
            (Some(ended), _) => Some(Step::End(ended)),
            (None, Some(Due::Ask)) => Some(Step::AskModel(Arc::clone(&self.request))),
            (None, Some(Due::Close)) => Some(Step::CloseModel),
            (None, None) => self.publish_step(now),
        }
    }

    /// When time alone will make a difference.
    pub fn wake(&self, now: Instant) -> Instant {
        let publish = if self.outbox.is_free() { self.batch_due(now) } else { self.outbox.due() };
        [self.asking.wake(), publish].into_iter().flatten().fold(self.give_up_at, Instant::min)
    }

    /// How many updates have been numbered.
    pub fn updates(&self) -> u32 {
        self.sequence
    }

    /// Why the answer is over, once it is.
    pub fn why(&self) -> Option<Why> {
        self.asking.why()
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
            self.answer.push(block, text);
        }
    }

    fn on_model_failure(&mut self, code: FailureCode, now: Instant) {
        if self.asking.on_failure(code, now) {
            self.note = Some(BUSY_NOTE);
        }
    }

    fn on_accepted(&mut self, status: TurnStatus) {
        if self.outbox.accepted().is_some_and(|sent| sent.closes_turn()) {
            self.ended = Some(Ended::Published);
            return;
        }
        self.on_status(status);
    }

    fn on_status(&mut self, status: TurnStatus) {
        match status {
            TurnStatus::Queued | TurnStatus::Running => {}
            TurnStatus::Cancelling => self.asking.cancel(),
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => {
                self.ended = Some(Ended::Superseded);
            }
        }
    }

    fn publish_step(&mut self, now: Instant) -> Option<Step> {
        if self.outbox.is_free()
            && let Some(update) = self.next_update(now)
        {
            self.number(update, now);
        }
        self.outbox.send(now).map(Step::Publish)
    }

    fn next_update(&mut self, now: Instant) -> Option<Update> {
        if let Some(content) = self.answer.next_full() {
            return Some(self.event(content, None));
        }
        if let Some(why) = self.why() {
            let content = self.answer.close();
            return Some(self.event(content, Some(AnswerEnd { why, usage: self.usage })));
        }
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
        self.outbox.put(Mutation { claim: self.claim.clone(), sequence: self.sequence, update }, now);
    }
}
