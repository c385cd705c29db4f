//! Delivery of an attempt's updates: published through AppSync, or written to the table directly if AppSync
//! fails.
use std::{sync::Arc, time::Instant};

use api::types::TurnStatus;

use crate::{
    claim::Claim,
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    effect::{AttemptEnd, Effect},
    limits::Limits,
    mutation::{Mutation, PublishFailure, Update},
    outbox::Outbox,
};

#[derive(Debug)]
pub struct Delivery {
    claim: Claim,
    mode: DeliveryMode,
    publishes: Outbox<Arc<Mutation>>,
    /// Events to write directly. Only one of an event and a renewal is in flight.
    writes: Outbox<Arc<Mutation>>,
    renewals: Outbox<Claim>,
    /// When the table last extended the lease, or refused to because this attempt had closed the turn.
    last_renewal: Instant,
    /// The answer has ended and none of it has been accepted since this moment.
    end_waiting_since: Option<Instant>,
    last_update: LastUpdate,
    limits: Limits,
    deadlines: Deadlines,
}

#[derive(Clone, Copy, Debug)]
enum DeliveryMode {
    /// AppSync stores and publishes every update.
    Publishing,
    /// Events are written directly and not published; other updates are dropped.
    WritingDirectly,
    /// All events are written; the last one is offered to AppSync until a moment, to announce the end of the
    /// turn.
    Announcing { until: Instant },
}

/// Whether an update is being delivered after which the attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastUpdate {
    None,
    /// The update that begins a wait. It can be withdrawn.
    Wait,
    ClosingEvent,
}

/// Which updates can be delivered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    Anything,
    EventsOnly,
    Nothing,
}

/// The consequence of a publish's or a write's result for the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Continue,
    /// The user has cancelled the turn.
    Cancel,
    End(AttemptEnd),
}

impl Delivery {
    /// `leased_at`: when the attempt's claim started the lease.
    pub fn new(claim: Claim, limits: Limits, deadlines: Deadlines, jitter_seed: u64, leased_at: Instant) -> Self {
        Self {
            claim,
            mode: DeliveryMode::Publishing,
            publishes: Outbox::new(limits.publish_retry, jitter_seed),
            writes: Outbox::new(limits.write_retry, jitter_seed.rotate_left(1)),
            renewals: Outbox::new(limits.write_retry, jitter_seed.rotate_left(2)),
            last_renewal: leased_at,
            end_waiting_since: None,
            last_update: LastUpdate::None,
            limits,
            deadlines,
        }
    }

    pub fn accepts(&self) -> Accepts {
        match self.mode {
            DeliveryMode::Publishing if self.publishes.is_idle() => Accepts::Anything,
            DeliveryMode::WritingDirectly if self.writes.is_idle() && !self.renewals.is_in_flight() => {
                Accepts::EventsOnly
            }
            DeliveryMode::Publishing | DeliveryMode::WritingDirectly | DeliveryMode::Announcing { .. } => {
                Accepts::Nothing
            }
        }
    }

    /// The sequence of the update whose publish is in flight.
    pub fn sequence_in_flight(&self) -> Option<u32> {
        self.publishes.in_flight().map(|mutation| mutation.sequence)
    }

    /// Takes an update to deliver, which must be one that [`Self::accepts`] allows.
    pub fn put(&mut self, mutation: Mutation, now: Instant) {
        self.last_update = match &mutation {
            mutation if mutation.closes_turn() => LastUpdate::ClosingEvent,
            mutation if mutation.begins_wait() => LastUpdate::Wait,
            _ => LastUpdate::None,
        };
        match self.mode {
            DeliveryMode::WritingDirectly => self.write_event(Arc::new(mutation), now),
            DeliveryMode::Publishing | DeliveryMode::Announcing { .. } => {
                self.publishes.put(Arc::new(mutation), now);
            }
        }
        if self.last_update != LastUpdate::None {
            self.renewals.withdraw();
        }
    }

    /// Whether only events can be delivered, because AppSync has failed.
    pub fn is_writing_directly(&self) -> bool {
        matches!(self.mode, DeliveryMode::WritingDirectly)
    }

    /// Whether the turn is closed by a direct write.
    pub fn has_written_end(&self) -> bool {
        matches!(self.mode, DeliveryMode::Announcing { .. })
    }

    /// The attempt goes on instead of waiting: the update that begins the wait is not sent again. If it is in
    /// flight, it may still be accepted, and then the attempt is over.
    pub fn withdraw_wait(&mut self) {
        if self.last_update == LastUpdate::Wait {
            self.publishes.withdraw();
            self.last_update = LastUpdate::None;
        }
    }

