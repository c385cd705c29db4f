//! The rule by which a client reassembles updates: shared cases, which hold for every implementation of it,
//! and random schedules.
mod case_json;
mod cases;
mod simulation;

use std::env;

/// How many schedules are run, unless RULE_RUNS says it.
const SCHEDULES: u64 = 5_000;

#[test]
fn every_client_ends_with_the_stored_text() {
    let schedules = env::var("RULE_RUNS").map_or(SCHEDULES, |runs| runs.parse().unwrap());
    for seed in 1..=schedules {
        simulation::run(seed, None);
    }
}

/// Other implementations are run against recorded schedules.
#[test]
fn recorded_schedules_are_cases_that_hold() {
    for seed in 1..=100 {
        let mut steps = Vec::new();
        simulation::run(seed, Some(&mut steps));
        cases::check_conversation(&steps).unwrap_or_else(|error| panic!("seed {seed}, {error}"));
    }
}

#[test]
fn shared_cases_hold() {
    cases::check_all();
}
