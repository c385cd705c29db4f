//! Many conversations over a network that loses, doubles and reorders, checked against what was stored.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Ask, Change, ConversationRule};
use crate::schema::{
    ActiveTurn, AgentBatch, AgentMetadata, ConversationEvent, ConversationEventConnection, ConversationEvents,
    ConversationUpdate, Sender, SenderKind, StopReason, Turn, TurnStatus,
};

const CONVERSATIONS: u64 = 3_000;
const BATCHES_A_PAGE: usize = 4;
const EVENTS_A_PAGE: usize = 2;
const PIECES: [&str; 8] = ["Hello", " ", "👩‍👩‍👧", "\r\n", "שלום", "é", "\u{1}", "…and more"];

#[test]
fn whatever_the_network_does_every_reader_ends_with_the_stored_text() {
    for seed in 1..=CONVERSATIONS {
        Simulation::new(seed).run();
    }
}

/// Knuth's generator: the same seed, the same conversation.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn text(&mut self) -> String {
        (0..=self.below(3)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }
}

/// One moment of the server: what it stores, and what it publishes then.
#[derive(Clone)]
struct Moment {
    update: ConversationUpdate,
    stored: Stored,
}

#[derive(Clone)]
enum Stored {
    Batch,
    Event,
}

/// Writes what a handler would publish for a few turns, some of which are attempted more than once.
struct Script<'a> {
    dice: &'a mut Dice,
    moments: Vec<Moment>,
    position: u32,
}

impl Script<'_> {
    fn turn(&mut self, turn_id: &str) {
        self.position += 1;
        let question = event(turn_id, self.position, SenderKind::User, "Why?");
        let attempts = 1 + u32::try_from(self.dice.below(3)).unwrap();
        for attempt in 1..=attempts {
            self.attempt(turn_id, attempt, &question, attempt == attempts);
        }
    }

    fn attempt(&mut self, turn_id: &str, attempt: u32, question: &ConversationEvent, last: bool) {
        let mut sequence = 0;
        let mut publish = |moments: &mut Vec<Moment>, stored, metadata, event| {
            sequence += 1;
            let update = ConversationUpdate {
                conversation_id: "c".to_owned(),
                turn_id: Some(turn_id.to_owned()),
                attempt: Some(attempt),
                sequence: Some(sequence),
                metadata: Some(metadata),
                event,
            };
            moments.push(Moment { update, stored });
        };
        publish(&mut self.moments, Stored::Batch, metadata(TurnStatus::Running, None), Some(question.clone()));
        let events = self.dice.below(3);
        for part in 0..=events {
            let mut whole = String::new();
            for _ in 0..self.dice.below(6) {
                let text = self.dice.text();
                whole.push_str(&text);
                publish(&mut self.moments, Stored::Batch, metadata(TurnStatus::Running, Some(text)), None);
            }
            let ends = part == events;
            if ends && !last && self.dice.percent(50) {
                return;
            }
            if self.dice.percent(50) {
                whole.push_str(&self.dice.text());
            }
            self.position += 1;
            let mut said = event(turn_id, self.position, SenderKind::Agent, &whole);
            said.stop_reason = ends.then_some(StopReason::EndTurn);
            let status = if ends { TurnStatus::Completed } else { TurnStatus::Running };
            publish(&mut self.moments, Stored::Event, metadata(status, None), Some(said));
        }
    }
}

/// What a person sees of one turn.
#[derive(Default)]
struct Page {
    text: String,
    ended: bool,
}

