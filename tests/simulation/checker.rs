//! The invariants, asserted of what is left of a conversation.
use std::fmt;

use client::schema::TurnStatus;
use serde_json::Value;

use crate::evidence::{Asked, Evidence};

/// A sentence about an invariant, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: u8,
    sentence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invariant {}: {}", self.invariant, self.sentence)
    }
}

/// All violations of one conversation whose dust has settled.
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut checker = Checker { table: Table::of(&evidence.items), evidence, violations: Vec::new() };
    checker.positions();
    checker.messages();
    checker.conversation();
    for turn in checker.table.turns.clone() {
        checker.ends(turn);
        checker.one_answer(turn);
        checker.numbers(turn);
        checker.batches(turn);
        checker.heard(turn);
        checker.subscribers(turn);
    }
    for asked in &evidence.asked {
        checker.transcript(asked);
    }
    checker.cost();
    checker.violations
}

struct Checker<'a> {
    evidence: &'a Evidence,
    table: Table<'a>,
    violations: Vec<Violation>,
}

/// The items by kind.
struct Table<'a> {
    conversation: Option<&'a Value>,
    events: Vec<&'a Value>,
    turns: Vec<&'a Value>,
    batches: Vec<&'a Value>,
}

impl<'a> Table<'a> {
    fn of(items: &'a [Value]) -> Self {
        let under = |prefix: &'static str| items.iter().filter(move |item| text(item, "sk").starts_with(prefix));
        Self {
            conversation: under("META").next(),
            events: under("EVENT#").collect(),
            turns: under("TURN#").collect(),
            batches: items.iter().filter(|item| text(item, "pk").starts_with("TURN#")).collect(),
        }
    }

    /// The agent's events of a turn, in order.
    fn said(&self, turn: &Value) -> impl Iterator<Item = &'a Value> {
        let id = text(turn, "id").to_owned();
        self.events
            .iter()
            .copied()
            .filter(move |event| text(event, "turnId") == id && event["sender"]["kind"] == "AGENT")
    }

    /// The events that make up the turn's answer.
    fn answer(&self, turn: &'a Value) -> impl Iterator<Item = &'a Value> {
        let from = number(turn, "answerPosition").max(number(turn, "questionPosition"));
        let run_from = run_position(turn);
        let attempt = number(turn, "attempt");
        self.said(turn).filter(move |event| {
            let position = number(event, "position");
            position > from
                && event["superseded"] != true
                && (position <= run_from || number(event, "attempt") == attempt)
        })
    }

    /// The events of the last run's own attempt.
    fn last(&self, turn: &'a Value) -> impl Iterator<Item = &'a Value> {
        let run_from = run_position(turn);
        self.answer(turn).filter(move |event| number(event, "position") > run_from)
    }

    /// The stored batches of the turn's attempt, in order.
    fn batches(&self, turn: &Value) -> Vec<&'a Value> {
        let (id, attempt) = (text(turn, "id"), number(turn, "attempt"));
        let of_attempt = |batch: &&&Value| text(batch, "turnId") == id && number(batch, "attempt") == attempt;
        let mut batches: Vec<_> = self.batches.iter().filter(of_attempt).copied().collect();
        batches.sort_by_key(|batch| number(batch, "sequence"));
        batches
    }

    /// Everything stored of the answer: its events, and the batches that no event holds.
    fn text(&self, turn: &'a Value) -> String {
        let mut all: String = self.answer(turn).map(content).collect();
        if !self.last(turn).any(closes) {
            let held = number(turn, "lastEventSequence");
            let rest = self.batches(turn).into_iter().filter(|batch| number(batch, "sequence") > held);
            all.extend(rest.map(|batch| text(batch, "text")));
        }
        all
    }
}

impl<'a> Checker<'a> {
    fn violated(&mut self, invariant: u8, sentence: String) {
        self.violations.push(Violation { invariant, sentence });
    }

    /// 5: positions are contiguous.
    fn positions(&mut self) {
        let positions: Vec<u64> = self.table.events.iter().map(|event| number(event, "position")).collect();
        let count = self.table.conversation.map_or(0, |conversation| number(conversation, "eventCount"));
        if positions != (1..=count).collect::<Vec<_>>() {
            self.violated(5, format!("the events have positions {positions:?}, of {count}"));
        }
    }

    /// 2: what was acknowledged is stored.
    fn messages(&mut self) {
        for (turn, said) in &self.evidence.acknowledged {
            let stored = self.table.events.iter().find(|event| text(event, "id") == turn);
            if stored.is_none_or(|event| content(event) != *said) {
                self.violated(2, format!("the message {turn} was acknowledged and is not stored"));
            }
        }
    }

