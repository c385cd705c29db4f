//! The rule for one turn.
use std::{
    cmp::Ordering,
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{asking::Asking, page::Page};
use crate::schema::{
    AgentBatch, AgentMetadata, ConversationEvent, ConversationUpdate, Failure, SenderKind, StopReason, Turn,
    TurnStatus, Usage,
};

/// How long an open turn may be silent before its state is asked for.
const SILENCE: Duration = Duration::from_secs(10);
/// How often, and after how long each time, an end that was only read off the time is looked at again: as long as
/// somebody may still come to write it.
const SECOND_LOOKS: u32 = 12;
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

/// What a reader should see happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The user's event that is being answered.
    Question(Box<ConversationEvent>),
    /// Text to append.
    Text(String),
    /// The whole text anew, in place of what was shown.
    Replaced(String),
    /// What a waiting person may be told.
    Note(String),
    /// Said again where an end that was read off the time has been written since.
    Ended(Ending),
    /// The turn had ended and is being answered again: a retry or a continuation was ordered.
    Reopened,
}

/// How the turn ended. `Change::Text` and `Change::Replaced` before it have given the stored answer, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub status: TurnStatus,
    pub stop_reason: Option<StopReason>,
    pub failure: Option<Failure>,
    pub usage: Option<Usage>,
}

/// The arguments of getTurn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// None: whichever is the turn's own.
    pub attempt: Option<u32>,
    pub after_sequence: u32,
}

/// What is known of one turn: its attempt, its page so far, and what is missing of it.
pub struct TurnRule {
    /// 0 before the first.
    attempt: u32,
    /// The sequence to apply next.
    next: u32,
    /// The highest sequence met in this attempt.
    highest: u32,
    page: Page,
    /// What stands from earlier runs is only what was shown: getTurn has not said so yet.
    presumed: bool,
    /// How many agent's events of this attempt were applied.
    events: usize,
    questioned: bool,
    open: bool,
    /// Its end is stored with an event: nothing of this attempt follows it. An end that was only read off the time may
    /// still be written, with text that no reader was told of.
    concluded: bool,
    /// How often it will be looked at again all the same.
    looks_left: u32,
    heard: Instant,
    asking: Asking<Refill>,
    changes: VecDeque<Change>,
}