struct Simulation {
    seed: u64,
    dice: Dice,
    moments: Vec<Moment>,
    published: usize,
    /// Updates under way to the reader.
    network: Vec<ConversationUpdate>,
    /// Questions under way to the API, with what the API had stored when it looked.
    asked: Vec<(Ask, usize)>,
    rule: ConversationRule,
    pages: BTreeMap<String, Page>,
    now: Instant,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut script = Script { dice: &mut dice, moments: Vec::new(), position: 0 };
        for turn in 0..=script.dice.below(3) {
            script.turn(&format!("t{turn}"));
        }
        let moments = script.moments;
        let mut simulation = Self {
            seed,
            dice,
            moments,
            published: 0,
            network: Vec::new(),
            asked: Vec::new(),
            rule: ConversationRule::new(),
            pages: BTreeMap::new(),
            now: Instant::now(),
        };
        simulation.rule.subscribed();
        while simulation.drain() {
            simulation.answer(0);
        }
        simulation
    }

    fn run(mut self) {
        while self.published < self.moments.len() {
            self.disorder();
        }
        let last = self.moments.last().and_then(|moment| moment.update.turn_id.clone()).unwrap();
        match self.dice.percent(50) {
            true => self.rule.subscribed(),
            false => self.rule.expect(&last, self.now),
        }
        self.settle();
        self.check();
    }

    fn disorder(&mut self) {
        match self.dice.below(12) {
            0..=4 => self.publish(),
            5..=7 if !self.network.is_empty() => {
                let late = if self.dice.percent(70) { 0 } else { self.dice.below(self.network.len()) };
                let update = self.network.remove(late);
                self.rule.update(&update, self.now);
            }
            8 | 9 if !self.asked.is_empty() => {
                let index = self.dice.below(self.asked.len());
                self.answer_or_fail(index);
            }
            10 if self.dice.percent(30) => {
                self.network.clear();
                self.rule.subscribed();
            }
            _ => {
                let millis = u64::try_from(self.dice.below(4_000)).unwrap();
                self.pass(Duration::from_millis(millis));
            }
        }
        self.drain();
    }

    fn publish(&mut self) {
        let Some(moment) = self.moments.get(self.published).cloned() else { return };
        self.published += 1;
        let copies = if self.dice.percent(25) { 0 } else { 1 + usize::from(self.dice.percent(15)) };
        self.network.extend(std::iter::repeat_n(moment.update, copies));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.rule.advance(self.now);
    }

    /// The rest arrives, nothing more is lost, and the reader has all the time it wants.
    fn settle(&mut self) {
        for update in std::mem::take(&mut self.network) {
            self.rule.update(&update, self.now);
        }
        for _ in 0..1_000 {
            while self.drain() {
                self.answer(0);
            }
            let Some(wake) = self.rule.wake() else { return };
            self.pass(wake.saturating_duration_since(self.now));
        }
        panic!("seed {}: the rule never comes to rest", self.seed);
    }

    /// Shows what there is to show, asks what there is to ask; whether anything is being asked.
    fn drain(&mut self) -> bool {
        while let Some(ask) = self.rule.poll_ask() {
            self.asked.push((ask, self.published));
        }
        while let Some(progress) = self.rule.poll_progress() {
            let page = self.pages.entry(progress.turn_id.clone()).or_default();
            match progress.change {
                Change::Text(text) => page.text.push_str(&text),
                Change::Replaced(text) => *page = Page { text, ended: false },
                Change::Ended(_) => {
                    page.ended = true;
                    let endings = finished_answers(&self.moments[..self.published], &progress.turn_id);
                    assert!(endings.contains(&page.text), "seed {}: {:?} of {endings:?}", self.seed, page.text);
                }
                Change::Question(_) | Change::Note(_) => {}
            }
        }
        !self.asked.is_empty()
    }

    fn answer_or_fail(&mut self, index: usize) {
        if self.dice.percent(80) {
            return self.answer(index);
        }
        match self.asked.remove(index).0 {
            Ask::Events { .. } => self.rule.catch_up_failed(self.now),
            Ask::Turn { turn_id, .. } => self.rule.refill_failed(&turn_id, self.now),
        }
    }

    fn answer(&mut self, index: usize) {
        let (ask, stored) = self.asked.remove(index);
        let stored = &self.moments[..stored];
        match ask {
            Ask::Events { after } => self.rule.caught_up(&get_events(stored, after), self.now),
            Ask::Turn { turn_id, refill } => {
                let turn = get_turn(stored, &turn_id, refill.attempt, refill.after_sequence);
                self.rule.refilled(&turn, self.now);
            }
        }
    }

    fn check(&self) {
        for moment in &self.moments {
            let turn_id = moment.update.turn_id.as_deref().unwrap();
            let text: String = answer(&self.moments, turn_id).iter().map(ConversationEvent::said).collect();
            let page = self.pages.get(turn_id).unwrap_or_else(|| panic!("seed {}: {turn_id} was not seen", self.seed));
            assert!(page.ended, "seed {}: {turn_id} did not end", self.seed);
            assert_eq!(page.text, text, "seed {}: {turn_id}", self.seed);
        }
    }
}

