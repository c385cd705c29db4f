//! How what is said reaches the table and those who watch: through AppSync, or directly where AppSync does not serve.
use std::{sync::Arc, time::Instant};

use crate::{
    attempt::{AttemptEnd, Effect},
    claim::Claim,
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    limits::Limits,
    mutation::{Mutation, PublishFailure, Update},
    outbox::Outbox,
};
use api::types::TurnStatus;

#[derive(Debug)]
pub struct Delivery {
    claim: Claim,
    way: DeliveryMode,
    publishing: Outbox<Arc<Mutation>>,
    /// Events. What is written and what is renewed take turns.
    writing: Outbox<Arc<Mutation>>,
    renewing: Outbox<Claim>,
    /// When the table last extended the lease, or would not.
    renewed: Instant,
    /// Since when the answer is over and nothing of it has been published.
    waiting: Option<Instant>,
    /// Whether the closing event has been handed in.
    closing: bool,
    limits: Limits,
    deadlines: Deadlines,
}

#[derive(Clone, Copy, Debug)]
enum DeliveryMode {
    /// AppSync stores what it tells.
    Publishing,
    /// Events are written to the table, and nothing else is told.
    Writing,
    /// All is written; AppSync is still to tell how the turn has ended.
    Announcing { until: Instant },
}

/// What can be delivered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    Anything,
    Events,
    Nothing,
}

/// What an answer from effects means to the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    None,
    Cancelled,
    Over(AttemptEnd),
}

impl Delivery {
    /// `leased`: when the claim began the lease. `jitter_seed`: sets its waits apart from those of other turns.
    pub fn begin(claim: Claim, limits: Limits, deadlines: Deadlines, jitter_seed: u64, leased: Instant) -> Self {
        Self {
            claim,
            way: DeliveryMode::Publishing,
            publishing: Outbox::new(limits.publish_retry, jitter_seed),
            writing: Outbox::new(limits.write_retry, jitter_seed.rotate_left(1)),
            renewing: Outbox::new(limits.write_retry, jitter_seed.rotate_left(2)),
            renewed: leased,
            waiting: None,
            closing: false,
            limits,
            deadlines,
        }
    }

    pub fn accepts(&self) -> Accepts {
        match self.way {
            DeliveryMode::Publishing if self.publishing.is_idle() => Accepts::Anything,
            DeliveryMode::Writing if self.writing.is_idle() && !self.renewing.is_sent() => Accepts::Events,
            DeliveryMode::Publishing | DeliveryMode::Writing | DeliveryMode::Announcing { .. } => Accepts::Nothing,
        }
    }

    /// Only what it takes.
    pub fn put(&mut self, mutation: Mutation, now: Instant) {
        self.closing = mutation.closes_turn();
        match self.way {
            DeliveryMode::Writing => self.write(Arc::new(mutation), now),
            DeliveryMode::Publishing | DeliveryMode::Announcing { .. } => self.publishing.put(Arc::new(mutation), now),
        }
        if self.closing {
            self.renewing.withdraw();
        }
    }

