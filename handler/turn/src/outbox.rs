//! An outbox for one item at a time, which is sent again until it is accepted.
use std::time::Instant;

use api::backoff::Backoff;

#[derive(Debug)]
pub struct Outbox<T> {
    /// The item to send until it is accepted.
    held: Option<Held<T>>,
    /// The item that was sent and has no result yet. It differs from the held item if that one was withdrawn.
    in_flight: Option<T>,
    backoff: Backoff,
    jitter_seed: u64,
}

#[derive(Debug)]
struct Held<T> {
    item: T,
    failures: u32,
    due_at: Instant,
}

impl<T: Clone + PartialEq> Outbox<T> {
    pub fn new(backoff: Backoff, jitter_seed: u64) -> Self {
        Self { held: None, in_flight: None, backoff, jitter_seed }
    }

    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The item that was sent and has no result yet.
    pub fn in_flight(&self) -> Option<&T> {
        self.in_flight.as_ref()
    }

    /// Whether no item is held and none is in flight.
    pub fn is_idle(&self) -> bool {
        self.held.is_none() && self.in_flight.is_none()
    }

    /// Holds an item. No other item may be held.
    pub fn put(&mut self, item: T, now: Instant) {
        debug_assert!(self.held.is_none(), "the outbox holds one item at a time");
        self.held = Some(Held { item, failures: 0, due_at: now });
    }

    /// Releases the held item, which is not sent again. If it is in flight, its result still arrives.
    pub fn withdraw(&mut self) -> Option<T> {
        self.held.take().map(|held| held.item)
    }

    /// When the held item is to be sent. `None` if no item is held or one is in flight.
    pub fn due_at(&self) -> Option<Instant> {
        let held = self.held.as_ref()?;
        self.in_flight.is_none().then_some(held.due_at)
    }

    /// The held item, if it is due. The item counts as in flight from then on.
    pub fn send_due(&mut self, now: Instant) -> Option<T> {
        self.due_at().filter(|due_at| *due_at <= now)?;
        self.in_flight = self.held.as_ref().map(|held| held.item.clone());
        self.in_flight.clone()
    }

    /// The item in flight was accepted. Returns it.
    pub fn on_accepted(&mut self) -> Option<T> {
        let sent = self.in_flight.take();
        self.held.take_if(|held| Some(&held.item) == sent.as_ref());
        sent
    }

    /// The item in flight failed. Returns whether it is still held, so that it is sent again after a delay.
    pub fn on_failed(&mut self, now: Instant) -> bool {
        let sent = self.in_flight.take();
        let Some(held) = self.held.as_mut().filter(|held| Some(&held.item) == sent.as_ref()) else { return false };
        held.failures += 1;
        held.due_at = now + self.backoff.seeded_delay(held.failures, self.jitter_seed);
        true
    }
}