fn of_turn<'a>(stored: &'a [Moment], turn_id: &'a str) -> impl DoubleEndedIterator<Item = &'a Moment> {
    stored.iter().filter(move |moment| moment.update.turn_id.as_deref() == Some(turn_id))
}

/// The agent's events of the turn's last attempt.
fn answer(stored: &[Moment], turn_id: &str) -> Vec<ConversationEvent> {
    let attempt = of_turn(stored, turn_id).next_back().and_then(|moment| moment.update.attempt);
    events_of(stored, turn_id, attempt)
}

/// What each attempt that came to its end had said.
fn finished_answers(stored: &[Moment], turn_id: &str) -> Vec<String> {
    let answers = (1..=3).map(|attempt| events_of(stored, turn_id, Some(attempt)));
    let finished = answers.filter(|events| events.last().is_some_and(ConversationEvent::ends_answer));
    finished.map(|events| events.iter().map(ConversationEvent::said).collect()).collect()
}

fn events_of(stored: &[Moment], turn_id: &str, attempt: Option<u32>) -> Vec<ConversationEvent> {
    let events = of_turn(stored, turn_id).filter(|moment| moment.update.attempt == attempt);
    let events = events.filter(|moment| matches!(moment.stored, Stored::Event));
    events.filter_map(|moment| moment.update.event.clone()).collect()
}

fn get_turn(stored: &[Moment], turn_id: &str, attempt: Option<u32>, after: u32) -> Turn {
    let newest = of_turn(stored, turn_id).next_back().map(|moment| &moment.update);
    let own = newest.and_then(|update| update.attempt).unwrap_or(0);
    let asked = Some(attempt.unwrap_or(own));
    let batches: Vec<_> = of_turn(stored, turn_id)
        .filter(|moment| matches!(moment.stored, Stored::Batch) && moment.update.attempt == asked)
        .filter_map(|moment| batch(&moment.update))
        .filter(|batch| batch.sequence > after)
        .collect();
    Turn {
        id: turn_id.to_owned(),
        conversation_id: "c".to_owned(),
        status: newest.and_then(|update| update.metadata.as_ref()).map_or(TurnStatus::Queued, |data| data.status),
        run: 1,
        attempt: own,
        question: None,
        answer: Some(answer(stored, turn_id)),
        has_more_batches: Some(batches.len() > BATCHES_A_PAGE),
        batches: Some(batches.into_iter().take(BATCHES_A_PAGE).collect()),
        failure: None,
        usage: None,
    }
}

fn get_events(stored: &[Moment], after: Option<u32>) -> ConversationEvents {
    let mut events: Vec<_> = stored.iter().filter_map(|moment| moment.update.event.clone()).collect();
    events.sort_by_key(|event| event.position);
    events.dedup_by_key(|event| event.position);
    let newer = events.iter().filter(|event| Some(event.position) > after).cloned().collect::<Vec<_>>();
    let items = match after {
        Some(_) => newer.iter().take(EVENTS_A_PAGE).cloned().collect(),
        None => events.last().cloned().into_iter().collect(),
    };
    let has_more = after.is_some() && newer.len() > EVENTS_A_PAGE;
    let newest = stored.last().map(|moment| &moment.update);
    let active = newest.filter(|update| update.metadata.as_ref().is_some_and(|data| !data.status.is_end()));
    let active_turn = active.and_then(|update| update.turn_id.clone());
    ConversationEvents {
        active_turn: active_turn.map(|id| ActiveTurn { id, status: TurnStatus::Running }),
        events: Some(ConversationEventConnection { items, has_more }),
    }
}

fn batch(update: &ConversationUpdate) -> Option<AgentBatch> {
    Some(AgentBatch { attempt: update.attempt?, sequence: update.sequence?, metadata: update.metadata.clone()? })
}

fn metadata(status: TurnStatus, text: Option<String>) -> AgentMetadata {
    AgentMetadata { status, content_block_index: Some(0), agent_partial_message: text, note: None, continues: None }
}

fn event(turn_id: &str, position: u32, kind: SenderKind, text: &str) -> ConversationEvent {
    ConversationEvent {
        id: format!("e{position}"),
        conversation_id: "c".to_owned(),
        position,
        turn_id: Some(turn_id.to_owned()),
        attempt: None,
        sender: Sender { kind, id: None, name: None },
        content: Vec::new(),
        text: Some(text.to_owned()),
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: None,
        created_at: String::new(),
    }
}
