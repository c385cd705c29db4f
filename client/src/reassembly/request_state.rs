//! State of a request of which at most one is in flight.
use std::time::{Duration, Instant};

/// The wait before a request is sent again after it failed or brought nothing new.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// `Q` is the query that is sent.
#[derive(Clone, Copy)]
pub(super) enum RequestState<Q> {
    Idle,
    Due,
    RetryAt(Instant),
    InFlight {
        query: Q,
        /// Whether the request is sent again after its response.
        repeat: bool,
    },
}

impl<Q: Copy> RequestState<Q> {
    /// Something may have been missed: sends a request even if one is in flight, whose response may be older.
    pub fn mark_stale(&mut self) {
        *self = match *self {
            Self::InFlight { query, .. } => Self::InFlight { query, repeat: true },
            Self::Idle | Self::Due | Self::RetryAt(_) => Self::Due,
        };
    }

    /// Something is missing: sends a request unless one is due, in flight or waiting for its retry.
    pub fn request(&mut self) {
        if self.is_idle() {
            *self = Self::Due;
        }
    }

    /// The request failed or brought nothing new: sends it again later.
    pub fn back_off(&mut self, now: Instant) {
        *self = Self::RetryAt(now + RETRY_DELAY);
    }

    /// Nothing is missing any more.
    pub fn cancel_retry(&mut self) {
        if let Self::RetryAt(_) = self {
            *self = Self::Idle;
        }
    }

    pub fn advance(&mut self, now: Instant) {
        if self.retry_at().is_some_and(|at| now >= at) {
            *self = Self::Due;
        }
    }

    /// The query to send, if a request is due. `complete` or `back_off` follows.
    pub fn poll(&mut self, query: Q) -> Option<Q> {
        let Self::Due = self else { return None };
        *self = Self::InFlight { query, repeat: false };
        Some(query)
    }

    /// The response has arrived. Returns the query it answers, or None if no request was in flight.
    pub fn complete(&mut self) -> Option<Q> {
        let Self::InFlight { query, repeat } = *self else { return None };
        *self = if repeat { Self::Due } else { Self::Idle };
        Some(query)
    }

    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    pub fn retry_at(&self) -> Option<Instant> {
        match self {
            Self::RetryAt(at) => Some(*at),
            Self::Idle | Self::Due | Self::InFlight { .. } => None,
        }
    }
}
