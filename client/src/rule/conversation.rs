//! The rule for a conversation: which turns there are. What happens in each is its own rule's concern.
use std::{collections::VecDeque, time::Instant};

use super::{
    asking::Asking,
    turn::{Change, Refill, TurnRule},
};
use crate::schema::{ConversationEvent, ConversationEvents, ConversationUpdate, Turn};

/// How many finished turns are remembered, so that late updates of theirs are known for what they are.
const REMEMBERED_TURNS: usize = 16;

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
    turns: Vec<(String, TurnRule)>,
    /// The highest position met; None until the first answer to `Ask::Events`.
    newest: Option<u32>,
    /// After which position to look for events.
    asking: Asking<Option<u32>>,
    progress: VecDeque<Progress>,
}

impl ConversationRule {
    /// Follows from now on: the turn being answered, if any, and every later one.
    pub fn new() -> Self {
        Self { turns: Vec::new(), newest: None, asking: Asking::Idle, progress: VecDeque::new() }
    }

    /// The subscription stands, for the first time or again: what happened before is not known. Of the turns that had ended,
    /// only the newest can have been reopened.
    pub fn subscribed(&mut self) {
        self.asking.doubt();
        let newest = self.turns.len().saturating_sub(1);
        for (index, (_, turn)) in self.turns.iter_mut().enumerate() {
            if turn.is_open() || index == newest {
                turn.doubt();
            }
        }
    }

    /// A turn was ordered, or ordered again: it will be answered, even if no update ever tells.
    pub fn expect(&mut self, turn_id: &str, now: Instant) {
        let known = self.turns.iter().any(|(id, _)| id == turn_id);
        let turn = self.turn(turn_id, now);
        if known {
            turn.doubt();
        }
    }

    pub fn update(&mut self, update: &ConversationUpdate, now: Instant) {
        if let Some(event) = &update.event {
            self.meet(event);
        }
        if let Some(turn_id) = &update.turn_id {
            self.turn(turn_id, now).update(update, now);
            self.collect();
        }
    }

    /// The answer to `Ask::Turn`.
    pub fn refilled(&mut self, turn: &Turn, now: Instant) {
        for event in turn.question.iter().chain(turn.answer.iter().flatten()) {
            self.meet(event);
        }
        self.turn(&turn.id, now).refilled(turn, now);
        self.collect();
    }

    pub fn refill_failed(&mut self, turn_id: &str, now: Instant) {
        self.turn(turn_id, now).refill_failed(now);
    }

    /// The answer to `Ask::Events`.
    pub fn caught_up(&mut self, page: &ConversationEvents, now: Instant) {
        let Some(after) = self.asking.answered() else { return };
        let events = page.events.as_ref();
        for event in events.into_iter().flat_map(|events| &events.items) {
            self.newest = self.newest.max(Some(event.position));
            if let Some(turn_id) = event.turn_id.as_deref().filter(|_| after.is_some()) {
                self.turn(turn_id, now).doubt();
            }
        }
        self.newest = self.newest.or(Some(0));
        if let Some(active) = &page.active_turn {
            self.turn(&active.id, now).doubt();
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
        for (_, turn) in &mut self.turns {
            turn.advance(now);
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake(&self) -> Option<Instant> {
        self.turns.iter().filter_map(|(_, turn)| turn.wake()).chain(self.asking.due_at()).min()
    }

    /// Each ask drained is answered by `caught_up` or `catch_up_failed`, or by `refilled` or `refill_failed`.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        if let Some(after) = self.asking.poll(|| self.newest) {
            return Some(Ask::Events { after });
        }
        self.turns
            .iter_mut()
            .find_map(|(turn_id, turn)| turn.poll_refill().map(|refill| Ask::Turn { turn_id: turn_id.clone(), refill }))
    }

    pub fn poll_progress(&mut self) -> Option<Progress> {
        self.progress.pop_front()
    }

    /// Positions are contiguous: a leap proves that events were missed.
    fn meet(&mut self, event: &ConversationEvent) {
        let Some(newest) = self.newest else { return };
        if event.position > newest.saturating_add(1) {
            self.asking.doubt();
        } else {
            self.newest = Some(newest.max(event.position));
        }
    }

    /// A new turn proves that those before it have ended.
    fn turn(&mut self, turn_id: &str, now: Instant) -> &mut TurnRule {
        let known = self.turns.iter().position(|(id, _)| id == turn_id);
        let index = known.unwrap_or_else(|| {
            for (_, turn) in self.turns.iter_mut().filter(|(_, turn)| turn.is_open()) {
                turn.doubt();
            }
            self.forget_old_turns();
            self.turns.push((turn_id.to_owned(), TurnRule::new(now)));
            self.turns.len() - 1
        });
        &mut self.turns[index].1
    }

    fn forget_old_turns(&mut self) {
        while self.turns.len() >= REMEMBERED_TURNS {
            let Some(finished) = self.turns.iter().position(|(_, turn)| !turn.is_open()) else { return };
            self.turns.remove(finished);
        }
    }

    fn collect(&mut self) {
        for (turn_id, turn) in &mut self.turns {
            while let Some(change) = turn.poll_change() {
                self.progress.push_back(Progress { turn_id: turn_id.clone(), change });
            }
        }
    }
}

impl Default for ConversationRule {
    fn default() -> Self {
        Self::new()
    }
}