    /// 4: the conversation is free.
    fn conversation(&mut self) {
        let Some(active) = self.table.conversation.map(|conversation| text(conversation, "activeTurnId")) else {
            return;
        };
        let turn = self.table.turns.iter().find(|turn| text(turn, "id") == active);
        if turn.is_some_and(|turn| !self.effective(turn).is_end()) {
            self.violated(4, format!("the conversation is busy with {active}"));
        }
    }

    /// 4: every turn ends, and its end is stored unless nobody was left to write it.
    fn ends(&mut self, turn: &Value) {
        let id = text(turn, "id");
        let effective = self.effective(turn);
        if !effective.is_end() {
            self.violated(4, format!("turn {id} is still {effective:?}"));
        }
        if self.evidence.attended.iter().any(|attended| attended == id) && !stored_status(turn).is_end() {
            self.violated(4, format!("turn {id} was attended to its end and is stored as {}", text(turn, "status")));
        }
    }

    /// 1: one answer per run, told by one attempt, closed once and at its end.
    fn one_answer(&mut self, turn: &'a Value) {
        let id = text(turn, "id");
        let closings = self.table.said(turn).filter(|event| closes(event)).count() as u64;
        if closings > number(turn, "run") {
            self.violated(1, format!("turn {id} has {closings} ends in {} runs", number(turn, "run")));
        }
        let run_from = run_position(turn);
        let of_run: Vec<_> = self.table.said(turn).filter(|event| number(event, "position") > run_from).collect();
        let standing: Vec<_> = of_run.iter().filter(|event| event["superseded"] != true).collect();
        let ends: Vec<u64> =
            of_run.iter().filter(|event| closes(event)).map(|event| number(event, "position")).collect();
        if ends.len() > 1 || ends.first().is_some_and(|end| *end != number(turn, "lastPosition")) {
            self.violated(1, format!("turn {id}'s last run ends at {ends:?}, not once at its last position"));
        }
        let foreign = standing.iter().any(|event| number(event, "attempt") != number(turn, "attempt"));
        if foreign && stored_status(turn).is_end() && !ends.is_empty() {
            self.violated(1, format!("turn {id}'s answer was told by several attempts"));
        }
        if !ends.is_empty() && !stored_status(turn).is_end() {
            self.violated(1, format!("turn {id} has its end and is stored as {}", text(turn, "status")));
        }
    }

    /// 5: sequences are contiguous within an attempt, but for one before an end that was written directly.
    fn numbers(&mut self, turn: &'a Value) {
        let batches = self.table.batches(turn);
        let events = self.table.said(turn).filter(|event| number(event, "attempt") == number(turn, "attempt"));
        let told = batches.len() as u64 + events.count() as u64;
        let last = batches.last().map_or(0, |batch| number(batch, "sequence"));
        let highest = last.max(number(turn, "lastSequence"));
        if highest > told + 1 {
            let numbers: Vec<_> = batches.iter().map(|batch| number(batch, "sequence")).collect();
            self.violated(5, format!("turn {} counts to {highest} and keeps {numbers:?}", text(turn, "id")));
        }
    }

    /// 7: the batches of the last attempt begin the stored answer, byte for byte. One that came as somebody else closed
    /// the turn was refused, and may be stored all the same.
    fn batches(&mut self, turn: &'a Value) {
        let Some(end) = self.table.last(turn).find(|event| closes(event)) else { return };
        let by_others = text(end, "id").contains("-closed-");
        let told = if by_others { number(turn, "lastSequence") } else { u64::MAX };
        let answer: String = self.table.last(turn).map(content).collect();
        let mut rest = answer.as_str();
        let (mut next, mut gap) = (1, false);
        for batch in self.table.batches(turn).into_iter().filter(|batch| number(batch, "sequence") < told) {
            let (sequence, said) = (number(batch, "sequence"), text(batch, "text"));
            gap |= sequence != next;
            let found = if gap { rest.find(said) } else { rest.starts_with(said).then_some(0) };
            let Some(at) = found else {
                return self.violated(7, format!("batch {sequence} of {} is not in its answer", text(turn, "id")));
            };
            rest = &rest[at + said.len()..];
            next = sequence + 1;
        }
    }

