//! Runs the conversation of one seed, waits until nothing is pending, and checks the invariants.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    runtime::Builder,
    time::{Instant, sleep},
};

use crate::{
    access::Access,
    checker::{self, Violation},
    citation_checks::CitationCounts,
    conversation::{self, WAIT_END},
    environment::{Environment, Trace},
    fault_profile::FaultCounts,
    fixture::Fixture,
    long_run::LongRun,
    mutants::Mutant,
    observations::{DisplayedTurn, ModelRequest, Observations, Purge, Sizes},
    people::Person,
    read_back::{self, ReadBack},
    recorder::Recorder,
    subscriber::{DisplayedTurns, Subscriber, SubscriberHandle},
    tool_checks::{self, ToolCounts},
    users::User,
};

/// Longer than Lambda's retries take, and longer than a turn can be claimed.
const SETTLING_TIME: Duration = Duration::from_secs(25 * 60);
/// More than a simulated model sends in one call.
const BLOCKS_OF_CALL: u32 = 10_000;
/// Time for subscribers to fetch what they missed.
const FINAL_FETCH_TIME: Duration = Duration::from_secs(90);

/// What a run is of.
#[derive(Clone, Copy, Debug)]
pub struct RunPlan {
    pub seed: u64,
    pub mutant: Option<Mutant>,
    pub long_run: Option<LongRun>,
    /// Whether the run has the faults and users of the mutant, and the program as it is.
    pub is_control: bool,
}

pub struct Report {
    pub seed: u64,
    pub violations: Vec<Violation>,
    pub fault_counts: FaultCounts,
    pub sizes: Sizes,
    pub tool_counts: ToolCounts,
    pub citation_counts: CitationCounts,
    /// How often the mutant has changed something.
    pub mutations: u64,
    pub trace: Vec<String>,
}

impl RunPlan {
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, mutant: None, long_run: LongRun::of_seed(seed), is_control: false }
    }

    pub fn of_mutant(mutant: Mutant, seed: u64) -> Self {
        Self { seed, mutant: Some(mutant), long_run: mutant.long_run(), is_control: false }
    }

    /// To compare with the run of a mutant.
    pub fn control_of_mutant(mutant: Mutant, seed: u64) -> Self {
        Self { is_control: true, ..Self::of_mutant(mutant, seed) }
    }
}

impl Report {
    pub fn violation_lines(&self) -> String {
        let lines: Vec<String> = self.violations.iter().map(Violation::to_string).collect();
        lines.join("\n    ")
    }
}

struct RunningSubscriber {
    person: Person,
    handle: SubscriberHandle,
    display: DisplayedTurns,
}