    /// The answer has ended: from now on only its last events are to be delivered.
    pub fn on_answer_ended(&mut self, now: Instant) {
        self.end_waiting_since.get_or_insert(now);
    }

    /// Falls back to direct writes, or ends the attempt, if something has taken too long.
    pub fn check_deadlines(&mut self, now: Instant) -> Option<AttemptEnd> {
        match self.mode {
            DeliveryMode::Announcing { until } => return (now >= until).then_some(AttemptEnd::Unannounced),
            DeliveryMode::Publishing if self.fall_back_at().is_some_and(|at| at <= now) => {
                self.fall_back_to_direct_writes(now);
            }
            DeliveryMode::Publishing | DeliveryMode::WritingDirectly => {}
        }
        (now >= self.deadlines.give_up_at).then_some(AttemptEnd::OutOfTime)
    }

    pub fn next_effect(&mut self, now: Instant) -> Option<Effect> {
        if let Some(mutation) = self.publishes.send_due(now) {
            return Some(Effect::Publish(mutation));
        }
        self.next_write(now).map(Effect::Write)
    }

    /// When `check_deadlines` or `next_effect` may have a result without further input.
    pub fn wake_at(&self) -> Instant {
        let mode_changes_at = match self.mode {
            DeliveryMode::Publishing => self.fall_back_at(),
            DeliveryMode::WritingDirectly => None,
            DeliveryMode::Announcing { until } => Some(until),
        };
        let write_due_at = self.writes.due_at().filter(|_| !self.renewals.is_in_flight());
        [mode_changes_at, self.publishes.due_at(), write_due_at, self.renewal_due_at()]
            .into_iter()
            .flatten()
            .fold(self.deadlines.give_up_at, Instant::min)
    }

    pub fn on_published(&mut self, result: Result<TurnStatus, PublishFailure>, now: Instant) -> DeliveryOutcome {
        match result {
            Ok(status) => self.on_publish_accepted(status, now),
            Err(failure) => {
                let is_held = self.publishes.on_failed(now);
                if !is_held {
                    // The update was withdrawn and is being written directly; the result of the write counts.
                    return DeliveryOutcome::Continue;
                }
                self.on_publish_failure(failure, now)
            }
        }
    }

    pub fn on_written(&mut self, result: Result<TurnStatus, WriteFailure>, now: Instant) -> DeliveryOutcome {
        if self.renewals.is_in_flight() { self.on_renewed(result, now) } else { self.on_event_written(result, now) }
    }

    fn on_publish_accepted(&mut self, status: TurnStatus, now: Instant) -> DeliveryOutcome {
        let sent = self.publishes.on_accepted();
        if sent.is_some_and(|sent| sent.closes_turn()) {
            return DeliveryOutcome::End(AttemptEnd::Published);
        }
        if self.last_update == LastUpdate::Wait {
            self.last_update = LastUpdate::None;
        }
        if self.end_waiting_since.is_some() {
            self.end_waiting_since = Some(now);
        }
        self.renewals.withdraw();
        self.on_lease_extended(status, now)
    }

    fn on_publish_failure(&mut self, failure: PublishFailure, now: Instant) -> DeliveryOutcome {
        match (failure, self.mode) {
            (PublishFailure::Retryable, _) => DeliveryOutcome::Continue,
            (PublishFailure::Stale, _) => DeliveryOutcome::End(AttemptEnd::Superseded),
            (PublishFailure::Refused, DeliveryMode::Announcing { .. }) => DeliveryOutcome::End(AttemptEnd::Unannounced),
            (PublishFailure::Refused, DeliveryMode::Publishing | DeliveryMode::WritingDirectly) => {
                self.fall_back_to_direct_writes(now);
                DeliveryOutcome::Continue
            }
        }
    }

    fn on_renewed(&mut self, result: Result<TurnStatus, WriteFailure>, now: Instant) -> DeliveryOutcome {
        let failure = match result {
            Ok(status) => {
                self.renewals.on_accepted();
                return self.on_lease_extended(status, now);
            }
            Err(failure) => failure,
        };
        let is_held = self.renewals.on_failed(now);
        match failure {
            WriteFailure::Stale if is_held && self.last_update != LastUpdate::None => {
                // The lease may have been ended by this attempt's last update, whose result was lost. The
                // result of sending that update again shows which.
                self.renewals.withdraw();
                self.last_renewal = now;
                DeliveryOutcome::Continue
            }
            WriteFailure::Stale if is_held => DeliveryOutcome::End(AttemptEnd::Superseded),
            // A renewal that was withdrawn is followed by an event, whose result counts.
            WriteFailure::Stale | WriteFailure::Retryable => DeliveryOutcome::Continue,
        }
    }

