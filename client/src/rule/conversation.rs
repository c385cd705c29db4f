//! The rule for a conversation: which turns there are. What happens in each is its own rule's concern.
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    asking::Asking,
    turn::{Change, Refill, TurnRule},
};
use crate::schema::{ConversationEvent, ConversationEvents, ConversationUpdate, Turn};

/// How many finished turns are remembered, so that late updates of theirs are known for what they are.
const REMEMBERED_TURNS: usize = 16;
/// How often to ask as after an interruption all the same: a turn may begin, or begin again, and every update of it be lost.
const LOOK: Duration = Duration::from_secs(300);

/// What a reader should see happen, and in which turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub turn_id: String,
    pub change: Change,
}

/// What to ask the API for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The events after a position (None: the newest one) and the active turn.
    Events {
        after: Option<u32>,
    },
    Turn {
        turn_id: String,
        refill: Refill,
    },
}

/// What is known of a conversation being followed: told of updates and answers, it says what to ask and what to show.
pub struct ConversationRule {
    /// In the order of first hearing of them, which need not be theirs.
    turns: Vec<Followed>,
    /// The highest position met; None until the first answer to `Ask::Events`.
    newest: Option<u32>,
    /// The lowest position met before that answer.
    earliest: Option<u32>,
    /// When `Ask::Events` was answered last.
    looked: Option<Instant>,
    /// After which position to look for events.
    asking: Asking<Option<u32>>,
    progress: VecDeque<Progress>,
}

struct Followed {
    id: String,
    /// The highest position met of its events; None before the first.
    position: Option<u32>,
    rule: TurnRule,
}

impl ConversationRule {
    /// Follows from now on: the turn being answered, if any, and every later one.
    pub fn new() -> Self {
        Self {
            turns: Vec::new(),
            newest: None,
            earliest: None,
            looked: None,
            asking: Asking::Idle,
            progress: VecDeque::new(),
        }
    }

    /// The subscription stands, for the first time or again: what happened before is not known. Of the turns that had ended,
    /// only the newest can have been reopened.
    pub fn subscribed(&mut self) {
        self.asking.doubt();
        let newest = self.turns.iter().filter_map(|turn| turn.position).max();
        for turn in &mut self.turns {
            if turn.rule.is_open() || turn.position.is_none() || turn.position == newest {
                turn.rule.doubt();
            }
        }
    }

    /// A turn was ordered, or ordered again: it will be answered, even if no update ever tells.
    pub fn expect(&mut self, turn_id: &str, now: Instant) {
        let known = self.turns.iter().any(|turn| turn.id == turn_id);
        let turn = self.turn(turn_id, now);
        if known {
            turn.rule.doubt();
        }
    }

    pub fn update(&mut self, update: &ConversationUpdate, now: Instant) {
        if let Some(event) = &update.event {
            self.meet(event);
        }
        if let Some(turn_id) = &update.turn_id {
            let turn = self.turn(turn_id, now);
            turn.place(update.event.as_ref());
            turn.rule.update(update, now);
            self.collect();
        }
    }

    /// The answer to `Ask::Turn`.
    pub fn refilled(&mut self, turn: &Turn, now: Instant) {
        let events = || turn.question.iter().chain(turn.answer.iter().flatten());
        for event in events() {
            self.meet(event);
        }
        let followed = self.turn(&turn.id, now);
        followed.place(events());
        followed.rule.refilled(turn, now);
        self.collect();
    }

    pub fn refill_failed(&mut self, turn_id: &str, now: Instant) {
        self.turn(turn_id, now).rule.refill_failed(now);
    }

    /// The answer to `Ask::Events`.
    pub fn caught_up(&mut self, page: &ConversationEvents, now: Instant) {
        let Some(after) = self.asking.answered() else { return };
        self.looked = Some(now);
        let events = page.events.as_ref();
        for event in events.into_iter().flat_map(|events| &events.items) {
            self.newest = self.newest.max(Some(event.position));
            if let Some(turn_id) = event.turn_id.as_deref().filter(|_| after.is_some()) {
                let turn = self.turn(turn_id, now);
                turn.place([event]);
                turn.rule.doubt();
            }
        }
        self.newest = self.newest.or(Some(0));
        // What lies between the first event met and this answer may have been missed.
        if let Some(earliest) = self.earliest.take() {
            self.newest = self.newest.min(Some(earliest.saturating_sub(1)));
            self.asking.want();
        }
        if let Some(active) = &page.active_turn {
            self.turn(&active.id, now).rule.doubt();
        }
        if after.is_some() && events.is_some_and(|events| events.has_more && !events.items.is_empty()) {
            self.asking.want();
        }
    }

    pub fn catch_up_failed(&mut self, now: Instant) {
        self.asking.wait(now);
    }

    pub fn advance(&mut self, now: Instant) {
        self.asking.advance(now);
        if self.look_at().is_some_and(|at| now >= at) {
            self.subscribed();
        }
        for turn in &mut self.turns {
            turn.rule.advance(now);
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake(&self) -> Option<Instant> {
        let turns = self.turns.iter().filter_map(|turn| turn.rule.wake());
        turns.chain(self.asking.due_at()).chain(self.look_at()).min()
    }

    /// Each ask drained is answered by `caught_up` or `catch_up_failed`, or by `refilled` or `refill_failed`.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        if let Some(after) = self.asking.poll(|| self.newest) {
            return Some(Ask::Events { after });
        }
        self.turns.iter_mut().find_map(|turn| {
            let refill = turn.rule.poll_refill()?;
            Some(Ask::Turn { turn_id: turn.id.clone(), refill })
        })
    }

    pub fn poll_progress(&mut self) -> Option<Progress> {
        self.progress.pop_front()
    }

    fn look_at(&self) -> Option<Instant> {
        self.looked.filter(|_| self.asking.is_idle()).map(|looked| looked + LOOK)
    }

    /// Positions are contiguous: a leap proves that events were missed.
    fn meet(&mut self, event: &ConversationEvent) {
        let Some(newest) = self.newest else {
            self.earliest = Some(self.earliest.map_or(event.position, |known| known.min(event.position)));
            return;
        };
        if event.position > newest.saturating_add(1) {
            self.asking.doubt();
        } else {
            self.newest = Some(newest.max(event.position));
        }
    }

    /// A new turn proves that those before it have ended.
    fn turn(&mut self, turn_id: &str, now: Instant) -> &mut Followed {
        let known = self.turns.iter().position(|turn| turn.id == turn_id);
        let index = known.unwrap_or_else(|| {
            for turn in self.turns.iter_mut().filter(|turn| turn.rule.is_open()) {
                turn.rule.doubt();
            }
            self.forget_old_turns();
            self.turns.push(Followed { id: turn_id.to_owned(), position: None, rule: TurnRule::new(now) });
            self.turns.len() - 1
        });
        &mut self.turns[index]
    }

    fn forget_old_turns(&mut self) {
        while self.turns.len() >= REMEMBERED_TURNS {
            let Some(finished) = self.turns.iter().position(|turn| !turn.rule.is_open()) else { return };
            self.turns.remove(finished);
        }
    }

    fn collect(&mut self) {
        for turn in &mut self.turns {
            while let Some(change) = turn.rule.poll_change() {
                self.progress.push_back(Progress { turn_id: turn.id.clone(), change });
            }
        }
    }
}

impl Followed {
    fn place<'a>(&mut self, events: impl IntoIterator<Item = &'a ConversationEvent>) {
        self.position = events.into_iter().map(|event| event.position).max().max(self.position);
    }
}

impl Default for ConversationRule {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
