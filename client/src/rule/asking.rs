//! One question at a time: whether it is due, when, and what was asked.
use std::time::{Duration, Instant};

/// How long to wait before asking again for what the last answer did not bring.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
pub(super) enum Asking<Q> {
    Idle,
    Due,
    DueAt(Instant),
    Asked { question: Q, again: bool },
}

impl<Q: Copy> Asking<Q> {
    /// Something may have been missed: ask, and if an answer is on its way, ask once more after it.
    pub fn doubt(&mut self) {
        *self = match *self {
            Self::Asked { question, .. } => Self::Asked { question, again: true },
            Self::Idle | Self::Due | Self::DueAt(_) => Self::Due,
        };
    }

    /// Something is missing: ask, unless that is under way.
    pub fn want(&mut self) {
        if self.is_idle() {
            *self = Self::Due;
        }
    }

    /// The last answer brought nothing, or there was none.
    pub fn wait(&mut self, now: Instant) {
        *self = Self::DueAt(now + PATIENCE);
    }

    /// What was asked in vain is no longer missing.
    pub fn forget_retry(&mut self) {
        if let Self::DueAt(_) = self {
            *self = Self::Idle;
        }
    }

    pub fn advance(&mut self, now: Instant) {
        if self.due_at().is_some_and(|at| now >= at) {
            *self = Self::Due;
        }
    }

    /// The question, if it is due now; `answered` or `wait` follows.
    pub fn poll(&mut self, question: impl FnOnce() -> Q) -> Option<Q> {
        let Self::Due = self else { return None };
        let question = question();
        *self = Self::Asked { question, again: false };
        Some(question)
    }

    /// The question that was asked; None if none was.
    pub fn answered(&mut self) -> Option<Q> {
        let Self::Asked { question, again } = *self else { return None };
        *self = if again { Self::Due } else { Self::Idle };
        Some(question)
    }

    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    pub fn due_at(&self) -> Option<Instant> {
        match self {
            Self::DueAt(at) => Some(*at),
            Self::Idle | Self::Due | Self::Asked { .. } => None,
        }
    }
}
