//! Randomized test of the reassembly over a faulty network.
//!
//! A client follows a conversation whose updates are lost, duplicated and reordered, and must end with
//! exactly the stored text.
mod history;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use client::{
    reassembly::{Change, ConversationChange, ConversationReassembly, Fetch, TurnChange},
    schema::{
        ActiveTurn, ConversationEvent, ConversationEventConnection, ConversationEvents, ConversationUpdate, ToolCall,
        Turn, TurnStatus,
    },
};
use fastrand::Rng;
use history::Transition;
use serde_json::{Value, json};

use crate::case_json;

/// A client that sleeps for longer than this only waits for its next periodic check.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// A turn that waits is checked every minute. So long after the end of the history the client has checked for
/// missed turns twice too.
const TIME_TO_WAIT: Duration = Duration::from_secs(900);
const BATCHES_PER_PAGE: usize = 4;
const EVENTS_PER_PAGE: usize = 2;

/// Runs the simulation of a seed. Adds what happened to the client, and what it did, as the steps of a shared
/// case. Panics where the client displays something else than what is stored.
pub fn run(seed: u64, steps: Option<&mut Vec<Value>>) {
    Simulation::new(seed, steps).run();
}

/// What a user sees of one turn.
#[derive(Default)]
struct DisplayedTurn {
    text: String,
    has_ended: bool,
    waits_for: Option<Vec<ToolCall>>,
    /// The reasoning that no stored event has.
    streamed_reasoning: String,
    /// The reasoning of stored events.
    reasoning: Vec<String>,
    /// The ids of tool calls.
    calls: Vec<String>,
    /// The ids of the calls whose results are displayed.
    results: Vec<String>,
}