    fn on_event_written(&mut self, result: Result<TurnStatus, WriteFailure>, now: Instant) -> DeliveryOutcome {
        let status = match result {
            Ok(status) => status,
            Err(failure) => {
                let is_held = self.writes.on_failed(now);
                return match failure {
                    WriteFailure::Stale if is_held => DeliveryOutcome::End(AttemptEnd::Superseded),
                    WriteFailure::Stale | WriteFailure::Retryable => DeliveryOutcome::Continue,
                };
            }
        };
        self.renewals.withdraw();
        match self.writes.on_accepted() {
            Some(event) if event.closes_turn() => {
                self.announce(event, now);
                DeliveryOutcome::Continue
            }
            _ => self.on_lease_extended(status, now),
        }
    }

    fn on_lease_extended(&mut self, status: TurnStatus, now: Instant) -> DeliveryOutcome {
        if status == TurnStatus::Waiting {
            // Only this attempt's own update begins a wait, even if it was withdrawn since.
            return DeliveryOutcome::End(AttemptEnd::Waiting);
        }
        self.last_renewal = now;
        if self.last_update == LastUpdate::ClosingEvent {
            // The closing event is final, and an end in the status may be this attempt's own.
            return DeliveryOutcome::Continue;
        }
        match status {
            TurnStatus::Queued | TurnStatus::Running | TurnStatus::Waiting => DeliveryOutcome::Continue,
            TurnStatus::Cancelling => DeliveryOutcome::Cancel,
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => {
                DeliveryOutcome::End(AttemptEnd::Superseded)
            }
        }
    }

    /// AppSync may have stored an event although its result was lost, so the event is written with the same
    /// sequence and bytes. Other updates are dropped; readers notice the gap in the sequence.
    fn fall_back_to_direct_writes(&mut self, now: Instant) {
        self.mode = DeliveryMode::WritingDirectly;
        self.withdraw_wait();
        if let Some(mutation) = self.publishes.withdraw()
            && matches!(mutation.update, Update::Event(_))
        {
            self.write_event(mutation, now);
        }
    }

    /// An accepted event extends the lease, so it replaces a pending renewal.
    fn write_event(&mut self, event: Arc<Mutation>, now: Instant) {
        self.renewals.withdraw();
        self.writes.put(event, now);
    }

    fn announce(&mut self, event: Arc<Mutation>, now: Instant) {
        let until = (now + self.limits.announce_timeout).min(self.deadlines.give_up_at);
        self.mode = DeliveryMode::Announcing { until };
        self.publishes.put(event, now);
    }

    /// When an answer that has ended is written directly, if AppSync accepts nothing before.
    fn fall_back_at(&self) -> Option<Instant> {
        let since = self.end_waiting_since?;
        Some((since + self.limits.fallback_delay).min(self.deadlines.publish_until))
    }

    /// The next write. An event goes before a renewal; a renewal may go while an event waits for its next
    /// try.
    fn next_write(&mut self, now: Instant) -> Option<DirectWrite> {
        if self.renewals.is_in_flight() {
            return None;
        }
        if let Some(event) = self.writes.send_due(now) {
            return Some(DirectWrite::StoreEvent(event));
        }
        if self.renewal_due_at()? > now {
            return None;
        }
        if self.renewals.is_idle() {
            self.renewals.put(self.claim.clone(), now);
        }
        self.renewals.send_due(now).map(DirectWrite::RenewLease)
    }

    fn renewal_due_at(&self) -> Option<Instant> {
        if let DeliveryMode::Announcing { .. } = self.mode {
            // The turn is closed and has no lease.
            return None;
        }
        if self.is_last_update_in_flight() {
            // The update is about to end the lease.
            return None;
        }
        if self.writes.is_in_flight() || self.renewals.is_in_flight() {
            // Only one write is in flight at a time.
            return None;
        }
        Some(self.renewals.due_at().unwrap_or(self.last_renewal + self.limits.renewal_interval))
    }

    /// False while the last update waits for its next try.
    fn is_last_update_in_flight(&self) -> bool {
        self.last_update != LastUpdate::None && self.publishes.due_at().is_none() && self.writes.due_at().is_none()
    }
}
