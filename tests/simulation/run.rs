//! Runs the conversation of one seed, waits until nothing is pending, and checks the invariants.
use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use serde_json::Value;
use tokio::{runtime::Builder, time::sleep};

use crate::{
    checker::{self, Violation},
    environment::{Environment, Trace},
    fault_profile::FaultCounts,
    fixture::Fixture,
    mutants::Mutant,
    observations::{DisplayedTurn, ModelRequest, Observations},
    recorder::Recorder,
    subscriber::{DisplayedTurns, Subscriber},
    users,
};

/// Longer than Lambda's retries take, and longer than a turn can be claimed.
const SETTLING_TIME: Duration = Duration::from_secs(25 * 60);
/// Time for subscribers to fetch what they missed.
const FINAL_FETCH_TIME: Duration = Duration::from_secs(90);

pub struct Report {
    pub seed: u64,
    pub violations: Vec<String>,
    /// The numbers of the invariants that the stored items violate.
    pub violated_invariants: Vec<u8>,
    pub fault_counts: FaultCounts,
    pub turns: usize,
    pub trace: Vec<String>,
}

pub fn run_seed(fixture: &Fixture, seed: u64, mutant: Option<Mutant>, trace: Trace) -> Report {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("the runtime starts");
    runtime.block_on(async {
        let environment = Environment::start(seed, mutant, fixture.clone(), trace);
        let subscriber_count = environment.with_rng(|rng| rng.choose(&[1, 1, 2]));
        let subscribers: Vec<_> = (0..subscriber_count).map(|number| Subscriber::start(number, &environment)).collect();
        let (first_subscriber, first_display) = &subscribers[0];
        users::converse(environment.clone(), first_subscriber.clone()).await;
        sleep(environment.with_rng(|rng| rng.seconds(0..300))).await;
        environment.with_faults(|profile, _| profile.disable());
        sleep(SETTLING_TIME).await;
        let before_reconnecting = snapshot(first_display);
        for (subscriber, _) in &subscribers {
            subscriber.reconnect();
        }
        sleep(FINAL_FETCH_TIME).await;
        let after_reconnecting = subscribers.iter().map(|(_, display)| snapshot(display));
        report(&environment, after_reconnecting.chain([before_reconnecting]).collect())
    })
}

fn snapshot(display: &DisplayedTurns) -> BTreeMap<String, DisplayedTurn> {
    display.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn report(environment: &Environment, displays: Vec<BTreeMap<String, DisplayedTurn>>) -> Report {
    let observations = environment.with_recorder(|recorder| observe(environment, recorder, displays));
    let violations = checker::check(&observations);
    let recorded_violations = environment.with_recorder(|recorder| recorder.violations.clone());
    Report {
        seed: environment.seed,
        violated_invariants: violations.iter().map(|violation| violation.invariant).collect(),
        violations: violations.iter().map(Violation::to_string).chain(recorded_violations).collect(),
        fault_counts: environment.with_faults(|profile, _| profile.counts.clone()),
        turns: observations.items.iter().filter(|item| is_turn(item)).count(),
        trace: environment.trace_lines(),
    }
}

fn observe(
    environment: &Environment,
    recorder: &Recorder,
    subscribers: Vec<BTreeMap<String, DisplayedTurn>>,
) -> Observations {
    let conversation_id = environment.conversation_id();
    let mut items = environment.fixture.items(&format!("CONVERSATION#{conversation_id}"));
    let turns: Vec<Value> = items.iter().filter(|item| is_turn(item)).cloned().collect();
    for turn in &turns {
        items.extend(environment.fixture.items(&format!("TURN#{conversation_id}#{}", turn_id(turn))));
    }
    let mut received_text = BTreeMap::new();
    for call in &recorder.model_calls {
        if let Some((turn_id, attempt)) = &call.attempt {
            let text: &mut String = received_text.entry((turn_id.clone(), u64::from(*attempt))).or_default();
            text.push_str(&call.received_text);
        }
    }
    let model_requests = recorder.model_calls.iter().map(|call| ModelRequest {
        transcript: call.transcript.clone(),
        superseded_answers: call.superseded_answers.clone(),
    });
    let settled_turns = turns.iter().filter(|turn| recorder.is_settled(turn));
    Observations {
        now_ms: environment.now_ms(),
        subscribers,
        acknowledged: recorder.acknowledged.clone(),
        model_requests: model_requests.collect(),
        received_text,
        settled_turns: settled_turns.map(|turn| turn_id(turn).to_owned()).collect(),
        max_writes_per_batch: recorder.max_writes_per_batch,
        items,
    }
}

fn is_turn(item: &Value) -> bool {
    item["sk"].as_str().is_some_and(|key| key.starts_with("TURN#"))
}

fn turn_id(turn: &Value) -> &str {
    turn["id"].as_str().unwrap_or_default()
}