/// What happens to the client.
enum Action<'a> {
    Subscribed,
    Update(&'a ConversationUpdate),
    Turn(&'a Turn),
    TurnFailed(&'a str),
    Events(&'a ConversationEvents),
    EventsFailed,
    Advance(Duration),
}

/// A response that the API has given and the client has not received.
enum Response {
    Events(ConversationEvents),
    Turn(Box<Turn>),
}

struct Simulation<'a> {
    seed: u64,
    rng: Rng,
    loss_percent: u32,
    /// Everything that the backend will do.
    history: Vec<Transition>,
    /// How many transitions of the history have happened.
    happened: usize,
    updates_in_flight: Vec<ConversationUpdate>,
    responses_in_flight: Vec<Response>,
    client: ConversationReassembly,
    /// The newest position in the first response. Turns that ended up to there need not be displayed.
    follows_from: Option<u32>,
    displayed: BTreeMap<String, DisplayedTurn>,
    now: Instant,
    steps: Option<&'a mut Vec<Value>>,
}

impl<'a> Simulation<'a> {
    fn new(seed: u64, steps: Option<&'a mut Vec<Value>>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let history = history::generate(&mut rng);
        let loss_percent = [0, 25, 60][rng.usize(..3)];
        let mut simulation = Self {
            seed,
            rng,
            loss_percent,
            history,
            happened: 0,
            updates_in_flight: Vec::new(),
            responses_in_flight: Vec::new(),
            client: ConversationReassembly::new(),
            follows_from: None,
            displayed: BTreeMap::new(),
            now: Instant::now(),
            steps,
        };
        simulation.act(&Action::Subscribed);
        if percent(&mut simulation.rng, 50) {
            simulation.deliver_all_responses();
        }
        simulation
    }

    fn run(mut self) {
        while self.happened < self.history.len() {
            self.act_at_random();
        }
        for update in std::mem::take(&mut self.updates_in_flight) {
            self.act(&Action::Update(&update));
        }
        self.run_until_idle();
        self.check_displayed_turns();
    }

    fn act_at_random(&mut self) {
        match self.rng.u32(..12) {
            0..=4 => self.take_transition(),
            5..=7 if !self.updates_in_flight.is_empty() => self.deliver_update(),
            8 | 9 if !self.responses_in_flight.is_empty() => self.deliver_or_fail_response(),
            10 if percent(&mut self.rng, 30) => self.reconnect(),
            _ => {
                let time = Duration::from_millis(self.rng.u64(..4_000));
                self.advance(time);
            }
        }
    }

    fn take_transition(&mut self) {
        let Some(transition) = self.history.get(self.happened) else { return };
        self.happened += 1;
        let is_lost = percent(&mut self.rng, self.loss_percent);
        let is_duplicated = percent(&mut self.rng, 15);
        let Some(update) = &transition.update else { return };
        if !is_lost {
            self.updates_in_flight.push(update.clone());
            if is_duplicated {
                self.updates_in_flight.push(update.clone());
            }
        }
    }

    fn deliver_update(&mut self) {
        let is_in_order = percent(&mut self.rng, 70);
        let index = if is_in_order { 0 } else { self.rng.usize(..self.updates_in_flight.len()) };
        let update = self.updates_in_flight.remove(index);
        self.act(&Action::Update(&update));
    }

    fn deliver_or_fail_response(&mut self) {
        let index = self.rng.usize(..self.responses_in_flight.len());
        let response = self.responses_in_flight.remove(index);
        if percent(&mut self.rng, 80) {
            return self.deliver_response(&response);
        }
        match response {
            Response::Events(_) => self.act(&Action::EventsFailed),
            Response::Turn(turn) => self.act(&Action::TurnFailed(&turn.id)),
        }
    }

    /// The client misses a few transitions, or several turns, and subscribes again.
    fn reconnect(&mut self) {
        self.updates_in_flight.clear();
        let most_missed = if percent(&mut self.rng, 30) { 80 } else { 5 };
        let missed = self.rng.usize(..most_missed);
        self.happened = self.history.len().min(self.happened + missed);
        self.act(&Action::Subscribed);
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.act(&Action::Advance(time));
    }

    /// Loses nothing more and lets time pass until the client has checked periodically twice.
    fn run_until_idle(&mut self) {
        let waits = self.history.last().is_some_and(|last| last.turn.status == TurnStatus::Waiting);
        let ended_at = self.now;
        let mut periodic_checks = 0;
        for _ in 0..1_000 {
            self.deliver_all_responses();
            let wake_at = self.client.wake_at().expect("a client always checks periodically");
            let wait = wake_at.saturating_duration_since(self.now);
            if wait > LONGEST_WAIT {
                periodic_checks += 1;
            }
            if periodic_checks > 2 || (waits && self.now - ended_at > TIME_TO_WAIT) {
                return;
            }
            self.advance(wait);
        }
        panic!("seed {}: the client never becomes idle", self.seed);
    }

    fn deliver_all_responses(&mut self) {
        while let Some(response) = self.responses_in_flight.pop() {
            self.deliver_response(&response);
        }
    }

    fn deliver_response(&mut self, response: &Response) {
        match response {
            Response::Events(page) => {
                let events = page.events.iter().flat_map(|events| &events.items);
                let newest = events.map(|event| event.position).max().unwrap_or(0);
                self.follows_from.get_or_insert(newest);
                self.act(&Action::Events(page));
            }
            Response::Turn(turn) => self.act(&Action::Turn(turn)),
        }
    }

    /// Passes in what happened, then sends the client's requests and displays its changes.
    fn act(&mut self, action: &Action<'_>) {
        match action {
            Action::Subscribed => self.client.on_subscribed(),
            Action::Update(update) => self.client.on_update(update, self.now),
            Action::Turn(turn) => self.client.on_turn(turn, self.now),
            Action::TurnFailed(turn_id) => self.client.on_turn_failed(turn_id, self.now),
            Action::Events(page) => self.client.on_events(page, self.now),
            Action::EventsFailed => self.client.on_events_failed(self.now),
            Action::Advance(_) => self.client.advance(self.now),
        }
        let fetches: Vec<_> = std::iter::from_fn(|| self.client.poll_fetch()).collect();
        let changes: Vec<_> = std::iter::from_fn(|| self.client.poll_change()).collect();
        if let Some(steps) = &mut self.steps {
            let mut step = action.to_json();
            step["requests"] = fetches.iter().map(case_json::fetch).collect();
            step["changes"] = changes.iter().map(case_json::conversation_change).collect();
            step["wakeIn"] = case_json::wake_in(self.client.wake_at(), self.now);
            steps.push(step);
        }
        self.respond(fetches);
        for change in changes {
            self.display(change);
        }
    }

    fn respond(&mut self, fetches: Vec<Fetch>) {
        for fetch in fetches {
            let stored = &self.history[..self.happened];
            let response = match fetch {
                Fetch::Events { after } => Response::Events(get_events(stored, after)),
                Fetch::Turn { turn_id, query } => {
                    Response::Turn(Box::new(get_turn(stored, &turn_id, query.attempt, query.after_sequence)))
                }
            };
            self.responses_in_flight.push(response);
        }
    }

    fn display(&mut self, change: ConversationChange) {
        let ConversationChange::Turn(TurnChange { turn_id, change }) = change else { return };
        let seed = self.seed;
        let turn = self.displayed.entry(turn_id.clone()).or_default();
        let stored = &self.history[..self.happened];
        let is_reopened = change == Change::Reopened;
        assert_eq!(turn.has_ended, is_reopened, "seed {seed}: {turn_id} has ended, or not, before {change:?}");
        match change {
            Change::Appended(text) => turn.text.push_str(&text),
            Change::Replaced(text) => turn.text = text,
            Change::Reopened => turn.has_ended = false,
            Change::Waiting(calls) => {
                let is_stored =
                    transitions_of(stored, &turn_id).any(|transition| transition.turn.pending.as_ref() == Some(&calls));
                assert!(is_stored, "seed {seed}: {turn_id} never waited for {calls:?}");
                let are_called = calls.iter().all(|call| turn.calls.contains(&call.id));
                assert!(are_called, "seed {seed}: {turn_id} waits for {calls:?} before they are displayed");
                turn.waits_for = Some(calls);
            }
            Change::Ended(_) => {
                turn.has_ended = true;
                let is_stored_end = transitions_of(stored, &turn_id)
                    .any(|transition| transition.turn.status.is_end() && transition.text == turn.text);
                assert!(is_stored_end, "seed {seed}: {turn_id} never ended with {:?}", turn.text);
            }
            Change::ToolCalled(call) => push_new(&mut turn.calls, call.id),
            Change::ToolResult(result) => {
                let is_called = turn.calls.contains(&result.tool_use_id);
                assert!(is_called, "seed {seed}: {} has a result before its call", result.tool_use_id);
                push_new(&mut turn.results, result.tool_use_id);
            }
            Change::Question(_) | Change::Note(_) | Change::ToolProgress(_) | Change::Cited(_) => {}
            Change::ReasoningAppended { text, .. } => turn.streamed_reasoning.push_str(&text),
            Change::ReasoningCleared => turn.streamed_reasoning.clear(),
            Change::Reasoned(blocks) => blocks.into_iter().for_each(|block| push_new(&mut turn.reasoning, block.text)),
        }
    }

    fn check_displayed_turns(&self) {
        let seed = self.seed;
        let last_transitions: BTreeMap<_, _> =
            self.history.iter().map(|transition| (&transition.turn.id, transition)).collect();
        for (turn_id, last) in last_transitions {
            let Some(turn) = self.displayed.get(turn_id) else {
                let events = transitions_of(&self.history, turn_id).filter_map(|transition| transition.event.as_ref());
                let last_position = events.map(|event| event.position).next_back();
                let ended_before = last_position <= self.follows_from;
                assert!(ended_before, "seed {seed}: {turn_id} was not displayed");
                continue;
            };
            if last.turn.status == TurnStatus::Waiting {
                assert_eq!(turn.waits_for, last.turn.pending, "seed {seed}: {turn_id}");
            } else {
                assert!(turn.has_ended, "seed {seed}: {turn_id} did not end");
            }
            assert_eq!(turn.text, last.text, "seed {seed}: {turn_id}");
            let ends_attempt =
                |event: &ConversationEvent| event.ends_answer() && event.attempt == Some(last.turn.attempt);
            let has_stored_end = last.turn.answer.iter().flatten().last().is_some_and(ends_attempt);
            let is_all_stored = turn.streamed_reasoning.is_empty() || !has_stored_end;
            assert!(is_all_stored, "seed {seed}: {turn_id} displays {} beside its events", turn.streamed_reasoning);
            for event in last.turn.answer.iter().flatten() {
                let mut reasoning = event.content.iter().filter_map(|block| block.reasoning.as_ref());
                let is_reasoning_displayed = reasoning.all(|reasoning| turn.reasoning.contains(&reasoning.text));
                assert!(is_reasoning_displayed, "seed {seed}: the reasoning of {} was not displayed", event.id);
                let is_call_displayed = event.tool_uses().all(|call| turn.calls.contains(&call.id));
                let is_result_displayed = event.tool_results().all(|result| turn.results.contains(&result.tool_use_id));
                assert!(is_call_displayed && is_result_displayed, "seed {seed}: {} was not displayed", event.id);
            }
        }
    }
}

impl Action<'_> {
    fn to_json(&self) -> Value {
        match self {
            Self::Subscribed => json!({ "subscribed": true }),
            Self::Update(update) => json!({ "update": update }),
            Self::Turn(turn) => json!({ "turn": turn }),
            Self::TurnFailed(turn_id) => json!({ "turnFailed": turn_id }),
            Self::Events(page) => json!({ "events": page }),
            Self::EventsFailed => json!({ "eventsFailed": true }),
            Self::Advance(time) => json!({ "advance": time.as_millis() as u64 }),
        }
    }
}

fn push_new(ids: &mut Vec<String>, id: String) {
    assert!(!ids.contains(&id), "{id} is displayed twice");
    ids.push(id);
}

fn percent(rng: &mut Rng, probability: u32) -> bool {
    rng.u32(..100) < probability
}

fn transitions_of<'a>(history: &'a [Transition], turn_id: &'a str) -> impl DoubleEndedIterator<Item = &'a Transition> {
    history.iter().filter(move |transition| transition.turn.id == turn_id)
}

fn get_turn(stored: &[Transition], turn_id: &str, attempt: Option<u32>, after_sequence: u32) -> Turn {
    let newest = transitions_of(stored, turn_id).next_back().expect("a client fetches only turns that exist");
    let attempt = attempt.unwrap_or(newest.turn.attempt);
    let mut batches: Vec<_> = transitions_of(stored, turn_id)
        .filter_map(|transition| transition.batch.clone())
        .filter(|batch| batch.attempt == attempt && batch.sequence > after_sequence)
        .collect();
    let has_more_batches = batches.len() > BATCHES_PER_PAGE;
    batches.truncate(BATCHES_PER_PAGE);
    Turn { batches: Some(batches), has_more_batches: Some(has_more_batches), ..newest.turn.clone() }
}

fn get_events(stored: &[Transition], after: Option<u32>) -> ConversationEvents {
    let events = stored.iter().filter_map(|transition| transition.event.clone());
    let newer: Vec<_> = events.filter(|event| Some(event.position) > after).collect();
    let has_more = after.is_some() && newer.len() > EVENTS_PER_PAGE;
    let items = match after {
        Some(_) => newer.into_iter().take(EVENTS_PER_PAGE).collect(),
        None => newer.into_iter().next_back().into_iter().collect(),
    };
    let active_turn = stored
        .last()
        .map(|transition| &transition.turn)
        .filter(|turn| !turn.status.is_end())
        .map(|turn| ActiveTurn { id: turn.id.clone(), status: turn.status });
    ConversationEvents { active_turn, events: Some(ConversationEventConnection { items, has_more }) }
}