impl TurnRule {
    /// A turn of which nothing was heard yet.
    pub fn new(now: Instant) -> Self {
        Self {
            attempt: 0,
            next: 1,
            highest: 0,
            page: Page::default(),
            presumed: false,
            events: 0,
            questioned: false,
            open: true,
            concluded: false,
            looks_left: 0,
            heard: now,
            asking: Asking::Idle,
            changes: VecDeque::new(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn update(&mut self, update: &ConversationUpdate, now: Instant) {
        let (Some(attempt), Some(sequence)) = (update.attempt, update.sequence) else { return };
        if attempt < self.attempt || attempt == self.attempt && self.concluded {
            return;
        }
        if attempt == self.attempt && !self.open {
            return self.asking.want();
        }
        if attempt > self.attempt {
            self.begin(attempt);
        }
        self.heard = now;
        self.highest = self.highest.max(sequence);
        let missed = match sequence.cmp(&self.next) {
            Ordering::Less => end(update.metadata.as_ref(), update.event.as_ref()).is_some(),
            Ordering::Equal => {
                self.apply(update.metadata.as_ref(), update.event.as_ref());
                self.presumed
            }
            Ordering::Greater => true,
        };
        if self.open && missed {
            self.asking.want();
        }
    }

    /// Something may have been missed.
    pub fn doubt(&mut self) {
        self.asking.doubt();
    }

    /// What getTurn answered to the refill that was drained last.
    pub fn refilled(&mut self, turn: &Turn, now: Instant) {
        let Some(refill) = self.asking.answered() else { return };
        self.heard = now;
        let before = (self.attempt, self.next);
        self.take_question(turn.question.as_ref());
        if turn.attempt > self.attempt {
            self.begin(turn.attempt);
        }
        let other_attempt = refill.attempt.is_some_and(|asked| asked != self.attempt);
        if turn.attempt == self.attempt && !self.concluded {
            self.take(turn, !other_attempt && turn.has_more_batches != Some(true));
        }
        let incomplete =
            other_attempt || self.presumed || turn.has_more_batches == Some(true) || self.highest >= self.next;
        if self.open && incomplete && self.asking.is_idle() {
            let progressed = (self.attempt, self.next) != before;
            if progressed { self.asking.want() } else { self.asking.wait(now) }
        }
    }

    /// The refill that was drained last got no answer.
    pub fn refill_failed(&mut self, now: Instant) {
        self.asking.wait(now);
    }

    pub fn advance(&mut self, now: Instant) {
        self.asking.advance(now);
        if self.silent_at().is_some_and(|at| now >= at) {
            self.looks_left = self.looks_left.saturating_sub(1);
            self.asking.want();
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake(&self) -> Option<Instant> {
        self.asking.due_at().or(self.silent_at())
    }

    /// What to ask getTurn for now; each one drained is answered by `refilled` or `refill_failed`.
    pub fn poll_refill(&mut self) -> Option<Refill> {
        let refill = match self.attempt {
            0 => Refill { attempt: None, after_sequence: 0 },
            attempt => Refill { attempt: Some(attempt), after_sequence: self.next - 1 },
        };
        self.asking.poll(|| refill)
    }

    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    fn silent_at(&self) -> Option<Instant> {
        let patience = match (self.open, self.looks_left) {
            (true, _) => SILENCE,
            (false, 0) => return None,
            (false, _) => BETWEEN_LOOKS,
        };
        self.asking.is_idle().then(|| self.heard + patience)
    }

    fn begin(&mut self, attempt: u32) {
        if !self.open {
            self.changes.push_back(Change::Reopened);
        }
        self.changes.extend(self.page.turn_over(self.open));
        self.attempt = attempt;
        self.next = 1;
        self.highest = 0;
        self.presumed = true;
        self.events = 0;
        self.open = true;
        self.concluded = false;
        self.looks_left = 0;
    }

    fn stand_on(&mut self, standing: &str) {
        self.presumed = false;
        self.changes.extend(self.page.stand_on(standing));
    }

    fn apply(&mut self, metadata: Option<&AgentMetadata>, event: Option<&ConversationEvent>) {
        self.next += 1;
        self.take_metadata(metadata);
        match (event, end(metadata, event)) {
            (Some(event), _) if event.sender.kind == SenderKind::User => self.take_beginning(metadata, event),
            (Some(event), Some(status)) if self.questioned && !self.presumed => self.take_last(event, status),
            (Some(event), None) => self.take_event(event),
            (_, Some(_)) => self.doubt(),
            (None, None) => {}
        }
    }

    fn take_beginning(&mut self, metadata: Option<&AgentMetadata>, question: &ConversationEvent) {
        self.take_question(Some(question));
        if metadata.and_then(|metadata| metadata.continues) != Some(true) {
            self.stand_on("");
        }
    }

    fn take_metadata(&mut self, metadata: Option<&AgentMetadata>) {
        let Some(metadata) = metadata else { return };
        if let Some(note) = &metadata.note {
            self.changes.push_back(Change::Note(note.clone()));
        }
        if let Some(text) = &metadata.agent_partial_message {
            self.changes.extend(self.page.append(text));
        }
    }

    fn take_question(&mut self, event: Option<&ConversationEvent>) {
        if let Some(event) = event.filter(|_| !self.questioned) {
            self.questioned = true;
            self.changes.push_back(Change::Question(Box::new(event.clone())));
        }
    }

    fn take_event(&mut self, event: &ConversationEvent) {
        self.events += 1;
        self.changes.extend(self.page.confirm(event.said()));
    }

    fn take_last(&mut self, event: &ConversationEvent, status: TurnStatus) {
        self.changes.extend(self.page.conclude(event.said()));
        self.concluded = true;
        self.end(Ending { status, stop_reason: event.stop_reason, failure: event.failure.clone(), usage: event.usage });
    }

    /// Events of lower attempts are what stands from earlier runs: of others, none is left in an answer.
    fn take(&mut self, turn: &Turn, has_all_batches: bool) {
        let answer = turn.answer.as_deref().unwrap_or_default();
        let earlier = |event: &ConversationEvent| event.attempt.is_some_and(|attempt| attempt < turn.attempt);
        let (standing, own) = answer.split_at(answer.partition_point(earlier));
        if turn.status.is_end() && own.last().is_some_and(ConversationEvent::ends_answer) {
            self.changes.extend(self.page.show(said(answer)));
            self.concluded = true;
            return self.end(ending(turn, own));
        }
        if !self.open {
            return;
        }
        self.stand_on(&said(standing));
        self.take_batches(turn.batches.as_deref().unwrap_or_default(), own);
        if turn.status.is_end() && has_all_batches {
            for event in own.iter().skip(self.events) {
                self.take_event(event);
            }
            self.end(ending(turn, own));
        }
    }

    /// A number missing among stored batches is that of an agent's event: those are stored as events.
    fn take_batches(&mut self, batches: &[AgentBatch], answer: &[ConversationEvent]) {
        let attempt = self.attempt;
        for batch in batches.iter().filter(|batch| batch.attempt == attempt) {
            while batch.sequence > self.next {
                let Some(event) = answer.get(self.events) else { return };
                self.take_event(event);
                self.next += 1;
            }
            if batch.sequence == self.next {
                self.apply(Some(&batch.metadata), None);
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        self.open = false;
        self.looks_left = if self.concluded { 0 } else { SECOND_LOOKS };
        self.asking.forget_retry();
        self.changes.push_back(Change::Ended(ending));
    }
}

/// `own`: what this attempt has said for good.
fn ending(turn: &Turn, own: &[ConversationEvent]) -> Ending {
    let last = own.last();
    Ending {
        status: turn.status,
        stop_reason: last.and_then(|event| event.stop_reason),
        failure: turn.failure.clone().or_else(|| last.and_then(|event| event.failure.clone())),
        usage: turn.usage.or_else(|| last.and_then(|event| event.usage)),
    }
}

fn said(events: &[ConversationEvent]) -> String {
    events.iter().map(ConversationEvent::said).collect()
}

/// How an update ends the turn, if it does.
fn end(metadata: Option<&AgentMetadata>, event: Option<&ConversationEvent>) -> Option<TurnStatus> {
    let status = metadata.map(|metadata| metadata.status).or_else(|| event.and_then(implied_end));
    status.filter(|status| status.is_end())
}

fn implied_end(event: &ConversationEvent) -> Option<TurnStatus> {
    event.ends_answer().then_some(match (&event.failure, event.stop_reason) {
        (Some(_), _) => TurnStatus::Failed,
        (None, Some(StopReason::Cancelled)) => TurnStatus::Cancelled,
        (None, _) => TurnStatus::Completed,
    })
}

#[cfg(test)]
mod tests;
