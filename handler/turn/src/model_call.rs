//! The model's side of a step: when to call the model, how long it may be silent, and how the step ended.
use std::time::{Duration, Instant};

use api::{
    backoff::Backoff,
    types::{FailureCode, StopReason},
};

use crate::{
    deadlines::Deadlines,
    failures::Failure,
    limits::Limits,
    model::{ModelError, ModelStop},
    mutation::EndReason,
};

#[derive(Debug)]
pub struct ModelCall {
    state: State,
    /// When the model was called or last sent an event.
    last_activity: Instant,
    silence_timeout: Duration,
    backoff: Backoff,
    jitter_seed: u64,
    deadlines: Deadlines,
    has_content: bool,
    /// Why the call failed.
    error: Option<ModelError>,
}

/// An action on the model's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelAction {
    Open,
    Close,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The model is to be called at `until`.
    Waiting { until: Instant, throttles: u32 },
    /// The model was called and has sent no content.
    Called { throttles: u32 },
    /// The model has sent content.
    Streaming,
    /// The step is complete; the usage may still arrive.
    Stopped(ModelStop),
    /// The step has ended; the stream is to be closed.
    Ending(StepEnd),
    /// The step has ended and the stream is closed.
    Ended(StepEnd),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// The answer ends with this step.
    Answer(EndReason),
    /// The step's tool calls are to be run.
    ToolUse,
}

impl ModelCall {
    /// The first call is due at once.
    pub fn new(limits: &Limits, deadlines: Deadlines, jitter_seed: u64, now: Instant) -> Self {
        Self {
            state: State::Waiting { until: now, throttles: 0 },
            last_activity: now,
            silence_timeout: limits.model_silence,
            backoff: limits.model_retry,
            jitter_seed,
            deadlines,
            has_content: false,
            error: None,
        }
    }

    pub fn next_action(&mut self, now: Instant) -> Option<ModelAction> {
        self.check_deadlines(now);
        match self.state {
            State::Waiting { until, throttles } if until <= now => {
                self.state = State::Called { throttles };
                self.last_activity = now;
                Some(ModelAction::Open)
            }
            State::Ending(reason) => {
                self.state = State::Ended(reason);
                Some(ModelAction::Close)
            }
            State::Waiting { .. } | State::Called { .. } | State::Streaming | State::Stopped(_) | State::Ended(_) => {
                None
            }
        }
    }

