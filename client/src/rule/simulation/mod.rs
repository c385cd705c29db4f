//! Many conversations over a network that loses, doubles and reorders, checked against what was stored.
mod dice;
mod script;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dice::Dice;
use script::Moment;

use super::{Ask, Change, ConversationRule};
use crate::schema::{ActiveTurn, ConversationEventConnection, ConversationEvents, ConversationUpdate, Turn};

const CONVERSATIONS: u64 = 5_000;
/// Whoever waits so long for nothing in particular waits for no answer.
const IDLE: Duration = Duration::from_secs(120);
const BATCHES_A_PAGE: usize = 4;
const EVENTS_A_PAGE: usize = 2;

#[test]
fn whatever_the_network_does_every_reader_ends_with_the_stored_text() {
    for seed in 1..=CONVERSATIONS {
        Simulation::new(seed).run();
    }
}

/// What a person sees of one turn.
#[derive(Default)]
struct Page {
    text: String,
    ended: bool,
}

/// What the API had stored when it looked.
enum Answer {
    Events(ConversationEvents),
    Turn(Box<Turn>),
}

struct Simulation {
    seed: u64,
    dice: Dice,
    /// How many of a hundred updates are lost.
    loss: usize,
    moments: Vec<Moment>,
    happened: usize,
    /// Updates under way to the reader.
    network: Vec<ConversationUpdate>,
    /// Answers under way to the reader.
    answers: Vec<Answer>,
    rule: ConversationRule,
    /// The newest position that the first answer told of: what had ended by then need not be shown.
    from: Option<u32>,
    pages: BTreeMap<String, Page>,
    now: Instant,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let moments = script::conversation(&mut dice);
        let loss = [0, 25, 60][dice.below(3)];
        let mut simulation = Self {
            seed,
            dice,
            loss,
            moments,
            happened: 0,
            network: Vec::new(),
            answers: Vec::new(),
            rule: ConversationRule::new(),
            from: None,
            pages: BTreeMap::new(),
            now: Instant::now(),
        };
        simulation.rule.subscribed();
        simulation.drain();
        if simulation.dice.percent(50) {
            simulation.answer_all();
        }
        simulation
    }

    fn run(mut self) {
        while self.happened < self.moments.len() {
            self.disorder();
            self.drain();
        }
        for update in std::mem::take(&mut self.network) {
            self.rule.update(&update, self.now);
        }
        self.settle();
        self.check();
    }

    fn disorder(&mut self) {
        match self.dice.below(12) {
            0..=4 => self.happen(),
            5..=7 if !self.network.is_empty() => {
                let late = if self.dice.percent(70) { 0 } else { self.dice.below(self.network.len()) };
                let update = self.network.remove(late);
                self.rule.update(&update, self.now);
            }
            8 | 9 if !self.answers.is_empty() => {
                let index = self.dice.below(self.answers.len());
                self.answer_or_fail(index);
            }
            10 if self.dice.percent(30) => self.be_away(),
            _ => {
                let millis = u64::try_from(self.dice.below(4_000)).unwrap();
                self.pass(Duration::from_millis(millis));
            }
        }
    }

    fn happen(&mut self) {
        let Some(moment) = self.moments.get(self.happened) else { return };
        self.happened += 1;
        let copies = if self.dice.percent(self.loss) { 0 } else { 1 + usize::from(self.dice.percent(15)) };
        self.network.extend(moment.update.iter().flat_map(|update| std::iter::repeat_n(update.clone(), copies)));
    }

    /// For a moment or for several turns.
    fn be_away(&mut self) {
        self.network.clear();
        let longest = if self.dice.percent(30) { 80 } else { 5 };
        self.happened = self.moments.len().min(self.happened + self.dice.below(longest));
        self.rule.subscribed();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.rule.advance(self.now);
    }

    /// Nothing more is lost, and the reader has all the time it wants: until it only looks now and then, and has done so twice.
    fn settle(&mut self) {
        let mut idle_looks = 0;
        for _ in 0..1_000 {
            self.answer_all();
            let wake = self.rule.wake().expect("a reader always looks again").saturating_duration_since(self.now);
            idle_looks += u32::from(wake > IDLE);
            if idle_looks > 2 {
                return;
            }
            self.pass(wake);
        }
        panic!("seed {}: the rule never comes to rest", self.seed);
    }

    fn answer_all(&mut self) {
        self.drain();
        while let Some(answer) = self.answers.pop() {
            self.take(&answer);
            self.drain();
        }
    }

    /// Shows what there is to show, asks what there is to ask.
    fn drain(&mut self) {
        while let Some(ask) = self.rule.poll_ask() {
            let stored = &self.moments[..self.happened];
            self.answers.push(match ask {
                Ask::Events { after } => Answer::Events(get_events(stored, after)),
                Ask::Turn { turn_id, refill } => {
                    Answer::Turn(Box::new(get_turn(stored, &turn_id, refill.attempt, refill.after_sequence)))
                }
            });
        }
        while let Some(progress) = self.rule.poll_progress() {
            self.show(progress.turn_id, progress.change);
        }
    }

    fn show(&mut self, turn_id: String, change: Change) {
        let seed = self.seed;
        let page = self.pages.entry(turn_id.clone()).or_default();
        let reopens = change == Change::Reopened;
        assert_eq!(page.ended, reopens, "seed {seed}: {turn_id} shows {change:?} after its end or before it");
        match change {
            Change::Text(text) => page.text.push_str(&text),
            Change::Replaced(text) => page.text = text,
            Change::Reopened => page.ended = false,
            Change::Ended(_) => {
                page.ended = true;
                let mut ends = of_turn(&self.moments[..self.happened], &turn_id);
                let known = ends.any(|moment| moment.turn.status.is_end() && moment.text == page.text);
                assert!(known, "seed {seed}: {turn_id} never ended with {:?}", page.text);
            }
            Change::Question(_) | Change::Note(_) => {}
        }
    }

    fn answer_or_fail(&mut self, index: usize) {
        let answer = self.answers.remove(index);
        match answer {
            answer if self.dice.percent(80) => self.take(&answer),
            Answer::Events(_) => self.rule.catch_up_failed(self.now),
            Answer::Turn(turn) => self.rule.refill_failed(&turn.id, self.now),
        }
    }

    fn take(&mut self, answer: &Answer) {
        match answer {
            Answer::Events(page) => {
                let newest = page.events.iter().flat_map(|events| &events.items).map(|event| event.position).max();
                self.from = self.from.or(Some(newest.unwrap_or(0)));
                self.rule.caught_up(page, self.now);
            }
            Answer::Turn(turn) => self.rule.refilled(turn, self.now),
        }
    }

    fn check(&self) {
        let last_moments: BTreeMap<_, _> = self.moments.iter().map(|moment| (&moment.turn.id, moment)).collect();
        for (turn_id, moment) in last_moments {
            let Some(page) = self.pages.get(turn_id) else {
                let last = of_turn(&self.moments, turn_id).filter_map(|moment| moment.event.as_ref()).next_back();
                let is_old = last.map(|event| event.position) <= self.from;
                assert!(is_old, "seed {}: {turn_id} was not seen", self.seed);
                continue;
            };
            assert!(page.ended, "seed {}: {turn_id} did not end", self.seed);
            assert_eq!(page.text, moment.text, "seed {}: {turn_id}", self.seed);
        }
    }
}

