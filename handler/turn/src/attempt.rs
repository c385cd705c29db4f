//! One attempt at one turn. Hand in what happened, drain the steps, ask when to wake.
use std::{sync::Arc, time::Instant};

use crate::{
    answer::Answer,
    backoff::salt,
    claim::Claim,
    failures::FailureCode,
    limits::{Bounds, Limits},
    mutation::{AgentEvent, AnswerEnd, Mutation, PublishFailure, Update, Why},
    outbox::Outbox,
    pacing::Pacing,
    request::Agent,
    words::{ContentBlock, ConversationEvent, ModelRequest, StopReason, StreamEvent, TurnStatus, Usage},
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
    /// The attempt is over.
    End(Ended),
}

/// How an attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The turn is closed.
    Published,
    /// Another attempt owns the turn, or somebody else has closed it.
    Superseded,
    /// AppSync does not accept what must be published.
    Refused,
    /// The process has no time left to publish.
    OutOfTime,
}

/// What an attempt begins with.
pub struct Beginning {
    pub claim: Claim,
    pub agent: Agent,
    pub question: ConversationEvent,
    pub request: ModelRequest,
    pub bounds: Bounds,
    pub limits: Limits,
}

pub struct Attempt {
    claim: Claim,
    agent: Arc<Agent>,
    request: Arc<ModelRequest>,
    bounds: Bounds,
    limits: Limits,
    model: Model,
    /// When the model was asked or last gave a sign of life.
    heard: Instant,
    answer: Answer,
    usage: Option<Usage>,
    note: Option<&'static str>,
    pacing: Pacing,
    outbox: Outbox,
    sequence: u32,
    events: u32,
    salt: u64,
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug)]
enum Model {
    /// To be asked, after so many refusals.
    Waiting {
        until: Instant,
        refusals: u32,
    },
    /// Has not said a word.
    Asked {
        refusals: u32,
    },
    Speaking,
    /// Has said all; its usage is still to come.
    Stopped(StopReason),
    /// Its stream is to be closed.
    Closing(Why),
    Closed(Why),
}