    /// 2: nothing that was heard from the model before the end of the attempt that counts is lost.
    fn heard(&mut self, turn: &'a Value) {
        let (id, attempt) = (text(turn, "id"), number(turn, "attempt"));
        let Some(heard) = self.evidence.heard.get(&(id.to_owned(), attempt)) else { return };
        let Some(end) = self.table.last(turn).find(|event| closes(event)) else { return };
        let answer: String = self.table.last(turn).map(content).collect();
        let by_its_handler = text(end, "id").starts_with(&format!("{id}-{attempt}-"));
        let kept = if by_its_handler { answer == *heard } else { heard.starts_with(&answer) };
        if !kept {
            let (stored, heard) = (answer.len(), heard.len());
            self.violated(2, format!("of turn {id}, {stored} bytes are stored and {heard} were heard, or others"));
        }
    }

    /// 3: every subscriber ends with the stored text.
    fn subscribers(&mut self, turn: &'a Value) {
        let (id, stored, status) = (text(turn, "id"), self.table.text(turn), self.effective(turn));
        for (number, pages) in self.evidence.subscribers.iter().enumerate() {
            match pages.get(id) {
                Some(page) if page.text == stored && page.ended == Some(status) => {}
                None if number > 0 => {}
                Some(page) => {
                    let (shown, length) = (page.text.len(), stored.len());
                    let ended = page.ended;
                    self.violated(
                        3,
                        format!("subscriber {number} shows {shown} bytes of {id} ({ended:?}), {length} are stored ({status:?})"),
                    );
                }
                None => self.violated(3, format!("subscriber {number} never heard of {id}")),
            }
        }
    }

    /// 8: a transcript starts and ends with the user, alternates, says nothing blank and nothing that was replaced.
    fn transcript(&mut self, asked: &Asked) {
        let sides: Vec<bool> = asked.transcript.iter().map(|(user, _)| *user).collect();
        let alternates = sides.iter().enumerate().all(|(index, user)| *user == (index % 2 == 0));
        if !alternates || sides.len().is_multiple_of(2) {
            self.violated(8, format!("the model was asked with {sides:?}"));
        }
        let texts = || asked.transcript.iter().flat_map(|(_, texts)| texts);
        if texts().any(|text| text.trim().is_empty()) || asked.transcript.iter().any(|(_, texts)| texts.is_empty()) {
            self.violated(8, "the model was asked with a blank text".into());
        }
        // Shorter ones may be said again by chance.
        for replaced in asked.replaced.iter().filter(|replaced| replaced.len() > 16) {
            if texts().any(|text| text.contains(replaced.as_str())) {
                self.violated(8, format!("the model was told the replaced answer {:?}", start(replaced)));
            }
        }
    }

    /// 9: at most two writes per batch.
    fn cost(&mut self) {
        let most = self.evidence.most_writes;
        if most > 2 {
            self.violated(9, format!("a published batch took {most} writes"));
        }
    }

    fn effective(&self, turn: &Value) -> TurnStatus {
        let stored = stored_status(turn);
        let now = self.evidence.now;
        match stored {
            _ if stored.is_end() || number(turn, "leaseUntil") > now => stored,
            TurnStatus::Cancelling => TurnStatus::Cancelled,
            _ if number(turn, "claimableUntil") > now => TurnStatus::Queued,
            _ => TurnStatus::Failed,
        }
    }
}

/// The texts of answers that a retry has replaced.
pub fn replaced(items: &[Value]) -> Vec<String> {
    let table = Table::of(items);
    let answers = table.turns.iter().map(|turn| (number(turn, "answerPosition"), turn));
    let replaced = answers.flat_map(|(from, turn)| {
        table.said(turn).filter(move |event| event["superseded"] == true || number(event, "position") <= from)
    });
    replaced.map(content).collect()
}

fn content(event: &Value) -> String {
    let blocks = event["content"].as_array().into_iter().flatten();
    blocks.map(|block| text(block, "text")).collect()
}

fn closes(event: &Value) -> bool {
    event["stopReason"].is_string() || event["failure"].is_object()
}

fn run_position(turn: &Value) -> u64 {
    number(turn, "runPosition").max(number(turn, "questionPosition"))
}

fn stored_status(turn: &Value) -> TurnStatus {
    serde_json::from_value(turn["status"].clone()).unwrap_or(TurnStatus::Queued)
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

/// Absent and null count as 0. The table's numbers come as JSON numbers of either kind.
fn number(item: &Value, name: &str) -> u64 {
    let value = &item[name];
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64)).unwrap_or_default()
}

fn start(text: &str) -> String {
    text.chars().take(20).collect()
}
