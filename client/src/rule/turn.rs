//! The rule for one turn.
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::asking::Asking;
use crate::schema::{
    AgentBatch, AgentMetadata, ConversationEvent, ConversationUpdate, Failure, SenderKind, StopReason, Turn,
    TurnStatus, Usage,
};

/// How long an open turn may be silent before its state is asked for.
const SILENCE: Duration = Duration::from_secs(10);

/// What a reader should see happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The user's event that is being answered.
    Question(ConversationEvent),
    /// Text to append.
    Text(String),
    /// The whole text anew, in place of what was shown.
    Replaced(String),
    /// What a waiting person may be told.
    Note(String),
    Ended(Ending),
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

/// What is known of one turn: its attempt, its text so far, and what is missing of it.
pub struct TurnRule {
    /// 0 before the first.
    attempt: u32,
    /// The sequence to apply next.
    next: u32,
    /// The highest sequence met in this attempt.
    highest: u32,
    text: String,
    /// How many bytes of the text whole events have brought or confirmed.
    confirmed: usize,
    /// How many agent's events of this attempt were applied.
    events: usize,
    questioned: bool,
    open: bool,
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
            text: String::new(),
            confirmed: 0,
            events: 0,
            questioned: false,
            open: true,
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
        if attempt < self.attempt || attempt == self.attempt && !self.open {
            return;
        }
        if attempt > self.attempt {
            self.begin(attempt);
        }
        self.heard = now;
        self.highest = self.highest.max(sequence);
        if sequence == self.next {
            self.apply(update.metadata.as_ref(), update.event.as_ref());
        } else if sequence > self.next {
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
        self.take(turn);
        let other_attempt = refill.attempt.is_some_and(|asked| asked != self.attempt);
        let incomplete = other_attempt || turn.has_more_batches == Some(true) || self.highest >= self.next;
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
            self.asking.want();
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake(&self) -> Option<Instant> {
        self.asking.due_at().or(self.silent_at())
    }

    /// What to ask getTurn for now; each one drained is answered by `refilled` or `refill_failed`.
    pub fn poll_refill(&mut self) -> Option<Refill> {
        let attempt = (self.attempt > 0).then_some(self.attempt);
        self.asking.poll(|| Refill { attempt, after_sequence: self.next - 1 })
    }

    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    fn silent_at(&self) -> Option<Instant> {
        (self.open && self.asking.is_idle()).then(|| self.heard + SILENCE)
    }

    fn begin(&mut self, attempt: u32) {
        self.show(String::new());
        self.count_from(attempt);
    }

    fn count_from(&mut self, attempt: u32) {
        self.attempt = attempt;
        self.next = 1;
        self.highest = 0;
        self.confirmed = 0;
        self.events = 0;
        self.open = true;
    }

    fn apply(&mut self, metadata: Option<&AgentMetadata>, event: Option<&ConversationEvent>) {
        self.next += 1;
        self.take_metadata(metadata);
        let status = metadata.map(|metadata| metadata.status).or_else(|| event.and_then(implied_end));
        match (event, status.filter(|status| status.is_end())) {
            (Some(event), _) if event.sender.kind == SenderKind::User => self.take_question(Some(event)),
            (Some(event), Some(end)) => self.take_last(event, end),
            (Some(event), None) => self.take_event(event),
            (None, Some(_)) => self.doubt(),
            (None, None) => {}
        }
    }

    fn take_metadata(&mut self, metadata: Option<&AgentMetadata>) {
        let Some(metadata) = metadata else { return };
        if let Some(note) = &metadata.note {
            self.changes.push_back(Change::Note(note.clone()));
        }
        if let Some(text) = metadata.agent_partial_message.as_deref().filter(|text| !text.is_empty()) {
            self.text.push_str(text);
            self.changes.push_back(Change::Text(text.to_owned()));
        }
    }

    fn take_question(&mut self, event: Option<&ConversationEvent>) {
        if let Some(event) = event.filter(|_| !self.questioned) {
            self.questioned = true;
            self.changes.push_back(Change::Question(event.clone()));
        }
    }

    /// One of several events of an answer. Batches of the next one may have been shown already.
    fn take_event(&mut self, event: &ConversationEvent) {
        let whole = self.confirmed_with(event);
        self.confirmed = whole.len();
        self.events += 1;
        if !self.text.starts_with(&whole) {
            self.show(whole);
        }
    }

    fn take_last(&mut self, event: &ConversationEvent, status: TurnStatus) {
        self.show(self.confirmed_with(event));
        self.end(Ending { status, stop_reason: event.stop_reason, failure: event.failure.clone(), usage: event.usage });
    }

    fn confirmed_with(&self, event: &ConversationEvent) -> String {
        [self.text.get(..self.confirmed).unwrap_or_default(), event.said()].concat()
    }

    fn take(&mut self, turn: &Turn) {
        let news = turn.attempt > self.attempt || turn.attempt == self.attempt && self.open;
        let answer = turn.answer.as_deref().unwrap_or_default();
        if news && turn.status.is_end() && answer.last().is_some_and(ConversationEvent::ends_answer) {
            self.count_from(turn.attempt);
            self.show(answer.iter().map(ConversationEvent::said).collect());
            self.end(ending(turn));
        } else if news {
            self.take_unfinished(turn, answer);
        }
    }

    fn take_unfinished(&mut self, turn: &Turn, answer: &[ConversationEvent]) {
        if turn.attempt > self.attempt {
            self.begin(turn.attempt);
        }
        self.take_batches(turn.batches.as_deref().unwrap_or_default(), answer);
        if turn.status.is_end() && turn.has_more_batches != Some(true) {
            for event in answer.iter().skip(self.events) {
                self.take_event(event);
            }
            self.end(ending(turn));
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

    fn show(&mut self, text: String) {
        match text.strip_prefix(self.text.as_str()) {
            Some("") => return,
            Some(tail) => self.changes.push_back(Change::Text(tail.to_owned())),
            None => self.changes.push_back(Change::Replaced(text.clone())),
        }
        self.text = text;
    }

    fn end(&mut self, ending: Ending) {
        self.open = false;
        self.asking.forget_retry();
        self.changes.push_back(Change::Ended(ending));
    }
}

fn ending(turn: &Turn) -> Ending {
    let last = turn.answer.as_ref().and_then(|events| events.last());
    Ending {
        status: turn.status,
        stop_reason: last.and_then(|event| event.stop_reason),
        failure: turn.failure.clone().or_else(|| last.and_then(|event| event.failure.clone())),
        usage: turn.usage.or_else(|| last.and_then(|event| event.usage)),
    }
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
