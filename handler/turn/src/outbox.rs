//! The one publish in flight: the same bytes until it is answered.
use std::{sync::Arc, time::Instant};

use crate::{limits::Backoff, mutation::Mutation};

#[derive(Debug)]
pub struct Outbox {
    held: Option<Held>,
    backoff: Backoff,
    salt: u64,
}

#[derive(Debug)]
struct Held {
    mutation: Arc<Mutation>,
    tries: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Due(Instant),
    InFlight,
}

impl Outbox {
    /// `salt`: sets its waits apart from those of other turns.
    pub fn new(backoff: Backoff, salt: u64) -> Self {
        Self { held: None, backoff, salt }
    }

    pub fn is_free(&self) -> bool {
        self.held.is_none()
    }

    /// Only into a free outbox.
    pub fn put(&mut self, mutation: Mutation, now: Instant) {
        debug_assert!(self.is_free(), "one publish at a time");
        self.held = Some(Held { mutation: Arc::new(mutation), tries: 0, state: State::Due(now) });
    }

    /// When there is something to send; None while it is free or in flight.
    pub fn due(&self) -> Option<Instant> {
        match self.held.as_ref()?.state {
            State::Due(at) => Some(at),
            State::InFlight => None,
        }
    }

    pub fn send(&mut self, now: Instant) -> Option<Arc<Mutation>> {
        let held = self.held.as_mut()?;
        match held.state {
            State::Due(at) if at <= now => {
                held.state = State::InFlight;
                Some(Arc::clone(&held.mutation))
            }
            State::Due(_) | State::InFlight => None,
        }
    }

    /// What was sent has been accepted.
    pub fn accepted(&mut self) -> Option<Arc<Mutation>> {
        self.held.take().map(|held| held.mutation)
    }

    /// What was sent may be lost: it goes out once more, after a wait.
    pub fn again(&mut self, now: Instant) {
        let Some(held) = &mut self.held else { return };
        held.tries += 1;
        let salt = self.salt.wrapping_add(u64::from(held.mutation.sequence) << 32);
        held.state = State::Due(now + self.backoff.after(held.tries, salt));
    }
}
