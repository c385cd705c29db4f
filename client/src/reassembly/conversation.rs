//! Reassembly of a conversation: which turns there are, and the reassembly of each.
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    request_state::RequestState,
    turn::{Change, TurnQuery, TurnReassembly},
};
use crate::schema::{ConversationEvent, ConversationEvents, ConversationUpdate, Turn};

/// How many turns are kept, so that late updates of ended turns are recognized. Open turns are always kept.
const MAX_TURNS: usize = 16;
/// How many ids of removed turns are kept: more than become known while a response is under way.
const MAX_REMOVED_IDS: usize = 1024;
/// How often to check for missed turns without a reconnect: every update of a turn may be lost.
const CHECK_INTERVAL: Duration = Duration::from_secs(300);

/// A change to what is displayed of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum ConversationChange {
    Turn(TurnChange),
    /// The conversation had no title and has this one now.
    Titled(String),
}

/// A change to what is displayed of one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnChange {
    pub turn_id: String,
    pub change: Change,
}

/// A request to send to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The active turn, and the events after a position or, with None, the newest event.
    Events { after: Option<u32> },
    /// A turn, by getTurn.
    Turn { turn_id: String, query: TurnQuery },
}

/// What a client knows of the conversation that it follows.
pub struct ConversationReassembly {
    /// In the order in which the client first saw them, which can differ from the order of the conversation.
    turns: Vec<TurnEntry>,
    /// Turns that ended long ago, oldest first. Updates and responses about them are ignored: only the last
    /// turn of a conversation is answered again, and a late response would display such a turn a second time.
    removed_ids: VecDeque<String>,
    position: Position,
    /// The query is the position after which events are fetched.
    events_request: RequestState<Option<u32>>,
    changes: VecDeque<ConversationChange>,
}

/// Up to which event the conversation is known.
#[derive(Clone, Copy)]
enum Position {
    /// `Fetch::Events` was not answered yet.
    Unknown {
        /// The lowest position seen in updates meanwhile.
        lowest_seen: Option<u32>,
    },
    Known {
        /// No event up to this position was missed.
        newest: u32,
        /// When `Fetch::Events` was last answered.
        checked_at: Instant,
    },
}

struct TurnEntry {
    id: String,
    /// The highest position seen of the turn's events.
    position: Option<u32>,
    reassembly: TurnReassembly,
}

impl ConversationReassembly {
    /// Follows from now on: the active turn, if there is one, and every later turn.
    pub fn new() -> Self {
        Self {
            turns: Vec::new(),
            removed_ids: VecDeque::new(),
            position: Position::Unknown { lowest_seen: None },
            events_request: RequestState::Idle,
            changes: VecDeque::new(),
        }
    }

    /// The subscription started, for the first time or again: updates before may have been missed.
    pub fn on_subscribed(&mut self) {
        self.check_for_missed_updates();
    }

    /// The caller has started the turn, or started it again: it is reported to its end even if no update
    /// arrives.
    pub fn expect_turn(&mut self, turn_id: &str, now: Instant) {
        self.removed_ids.retain(|removed| removed != turn_id);
        let is_known = self.turns.iter().any(|turn| turn.id == turn_id);
        let turn = self.turn(turn_id, now);
        if is_known {
            turn.reassembly.mark_stale();
        }
    }

    pub fn on_update(&mut self, update: &ConversationUpdate, now: Instant) {
        if let Some(title) = &update.title {
            self.changes.push_back(ConversationChange::Titled(title.clone()));
        }
        if let Some(event) = &update.event {
            self.track_position(event);
        }
        if let Some(turn_id) = &update.turn_id
            && !self.is_removed(turn_id)
        {
            let turn = self.turn(turn_id, now);
            turn.track_position(update.event.as_ref());
            turn.reassembly.on_update(update, now);
            self.collect_changes();
        }
    }

    /// The response to `Fetch::Turn`.
    pub fn on_turn(&mut self, turn: &Turn, now: Instant) {
        let events = || turn.question.iter().chain(turn.answer.iter().flatten());
        for event in events() {
            self.track_position(event);
        }
        if self.is_removed(&turn.id) {
            return;
        }
        let entry = self.turn(&turn.id, now);
        entry.track_position(events());
        entry.reassembly.on_turn(turn, now);
        self.collect_changes();
    }

    pub fn on_turn_failed(&mut self, turn_id: &str, now: Instant) {
        if !self.is_removed(turn_id) {
            self.turn(turn_id, now).reassembly.on_turn_failed(now);
        }
    }

    /// The response to `Fetch::Events`.
    pub fn on_events(&mut self, response: &ConversationEvents, now: Instant) {
        if self.events_request.complete().is_none() {
            return;
        }
        let events = response.events.as_ref().map(|page| page.items.as_slice()).unwrap_or_default();
        let last_position = events.iter().map(|event| event.position).max().unwrap_or(0);
        let newest = match self.position {
            Position::Unknown { lowest_seen: None } => last_position,
            Position::Unknown { lowest_seen: Some(lowest) } => {
                // Events between the first update and this response may have been missed.
                self.events_request.request();
                last_position.min(lowest.saturating_sub(1))
            }
            Position::Known { newest, .. } => {
                for event in events {
                    self.mark_turn_stale(event, now);
                }
                let has_more = response.events.as_ref().is_some_and(|page| page.has_more);
                if has_more && !events.is_empty() {
                    self.events_request.request();
                }
                newest.max(last_position)
            }
        };
        self.position = Position::Known { newest, checked_at: now };
        if let Some(active) = &response.active_turn {
            self.turn(&active.id, now).reassembly.mark_stale();
        }
    }