fn of_turn<'a>(stored: &'a [Moment], turn_id: &'a str) -> impl DoubleEndedIterator<Item = &'a Moment> {
    stored.iter().filter(move |moment| moment.turn.id == turn_id)
}

fn get_turn(stored: &[Moment], turn_id: &str, attempt: Option<u32>, after: u32) -> Turn {
    let newest = of_turn(stored, turn_id).next_back().expect("the client asks for turns it has heard of");
    let asked = attempt.unwrap_or(newest.turn.attempt);
    let batches = of_turn(stored, turn_id).filter_map(|moment| moment.batch.clone());
    let mut batches: Vec<_> = batches.filter(|batch| batch.attempt == asked && batch.sequence > after).collect();
    let has_more = batches.len() > BATCHES_A_PAGE;
    batches.truncate(BATCHES_A_PAGE);
    Turn { batches: Some(batches), has_more_batches: Some(has_more), ..newest.turn.clone() }
}

fn get_events(stored: &[Moment], after: Option<u32>) -> ConversationEvents {
    let events = || stored.iter().filter_map(|moment| moment.event.as_ref());
    let newer: Vec<_> = events().filter(|event| Some(event.position) > after).cloned().collect();
    let items = match after {
        Some(_) => newer.iter().take(EVENTS_A_PAGE).cloned().collect(),
        None => newer.last().cloned().into_iter().collect(),
    };
    let newest = stored.last().map(|moment| &moment.turn).filter(|turn| !turn.status.is_end());
    ConversationEvents {
        active_turn: newest.map(|turn| ActiveTurn { id: turn.id.clone(), status: turn.status }),
        events: Some(ConversationEventConnection { items, has_more: after.is_some() && newer.len() > EVENTS_A_PAGE }),
    }
}