    /// What comes next is the end of the answer.
    pub fn answer_is_over(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// Lets go of what has taken too long.
    pub fn keep_limits(&mut self, now: Instant) -> Option<AttemptEnd> {
        match self.way {
            DeliveryMode::Announcing { until } => return (now >= until).then_some(AttemptEnd::Unannounced),
            DeliveryMode::Publishing if self.write_at().is_some_and(|at| at <= now) => self.write_from_now_on(now),
            DeliveryMode::Publishing | DeliveryMode::Writing => {}
        }
        (now >= self.deadlines.give_up_at).then_some(AttemptEnd::OutOfTime)
    }

    pub fn next(&mut self, now: Instant) -> Option<Effect> {
        let publish = self.publishing.send(now).map(Effect::Publish);
        publish.or_else(|| self.next_write(now).map(Effect::Write))
    }

    /// When time alone will make a difference.
    pub fn wake(&self) -> Instant {
        let way = match self.way {
            DeliveryMode::Publishing => self.write_at(),
            DeliveryMode::Writing => None,
            DeliveryMode::Announcing { until } => Some(until),
        };
        let write = self.writing.due().filter(|_| !self.renewing.is_sent());
        let moments = [way, self.publishing.due(), write, self.renewal_due()];
        moments.into_iter().flatten().fold(self.deadlines.give_up_at, Instant::min)
    }

    pub fn on_published(&mut self, result: Result<TurnStatus, PublishFailure>, now: Instant) -> DeliveryOutcome {
        match result {
            Ok(status) => self.on_accepted(status, now),
            Err(failure) if self.publishing.failed(now) => self.on_publish_failure(failure, now),
            // Of what was withdrawn; what took its place will tell.
            Err(_) => DeliveryOutcome::None,
        }
    }

    pub fn on_written(&mut self, result: Result<TurnStatus, WriteFailure>, now: Instant) -> DeliveryOutcome {
        let is_renewal = self.renewing.is_sent();
        match result {
            Ok(status) if is_renewal => {
                self.renewing.accepted();
                self.on_status(status, now)
            }
            Ok(status) => self.on_stored(status, now),
            Err(failure) => {
                let is_wanted = if is_renewal { self.renewing.failed(now) } else { self.writing.failed(now) };
                match failure {
                    WriteFailure::Stale if is_wanted => self.on_stale(is_renewal, now),
                    WriteFailure::Stale | WriteFailure::Again => DeliveryOutcome::None,
                }
            }
        }
    }

    fn on_accepted(&mut self, status: TurnStatus, now: Instant) -> DeliveryOutcome {
        if self.publishing.accepted().is_some_and(|sent| sent.closes_turn()) {
            return DeliveryOutcome::Over(AttemptEnd::Published);
        }
        self.waiting = self.waiting.map(|_| now);
        self.renewing.withdraw();
        self.on_status(status, now)
    }

    fn on_stored(&mut self, status: TurnStatus, now: Instant) -> DeliveryOutcome {
        self.renewing.withdraw();
        match self.writing.accepted() {
            Some(event) if event.closes_turn() => {
                self.announce(event, now);
                DeliveryOutcome::None
            }
            _ => self.on_status(status, now),
        }
    }

    /// Of a turn that is being closed, the end that a renewal has met may be our own.
    fn on_stale(&mut self, is_renewal: bool, now: Instant) -> DeliveryOutcome {
        if is_renewal && self.closing {
            self.renewing.withdraw();
            self.renewed = now;
            return DeliveryOutcome::None;
        }
        DeliveryOutcome::Over(AttemptEnd::Superseded)
    }

    fn on_status(&mut self, status: TurnStatus, now: Instant) -> DeliveryOutcome {
        self.renewed = now;
        match status {
            // The end that it tells of may be our own; and it is too late to end otherwise.
            _ if self.closing => DeliveryOutcome::None,
            TurnStatus::Queued | TurnStatus::Running => DeliveryOutcome::None,
            TurnStatus::Cancelling => DeliveryOutcome::Cancelled,
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => {
                DeliveryOutcome::Over(AttemptEnd::Superseded)
            }
        }
    }

    fn on_publish_failure(&mut self, failure: PublishFailure, now: Instant) -> DeliveryOutcome {
        match (failure, self.way) {
            (PublishFailure::Again, _) => return DeliveryOutcome::None,
            (PublishFailure::Stale, _) => return DeliveryOutcome::Over(AttemptEnd::Superseded),
            (PublishFailure::Refused, DeliveryMode::Announcing { .. }) => {
                return DeliveryOutcome::Over(AttemptEnd::Unannounced);
            }
            (PublishFailure::Refused, DeliveryMode::Publishing | DeliveryMode::Writing) => self.write_from_now_on(now),
        }
        DeliveryOutcome::None
    }

    /// An event that AppSync may have stored keeps its number and its bytes; anything else is left out, and its number
    /// is a gap that a reader can see.
    fn write_from_now_on(&mut self, now: Instant) {
        self.way = DeliveryMode::Writing;
        if let Some(event) = self.publishing.withdraw().filter(|stuck| matches!(stuck.update, Update::Event(_))) {
            self.write(event, now);
        }
    }

    fn write(&mut self, event: Arc<Mutation>, now: Instant) {
        self.renewing.withdraw();
        self.writing.put(event, now);
    }

    fn announce(&mut self, event: Arc<Mutation>, now: Instant) {
        let until = (now + self.limits.announcing).min(self.deadlines.give_up_at);
        self.way = DeliveryMode::Announcing { until };
        self.publishing.put(event, now);
    }

    fn write_at(&self) -> Option<Instant> {
        self.waiting.map(|since| (since + self.limits.publish_patience).min(self.deadlines.publish_until))
    }

    /// An event goes before a renewal, which fills the wait for its next try.
    fn next_write(&mut self, now: Instant) -> Option<DirectWrite> {
        if self.renewing.is_sent() {
            return None;
        }
        if let Some(event) = self.writing.send(now) {
            return Some(DirectWrite::StoreEvent(event));
        }
        self.renewal_due().filter(|due| *due <= now)?;
        if self.renewing.is_idle() {
            self.renewing.put(self.claim.clone(), now);
        }
        self.renewing.send(now).map(DirectWrite::RenewLease)
    }

    /// None while it would meet what is being written.
    fn renewal_due(&self) -> Option<Instant> {
        let closing_waits = self.publishing.due().is_some() || self.writing.due().is_some();
        let is_open = !matches!(self.way, DeliveryMode::Announcing { .. }) && (!self.closing || closing_waits);
        let is_free = !self.writing.is_sent() && !self.renewing.is_sent();
        (is_open && is_free).then(|| self.renewing.due().unwrap_or(self.renewed + self.limits.heartbeat))
    }
}