    pub fn on_events_failed(&mut self, now: Instant) {
        self.events_request.back_off(now);
    }

    pub fn advance(&mut self, now: Instant) {
        self.events_request.advance(now);
        if self.check_at().is_some_and(|at| now >= at) {
            self.check_for_missed_updates();
        }
        for turn in &mut self.turns {
            turn.reassembly.advance(now);
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Instant> {
        let turns = self.turns.iter().filter_map(|turn| turn.reassembly.wake_at());
        turns.chain(self.events_request.retry_at()).chain(self.check_at()).min()
    }

    /// The next request to send. `on_events` or `on_events_failed`, or else `on_turn` or `on_turn_failed`,
    /// follows each.
    pub fn poll_fetch(&mut self) -> Option<Fetch> {
        let newest = match self.position {
            Position::Unknown { .. } => None,
            Position::Known { newest, .. } => Some(newest),
        };
        if let Some(after) = self.events_request.poll(newest) {
            return Some(Fetch::Events { after });
        }
        self.turns.iter_mut().find_map(|turn| {
            let query = turn.reassembly.poll_query()?;
            Some(Fetch::Turn { turn_id: turn.id.clone(), query })
        })
    }

    pub fn poll_change(&mut self) -> Option<ConversationChange> {
        self.changes.pop_front()
    }

    /// Fetches only the newest of the ended turns, because no other can have been reopened. A turn whose
    /// position is unknown may be the newest.
    fn check_for_missed_updates(&mut self) {
        self.events_request.mark_stale();
        let newest = self.turns.iter().filter_map(|turn| turn.position).max();
        for turn in &mut self.turns {
            if turn.reassembly.is_open() || turn.position.is_none() || turn.position == newest {
                turn.reassembly.mark_stale();
            }
        }
    }

    fn check_at(&self) -> Option<Instant> {
        match self.position {
            Position::Known { checked_at, .. } if self.events_request.is_idle() => Some(checked_at + CHECK_INTERVAL),
            Position::Known { .. } | Position::Unknown { .. } => None,
        }
    }

    /// Positions are contiguous: a gap proves that events were missed.
    fn track_position(&mut self, event: &ConversationEvent) {
        match &mut self.position {
            Position::Unknown { lowest_seen } => {
                let lowest = lowest_seen.map_or(event.position, |lowest| lowest.min(event.position));
                *lowest_seen = Some(lowest);
            }
            Position::Known { newest, .. } if event.position > newest.saturating_add(1) => {
                self.events_request.mark_stale();
            }
            Position::Known { newest, .. } => *newest = event.position.max(*newest),
        }
    }

    fn mark_turn_stale(&mut self, event: &ConversationEvent, now: Instant) {
        if let Some(turn_id) = &event.turn_id
            && !self.is_removed(turn_id)
        {
            let turn = self.turn(turn_id, now);
            turn.track_position([event]);
            turn.reassembly.mark_stale();
        }
    }

    /// The entry of a turn, added if the turn is new. A new turn proves that the turns before it have ended.
    fn turn(&mut self, turn_id: &str, now: Instant) -> &mut TurnEntry {
        if let Some(index) = self.turns.iter().position(|turn| turn.id == turn_id) {
            return &mut self.turns[index];
        }
        for turn in &mut self.turns {
            if turn.reassembly.is_open() {
                turn.reassembly.mark_stale();
            }
        }
        self.remove_old_turns();
        let entry = TurnEntry { id: turn_id.to_owned(), position: None, reassembly: TurnReassembly::new(now) };
        self.turns.push_mut(entry)
    }

    fn remove_old_turns(&mut self) {
        while self.turns.len() >= MAX_TURNS {
            let Some(ended) = self.turns.iter().position(|turn| !turn.reassembly.is_open()) else { return };
            let removed = self.turns.remove(ended);
            self.removed_ids.push_back(removed.id);
            if self.removed_ids.len() > MAX_REMOVED_IDS {
                self.removed_ids.pop_front();
            }
        }
    }

    fn is_removed(&self, turn_id: &str) -> bool {
        self.removed_ids.iter().any(|removed| removed == turn_id)
    }

    fn collect_changes(&mut self) {
        for turn in &mut self.turns {
            while let Some(change) = turn.reassembly.poll_change() {
                let change = TurnChange { turn_id: turn.id.clone(), change };
                self.changes.push_back(ConversationChange::Turn(change));
            }
        }
    }
}

impl TurnEntry {
    fn track_position<'a>(&mut self, events: impl IntoIterator<Item = &'a ConversationEvent>) {
        let newest = events.into_iter().map(|event| event.position).max();
        self.position = self.position.max(newest);
    }
}

impl Default for ConversationReassembly {
    fn default() -> Self {
        Self::new()
    }
}
