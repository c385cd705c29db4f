//! The search for passages before the model is asked: when to search, when to search again, and its end.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::backoff::Backoff;

use crate::{
    knowledge::{Filter, Passage, RetrievalError, RetrievalRequest},
    limits::Limits,
};

/// How long a database that wakes up is waited for. It takes about 15 seconds, and 30 after a day's pause
/// (AWS's own statement; 25 seconds were measured).
const MAX_RESUME_TIME: Duration = Duration::from_secs(60);
/// Between two searches while the database wakes up.
const RESUME_POLL: Duration = Duration::from_secs(3);
/// How long a search that fails for another reason is repeated.
const MAX_RETRY_TIME: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Retrieval {
    request: Arc<RetrievalRequest>,
    state: State,
    started_at: Instant,
    has_found_resuming: bool,
    /// The search ends here, with passages or without.
    deadline: Instant,
    backoff: Backoff,
    jitter_seed: u64,
}

#[derive(Debug)]
enum State {
    /// The search is to be started at `until`.
    Waiting {
        until: Instant,
        failures: u32,
    },
    Running {
        failures: u32,
    },
    /// The search runs no longer. `must_stop` while its call is to be abandoned.
    Ended {
        result: RetrievalResult,
        must_stop: bool,
    },
}

pub type RetrievalResult = Result<Vec<Passage>, RetrievalError>;

/// An action on the search.
#[derive(Clone, Debug, PartialEq)]
pub enum RetrievalAction {
    Start(Arc<RetrievalRequest>),
    Stop,
}

impl Retrieval {
    /// The search is due at once. A filter that matches nothing needs no search.
    pub fn new(request: RetrievalRequest, limits: &Limits, deadline: Instant, jitter_seed: u64, now: Instant) -> Self {
        let state = match request.filter {
            Filter::Nothing => State::Ended { result: Ok(Vec::new()), must_stop: false },
            Filter::All | Filter::Matching(_) => State::Waiting { until: now, failures: 0 },
        };
        let request = Arc::new(request);
        Self {
            request,
            state,
            started_at: now,
            has_found_resuming: false,
            deadline,
            backoff: limits.model_retry,
            jitter_seed,
        }
    }

    pub fn next_action(&mut self, now: Instant) -> Option<RetrievalAction> {
        if now >= self.deadline {
            self.stop();
        }
        match &mut self.state {
            State::Waiting { until, failures } if *until <= now => {
                self.state = State::Running { failures: *failures };
                Some(RetrievalAction::Start(Arc::clone(&self.request)))
            }
            State::Ended { must_stop, .. } => std::mem::take(must_stop).then_some(RetrievalAction::Stop),
            State::Waiting { .. } | State::Running { .. } => None,
        }
    }

    /// When `next_action` may have a result without further input.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until.min(self.deadline)),
            State::Running { .. } => Some(self.deadline),
            State::Ended { .. } => None,
        }
    }

    /// The search has ended. Returns true for the first search that found the database waking up.
    pub fn on_result(&mut self, result: RetrievalResult, now: Instant) -> bool {
        let State::Running { failures } = self.state else { return false };
        let failures = failures + 1;
        let (delay, until) = match result {
            Err(RetrievalError::Resuming) => (RESUME_POLL, self.started_at + MAX_RESUME_TIME),
            Err(RetrievalError::Temporary) => {
                (self.backoff.seeded_delay(failures, self.jitter_seed), self.started_at + MAX_RETRY_TIME)
            }
            Ok(_) | Err(RetrievalError::Refused) => {
                self.state = State::Ended { result, must_stop: false };
                return false;
            }
        };
        let next = now + delay;
        if next >= until.min(self.deadline) {
            self.state = State::Ended { result, must_stop: false };
            return false;
        }
        self.state = State::Waiting { until: next, failures };
        result == Err(RetrievalError::Resuming) && !std::mem::replace(&mut self.has_found_resuming, true)
    }

    /// Abandons the search.
    pub fn stop(&mut self) {
        let must_stop = match self.state {
            State::Running { .. } => true,
            State::Waiting { .. } => false,
            State::Ended { .. } => return,
        };
        self.state = State::Ended { result: Err(RetrievalError::Temporary), must_stop };
    }

    /// The result of the search, once it has ended. It is returned once; afterwards there are no passages.
    pub fn take_result(&mut self) -> Option<RetrievalResult> {
        match &mut self.state {
            State::Ended { result, must_stop: false } => Some(std::mem::replace(result, Ok(Vec::new()))),
            State::Ended { .. } | State::Waiting { .. } | State::Running { .. } => None,
        }
    }
}