impl Attempt {
    pub fn begin(beginning: Beginning, now: Instant) -> Self {
        let Beginning { claim, agent, question, request, bounds, limits } = beginning;
        let salt = salt(&[&claim.conversation_id, &claim.turn_id, &claim.attempt.to_string()]);
        let mut attempt = Self {
            model: Model::Waiting { until: now, refusals: 0 },
            heard: now,
            answer: Answer::new(&bounds),
            usage: None,
            note: None,
            pacing: Pacing::new(&bounds),
            outbox: Outbox::new(bounds.publish_retry, salt),
            sequence: 0,
            events: 0,
            salt,
            ended: None,
            agent: Arc::new(agent),
            request: Arc::new(request),
            claim,
            bounds,
            limits,
        };
        attempt.number(Update::Began(question), now);
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
            Input::Published(Err(PublishFailure::Refused)) => self.ended = Some(Ended::Refused),
            Input::Woken => {}
        }
    }

    /// Call until it answers None, then wait for an input or for `wake`.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        self.keep_limits(now);
        if let Some(ended) = self.ended {
            return Some(Step::End(ended));
        }
        self.model_step(now).or_else(|| self.publish_step(now))
    }

    /// When time alone will make a difference.
    pub fn wake(&self, now: Instant) -> Instant {
        let model = match self.model {
            Model::Waiting { until, .. } => Some(until.min(self.limits.stop_model_at)),
            Model::Asked { .. } | Model::Speaking | Model::Stopped(_) => {
                Some(self.silent_at().min(self.limits.stop_model_at))
            }
            Model::Closing(_) | Model::Closed(_) => None,
        };
        let publish = if self.outbox.is_free() { self.batch_due(now) } else { self.outbox.due() };
        [model, publish].into_iter().flatten().fold(self.limits.give_up_at, Instant::min)
    }

    /// How many updates have been numbered.
    pub fn updates(&self) -> u32 {
        self.sequence
    }

    /// Why the answer ended, once it has.
    pub fn why(&self) -> Option<Why> {
        match self.model {
            Model::Closing(why) | Model::Closed(why) => Some(why),
            Model::Waiting { .. } | Model::Asked { .. } | Model::Speaking | Model::Stopped(_) => None,
        }
    }

    fn on_heard(&mut self, event: StreamEvent, now: Instant) {
        if self.why().is_some() {
            return;
        }
        self.heard = now;
        match event {
            StreamEvent::Text { block, text } => self.on_text(block, &text),
            StreamEvent::Stopped(reason) => self.model = Model::Stopped(reason),
            StreamEvent::Used(usage) => self.on_usage(usage),
            StreamEvent::Other => {}
        }
    }

    fn on_text(&mut self, block: u32, text: &str) {
        self.answer.push(block, text);
        if let (Model::Asked { .. }, false) = (self.model, text.is_empty()) {
            self.model = Model::Speaking;
            self.note = None;
        }
    }

    fn on_usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
        if let Model::Stopped(reason) = self.model {
            self.close_model(Why::Stopped(reason));
        }
    }

    /// A model that has stopped has answered, whatever happens to its stream afterwards.
    fn on_model_failure(&mut self, code: FailureCode, now: Instant) {
        match self.model {
            Model::Asked { refusals } if code == FailureCode::Throttled => self.ask_again(refusals + 1, now),
            Model::Asked { .. } | Model::Speaking => self.close_model(Why::Failed(code.failure())),
            Model::Stopped(reason) => self.close_model(Why::Stopped(reason)),
            Model::Waiting { .. } | Model::Closing(_) | Model::Closed(_) => {}
        }
    }

    fn ask_again(&mut self, refusals: u32, now: Instant) {
        let until = now + self.bounds.model_retry.after(refusals, self.salt);
        if until > self.limits.retry_model_until {
            return self.close_model(Why::Failed(FailureCode::Throttled.failure()));
        }
        self.note = Some(BUSY_NOTE);
        self.model = Model::Waiting { until, refusals };
    }

    fn on_accepted(&mut self, status: TurnStatus) {
        match self.outbox.accepted() {
            Some(sent) if sent.closes_turn() => return self.ended = Some(Ended::Published),
            _ => {}
        }
        match status {
            TurnStatus::Queued | TurnStatus::Running => {}
            TurnStatus::Cancelling => self.cancel(),
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => {
                self.ended = Some(Ended::Superseded);
            }
        }
    }

    /// A cancel that is heard before the last event leaves decides how the turn ends.
    fn cancel(&mut self) {
        let why = Why::Stopped(StopReason::Cancelled);
        self.model = match self.model {
            Model::Closed(_) => Model::Closed(why),
            _ => Model::Closing(why),
        };
    }

    fn close_model(&mut self, why: Why) {
        self.model = Model::Closing(why);
    }

    fn keep_limits(&mut self, now: Instant) {
        if now >= self.limits.give_up_at {
            self.ended = self.ended.or(Some(Ended::OutOfTime));
        }
        match self.model {
            Model::Closing(_) | Model::Closed(_) => {}
            Model::Stopped(reason) if now >= self.limits.stop_model_at => self.close_model(Why::Stopped(reason)),
            _ if now >= self.limits.stop_model_at => self.close_model(Why::Stopped(StopReason::Deadline)),
            _ if now >= self.silent_at() => self.on_model_failure(FailureCode::ModelSilent, now),
            _ => {}
        }
    }

    fn silent_at(&self) -> Instant {
        self.heard + self.bounds.model_silence
    }

    fn model_step(&mut self, now: Instant) -> Option<Step> {
        match self.model {
            Model::Waiting { until, refusals } if until <= now => {
                self.model = Model::Asked { refusals };
                self.heard = now;
                Some(Step::AskModel(Arc::clone(&self.request)))
            }
            Model::Closing(why) => {
                self.model = Model::Closed(why);
                Some(Step::CloseModel)
            }
            _ => None,
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