    /// When `next_action` may have a result without further input.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until.min(self.deadlines.stop_model_at)),
            State::Called { .. } | State::Streaming | State::Stopped(_) => {
                Some(self.silent_at().min(self.deadlines.stop_model_at))
            }
            State::Ending(_) | State::Ended(_) => None,
        }
    }

    /// How the step ended; `None` while it has not.
    pub fn end(&self) -> Option<StepEnd> {
        match self.state {
            State::Ending(end) | State::Ended(end) => Some(end),
            State::Waiting { .. } | State::Called { .. } | State::Streaming | State::Stopped(_) => None,
        }
    }

    /// Whether another model may be asked in place of this one: it has sent no content, and is throttled for
    /// longer than its call may be repeated, is unavailable or silent, or is retired.
    pub fn may_be_replaced(&self) -> bool {
        let is_unavailable = match self.error {
            Some(ModelError::ThrottledBriefly | ModelError::Retired) => true,
            Some(ModelError::Failed(code)) => {
                matches!(code, FailureCode::Throttled | FailureCode::ModelUnavailable | FailureCode::ModelSilent)
            }
            Some(ModelError::SearchResultsRefused) | None => false,
        };
        let has_failed = matches!(self.end(), Some(StepEnd::Answer(EndReason::Failed(_))));
        has_failed && is_unavailable && !self.has_content
    }

    /// The model sent an event of any kind.
    pub fn on_activity(&mut self, now: Instant) {
        self.last_activity = now;
    }

    /// The model sent text, reasoning or a tool call.
    pub fn on_content(&mut self) {
        self.has_content = true;
        if let State::Called { .. } = self.state {
            self.state = State::Streaming;
        }
    }

    pub fn on_stop(&mut self, stop: ModelStop) {
        self.state = State::Stopped(stop);
    }

    /// Usage is the last event of a stream.
    pub fn on_usage(&mut self) {
        if let State::Stopped(stop) = self.state {
            self.end_after(stop);
        }
    }

    /// The stream failed. Returns whether the model will be called again. A failure after the stop changes
    /// nothing, because the answer is complete.
    pub fn on_failure(&mut self, error: ModelError, now: Instant) -> bool {
        let code = match error {
            ModelError::ThrottledBriefly => FailureCode::Throttled,
            ModelError::SearchResultsRefused => FailureCode::ModelRefused,
            ModelError::Retired => FailureCode::ModelNotAllowed,
            ModelError::Failed(code) => code,
        };
        self.error = Some(error);
        match self.state {
            State::Called { throttles } if error == ModelError::ThrottledBriefly => {
                return self.call_again(throttles + 1, now);
            }
            State::Called { .. } | State::Streaming => self.end_answer(EndReason::Failed(Failure::new(code))),
            State::Stopped(stop) => self.end_after(stop),
            State::Waiting { .. } | State::Ending(_) | State::Ended(_) => {}
        }
        false
    }

    /// The model is to be called again at once, with another request. Returns false if the model has sent
    /// content, or if its call is over.
    pub fn repeat_call(&mut self, now: Instant) -> bool {
        let State::Called { throttles } = self.state else { return false };
        self.state = State::Waiting { until: now, throttles };
        true
    }

    /// The model ended the step, but its answer cannot go on.
    pub fn end_instead(&mut self, reason: EndReason) {
        self.state = State::Ended(StepEnd::Answer(reason));
    }

    /// The user cancelled the turn. A cancel overrides an end that is not stored yet.
    pub fn cancel(&mut self) {
        let end = StepEnd::Answer(EndReason::Stopped(StopReason::Cancelled));
        self.state = match self.state {
            State::Ended(_) => State::Ended(end),
            State::Waiting { .. } | State::Called { .. } | State::Streaming | State::Stopped(_) | State::Ending(_) => {
                State::Ending(end)
            }
        };
    }

    /// Returns whether there is time for another call.
    fn call_again(&mut self, throttles: u32, now: Instant) -> bool {
        let until = now + self.backoff.seeded_delay(throttles, self.jitter_seed);
        if until > self.deadlines.retry_model_until {
            self.end_answer(EndReason::Failed(Failure::new(FailureCode::Throttled)));
            return false;
        }
        self.state = State::Waiting { until, throttles };
        true
    }

    fn end_answer(&mut self, reason: EndReason) {
        self.state = State::Ending(StepEnd::Answer(reason));
    }

    fn end_after(&mut self, stop: ModelStop) {
        self.state = State::Ending(match stop {
            ModelStop::Answered(reason) => StepEnd::Answer(EndReason::Stopped(reason)),
            ModelStop::ToolUse => StepEnd::ToolUse,
        });
    }

    fn check_deadlines(&mut self, now: Instant) {
        match self.state {
            State::Ending(_) | State::Ended(_) => {}
            State::Stopped(ModelStop::Answered(reason)) if now >= self.deadlines.stop_model_at => {
                self.end_answer(EndReason::Stopped(reason));
            }
            // No time is left for tools either.
            _ if now >= self.deadlines.stop_model_at => self.end_answer(EndReason::Stopped(StopReason::Deadline)),
            State::Called { .. } | State::Streaming | State::Stopped(_) if now >= self.silent_at() => {
                self.on_failure(ModelError::Failed(FailureCode::ModelSilent), now);
            }
            State::Waiting { .. } | State::Called { .. } | State::Streaming | State::Stopped(_) => {}
        }
    }

    /// When the model counts as silent, unless it sends another event.
    fn silent_at(&self) -> Instant {
        self.last_activity + self.silence_timeout
    }
}
