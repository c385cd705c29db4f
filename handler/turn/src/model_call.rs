//! The model's side of an attempt: when it is asked, how long it may say nothing, why its answer is over.
use std::time::{Duration, Instant};

use crate::{deadlines::Deadlines, failures::Failure, limits::Limits, mutation::EndReason};
use api::{
    backoff::Backoff,
    types::{FailureCode, StopReason},
};

#[derive(Debug)]
pub struct ModelCall {
    state: State,
    /// When it was asked or last gave a sign of life.
    heard: Instant,
    silence: Duration,
    retry: Backoff,
    deadlines: Deadlines,
    jitter_seed: u64,
}

/// What is to be done about the model's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelAction {
    Open,
    Close,
}

#[derive(Clone, Copy, Debug)]
enum State {
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
    Closing(EndReason),
    Closed(EndReason),
}

impl ModelCall {
    /// `jitter_seed`: sets its waits apart from those of other turns.
    pub fn begin(limits: &Limits, deadlines: Deadlines, jitter_seed: u64, now: Instant) -> Self {
        Self {
            state: State::Waiting { until: now, refusals: 0 },
            heard: now,
            silence: limits.model_silence,
            retry: limits.model_retry,
            deadlines,
            jitter_seed,
        }
    }

    pub fn next(&mut self, now: Instant) -> Option<ModelAction> {
        self.keep_limits(now);
        match self.state {
            State::Waiting { until, refusals } if until <= now => {
                self.state = State::Asked { refusals };
                self.heard = now;
                Some(ModelAction::Open)
            }
            State::Closing(why) => {
                self.state = State::Closed(why);
                Some(ModelAction::Close)
            }
            State::Waiting { .. } | State::Asked { .. } | State::Speaking | State::Stopped(_) | State::Closed(_) => {
                None
            }
        }
    }

    /// When time alone will make a difference.
    pub fn wake(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until.min(self.deadlines.stop_model_at)),
            State::Asked { .. } | State::Speaking | State::Stopped(_) => {
                Some(self.silent_at().min(self.deadlines.stop_model_at))
            }
            State::Closing(_) | State::Closed(_) => None,
        }
    }

    /// Why the answer is over, once it is.
    pub fn why(&self) -> Option<EndReason> {
        match self.state {
            State::Closing(why) | State::Closed(why) => Some(why),
            State::Waiting { .. } | State::Asked { .. } | State::Speaking | State::Stopped(_) => None,
        }
    }

    pub fn on_sign_of_life(&mut self, now: Instant) {
        self.heard = now;
    }

    pub fn on_word(&mut self) {
        if let State::Asked { .. } = self.state {
            self.state = State::Speaking;
        }
    }

    pub fn on_stop(&mut self, reason: StopReason) {
        self.state = State::Stopped(reason);
    }

    /// Usage comes last.
    pub fn on_usage(&mut self) {
        if let State::Stopped(reason) = self.state {
            self.close(EndReason::Stopped(reason));
        }
    }

    /// Whether it will be asked again. A model that has stopped has answered, whatever happens to its stream afterwards.
    pub fn on_failure(&mut self, code: FailureCode, now: Instant) -> bool {
        match self.state {
            State::Asked { refusals } if code == FailureCode::Throttled => return self.ask_again(refusals + 1, now),
            State::Asked { .. } | State::Speaking => self.close(EndReason::Failed(Failure::new(code))),
            State::Stopped(reason) => self.close(EndReason::Stopped(reason)),
            State::Waiting { .. } | State::Closing(_) | State::Closed(_) => {}
        }
        false
    }

    /// Decides how the turn ends even where the answer was over already.
    pub fn cancel(&mut self) {
        let why = EndReason::Stopped(StopReason::Cancelled);
        self.state = match self.state {
            State::Closed(_) => State::Closed(why),
            State::Waiting { .. } | State::Asked { .. } | State::Speaking | State::Stopped(_) | State::Closing(_) => {
                State::Closing(why)
            }
        };
    }

    fn ask_again(&mut self, refusals: u32, now: Instant) -> bool {
        let until = now + self.retry.seeded_delay(refusals, self.jitter_seed);
        let in_time = until <= self.deadlines.retry_model_until;
        self.state = match in_time {
            true => State::Waiting { until, refusals },
            false => State::Closing(EndReason::Failed(Failure::new(FailureCode::Throttled))),
        };
        in_time
    }

    fn close(&mut self, why: EndReason) {
        self.state = State::Closing(why);
    }

    fn keep_limits(&mut self, now: Instant) {
        match self.state {
            State::Closing(_) | State::Closed(_) => {}
            State::Stopped(reason) if now >= self.deadlines.stop_model_at => self.close(EndReason::Stopped(reason)),
            _ if now >= self.deadlines.stop_model_at => self.close(EndReason::Stopped(StopReason::Deadline)),
            State::Asked { .. } | State::Speaking | State::Stopped(_) if now >= self.silent_at() => {
                self.on_failure(FailureCode::ModelSilent, now);
            }
            State::Waiting { .. } | State::Asked { .. } | State::Speaking | State::Stopped(_) => {}
        }
    }

    fn silent_at(&self) -> Instant {
        self.heard + self.silence
    }
}