impl RunningSubscriber {
    fn snapshot(&self) -> BTreeMap<String, DisplayedTurn> {
        self.display.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub fn run_seed(fixture: &Fixture, plan: RunPlan, trace: Trace) -> Report {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("the runtime starts");
    runtime.block_on(async {
        let environment = Environment::start(plan, fixture, trace);
        if environment.agent.has_tools {
            environment.with_faults(|profile, _| profile.set_enabled(false));
            User::new(&environment, Person::Owner).put_agent(true).await;
            environment.with_faults(|profile, _| profile.set_enabled(true));
        }
        User::new(&environment, Person::Owner).create_conversation().await;
        let subscribers = start_subscribers(&environment);
        let participant = subscribers.iter().find(|subscriber| subscriber.person == Person::Participant);
        let participant = participant.map(|subscriber| subscriber.handle.clone());
        conversation::converse(environment.clone(), subscribers[0].handle.clone(), participant).await;
        sleep(environment.with_rng(|rng| rng.seconds(0..300))).await;
        environment.with_faults(|profile, _| profile.disable());
        settle(&environment).await;
        if has_waiting_turn(&environment) {
            sleep(WAIT_END).await;
        }
        let before_reconnecting = subscribers[0].snapshot();
        for subscriber in &subscribers {
            subscriber.handle.reconnect();
        }
        sleep(FINAL_FETCH_TIME).await;
        let mut displays = vec![subscribers[0].snapshot(), before_reconnecting];
        for subscriber in &subscribers[1..] {
            let access = environment.access_stamp(subscriber.person).access;
            match (subscriber.person, access) {
                (Person::Stranger, _) => check_stranger(&environment, subscriber),
                (Person::Owner, _) => displays.push(subscriber.snapshot()),
                // A request to stop sharing may have taken effect late.
                (Person::Participant, Access::Read | Access::Write)
                    if environment.is_stored_participant(Person::Participant) =>
                {
                    displays.push(subscriber.snapshot());
                }
                // What a former participant displays may be old.
                (Person::Participant, _) => {}
            }
        }
        report(&environment, displays).await
    })
}

/// Until a reader cannot read, if that is what the mutant does: readers repeat their requests every second.
async fn settle(environment: &Environment) {
    let end = Instant::now() + SETTLING_TIME;
    let makes_unreadable = environment.mutant.is_some_and(Mutant::makes_answers_unreadable);
    let has_shown = || makes_unreadable && environment.with_recorder(|recorder| !recorder.violations.is_empty());
    while Instant::now() < end && !has_shown() {
        sleep(Duration::from_secs(1)).await;
    }
}

/// Whether nobody has answered the tool calls of a turn.
fn has_waiting_turn(environment: &Environment) -> bool {
    let items = environment.fixture.items(&format!("CONVERSATION#{}", environment.conversation_id()));
    items.iter().any(|item| is_turn(item) && item["status"] == "WAITING")
}

/// The first subscriber is the owner's. The others are the owner's second device, the participant and a
/// stranger.
fn start_subscribers(environment: &Arc<Environment>) -> Vec<RunningSubscriber> {
    let mut people = vec![Person::Owner];
    if environment.long_run.is_none() {
        let is_shareable = environment.people.participant_id().is_some();
        let draws = environment.with_rng(|rng| [rng.percent(33), rng.percent(60), rng.percent(15)]);
        let others =
            [(draws[0], Person::Owner), (draws[1] && is_shareable, Person::Participant), (draws[2], Person::Stranger)];
        people.extend(others.into_iter().filter(|(is_present, _)| *is_present).map(|(_, person)| person));
    }
    let start = |(number, person): (usize, Person)| {
        let (handle, display) = Subscriber::start(number, person, environment);
        RunningSubscriber { person, handle, display }
    };
    people.into_iter().enumerate().map(start).collect()
}

fn check_stranger(environment: &Environment, subscriber: &RunningSubscriber) {
    if !subscriber.snapshot().is_empty() {
        let violation = Violation::new(6, "a stranger displays a turn".into());
        environment.with_recorder(|recorder| recorder.violations.push(violation));
    }
}

async fn report(environment: &Arc<Environment>, displays: Vec<BTreeMap<String, DisplayedTurn>>) -> Report {
    let read_back = read_back::read_back(environment).await;
    let observations = environment.with_recorder(|recorder| observe(environment, recorder, displays, read_back));
    tool_checks::check_next_request(environment, &observations).await;
    let mut violations = checker::check(&observations);
    violations.extend(environment.with_recorder(|recorder| recorder.violations.clone()));
    Report {
        seed: environment.seed,
        violations,
        fault_counts: environment.with_faults(|profile, _| profile.counts.clone()),
        sizes: environment.with_recorder(|recorder| recorder.sizes).max(Sizes::of_items(&observations.items)),
        tool_counts: ToolCounts::of(&observations),
        citation_counts: CitationCounts::of(&observations),
        mutations: environment.with_recorder(|recorder| recorder.mutations),
        trace: environment.trace_lines(),
    }
}

/// The items of the conversation, and the batches of its turns. The turns of a deleted conversation are gone;
/// their ids are those of the turns that were started.
pub fn stored_items(environment: &Environment, started_turns: &BTreeSet<String>) -> Vec<Value> {
    let conversation_id = environment.conversation_id();
    let mut items = environment.fixture.items(&format!("CONVERSATION#{conversation_id}"));
    let stored_turns = items.iter().filter(|item| is_turn(item)).map(|turn| turn_id(turn).to_owned());
    let turn_ids: BTreeSet<String> = stored_turns.chain(started_turns.iter().cloned()).collect();
    for turn_id in turn_ids {
        items.extend(environment.fixture.items(&format!("TURN#{conversation_id}#{turn_id}")));
    }
    items
}

fn observe(
    environment: &Environment,
    recorder: &Recorder,
    subscribers: Vec<BTreeMap<String, DisplayedTurn>>,
    read_back: Option<ReadBack>,
) -> Observations {
    let items = stored_items(environment, &recorder.turn_ids());
    let turns: Vec<&Value> = items.iter().filter(|item| is_turn(item)).collect();
    let mut received_deltas = BTreeMap::new();
    for (index, call) in recorder.model_calls.iter().enumerate() {
        if let Some((turn_id, attempt)) = &call.attempt {
            let deltas: &mut Vec<_> = received_deltas.entry((turn_id.clone(), u64::from(*attempt))).or_default();
            // Each call numbers its blocks from 0.
            let first_block = index as u32 * BLOCKS_OF_CALL;
            deltas.extend(call.received_deltas.iter().map(|(block, text)| (first_block + block, text.clone())));
        }
    }
    let model_requests = recorder.model_calls.iter().map(|call| ModelRequest {
        turn_id: call.attempt.as_ref().map(|(turn_id, _)| turn_id.clone()),
        transcript: call.transcript.clone(),
        superseded_texts: call.superseded_texts.clone(),
    });
    let settled_turns = turns.iter().filter(|turn| recorder.is_settled(turn));
    let settled_turns = settled_turns.map(|turn| turn_id(turn).to_owned()).collect();
    let purge = Purge { began_ms: recorder.successful_purge_ms(), batch_writes: recorder.batch_writes.clone() };
    Observations {
        now_ms: environment.now_ms(),
        subscribers,
        acknowledged: recorder.acknowledged.clone(),
        replacements: recorder.replacements.clone(),
        model_requests: model_requests.collect(),
        received_deltas,
        settled_turns,
        max_writes_per_batch: recorder.max_writes_per_batch,
        purge,
        read_back,
        has_tools: environment.agent.has_tools,
        passages: recorder.passages.clone(),
        tool_counters: recorder.tool_counters.clone(),
        tool_answers: recorder.tool_answers.clone(),
        items,
    }
}

fn is_turn(item: &Value) -> bool {
    item["sk"].as_str().is_some_and(|key| key.starts_with("TURN#"))
}

fn turn_id(turn: &Value) -> &str {
    turn["id"].as_str().unwrap_or_default()
}
