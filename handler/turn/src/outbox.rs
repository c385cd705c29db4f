//! One thing at a time on its way out: the same until it is accepted.
use std::time::Instant;

use api::backoff::Backoff;

#[derive(Debug)]
pub struct Outbox<T> {
    /// To be sent until it is accepted.
    held: Option<Held<T>>,
    /// Sent and not answered yet: what is held, unless that was withdrawn meanwhile.
    in_flight: Option<T>,
    backoff: Backoff,
    jitter_seed: u64,
}

#[derive(Debug)]
struct Held<T> {
    what: T,
    failed: u32,
    due: Instant,
}

impl<T: Clone + PartialEq> Outbox<T> {
    /// `jitter_seed`: sets its waits apart from those of other turns.
    pub fn new(backoff: Backoff, jitter_seed: u64) -> Self {
        Self { held: None, in_flight: None, backoff, jitter_seed }
    }

    /// Whether something is on its way.
    pub fn is_sent(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether nothing is to be sent and nothing is waited for.
    pub fn is_idle(&self) -> bool {
        self.held.is_none() && self.in_flight.is_none()
    }

    /// Only where nothing is held.
    pub fn put(&mut self, what: T, now: Instant) {
        debug_assert!(self.held.is_none(), "one thing at a time");
        self.held = Some(Held { what, failed: 0, due: now });
    }

    /// It is not sent any more. Where it is on its way, its answer is still to come.
    pub fn withdraw(&mut self) -> Option<T> {
        self.held.take().map(|held| held.what)
    }

    /// When there is something to send; None while nothing is held or something is on its way.
    pub fn due(&self) -> Option<Instant> {
        let held = self.held.as_ref()?;
        self.in_flight.is_none().then_some(held.due)
    }

    pub fn send(&mut self, now: Instant) -> Option<T> {
        self.due().filter(|due| *due <= now)?;
        self.in_flight = self.held.as_ref().map(|held| held.what.clone());
        self.in_flight.clone()
    }

    /// What was on its way has been accepted.
    pub fn accepted(&mut self) -> Option<T> {
        let sent = self.in_flight.take();
        self.held.take_if(|held| Some(&held.what) == sent.as_ref());
        sent
    }

    /// What was on its way has failed. Whether it is still to be sent: then it goes out once more, after a wait.
    pub fn failed(&mut self, now: Instant) -> bool {
        let sent = self.in_flight.take();
        let Some(held) = self.held.as_mut().filter(|held| Some(&held.what) == sent.as_ref()) else { return false };
        held.failed += 1;
        held.due = now + self.backoff.seeded_delay(held.failed, self.jitter_seed);
        true
    }
}
