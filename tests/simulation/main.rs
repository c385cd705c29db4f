//! Deterministic simulation: whole conversations in one process under a paused clock, with the project's
//! handler, resolvers and client over a table in memory. Calls, processes, events and subscriptions fail at
//! random, by seed.
//!
//! `PARLANCE_SEED=7 cargo test --test simulation` repeats the run of one seed and prints its trace.
//! `PARLANCE_RUNS=20000 cargo test --release --test simulation` runs many seeds.
mod aws;
mod checker;
mod environment;
mod fault_profile;
mod fixture;
mod mutants;
mod network;
mod observations;
mod recorder;
mod rng;
mod run;
mod subscriber;
mod users;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use environment::Trace;
use fault_profile::FaultCounts;
use fixture::Fixture;
use mutants::Mutant;
use run::{Report, run_seed};

const DEFAULT_RUNS: u64 = if cfg!(debug_assertions) { 40 } else { 2_000 };
/// The number of seeds within which every mutant must show.
const MUTANT_RUNS: u64 = 400;

#[test]
fn invariants_hold_under_random_faults() {
    if let Some(seed) = number_from_environment("PARLANCE_SEED") {
        let report = run_seed(&Fixture::new(), seed, None, Trace::Printed);
        return assert!(report.violations.is_empty(), "seed {seed}:\n    {}", report.violations.join("\n    "));
    }
    let start = Instant::now();
    let runs = number_from_environment("PARLANCE_RUNS").unwrap_or(DEFAULT_RUNS);
    let summary = run_seeds(runs);
    println!("{runs} runs, {} turns in {:.1} s; faults injected:", summary.turns, start.elapsed().as_secs_f64());
    for (fault, count) in &summary.fault_counts {
        println!("{count:>9} {fault:?}");
    }
    for Report { seed, violations, .. } in &summary.failures {
        println!("PARLANCE_SEED={seed} cargo test --test simulation\n    {}", violations.join("\n    "));
    }
    assert!(summary.failures.is_empty(), "{} of {runs} runs violate an invariant", summary.failures.len());
}

#[test]
fn same_seed_gives_same_run() {
    let fixture = Fixture::new();
    for seed in [3, 17, 42] {
        let first = run_seed(&Fixture::new(), seed, None, Trace::Collected(Mutex::default()));
        let second = run_seed(&fixture, seed, None, Trace::Collected(Mutex::default()));
        assert!(first.trace.len() > 10);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

#[test]
fn every_mutant_violates_its_invariant() {
    // Mutant, violated invariant, and the seed to begin with: the first one that shows the mutant. The search
    // continues from there if a change of the program gives the seeds other runs.
    let mutants = [
        (Mutant::NoFencing, 1, 1),
        (Mutant::EmptyFinalEvent, 2, 1),
        (Mutant::WrongFinalUpdate, 3, 1),
        (Mutant::EndlessLease, 4, 2),
        (Mutant::SkippedSequences, 5, 2),
        (Mutant::TrimmedBatches, 7, 3),
        (Mutant::RetryKeepsAnswer, 8, 27),
        (Mutant::DuplicateWrites, 9, 3),
    ];
    let next = AtomicU64::new(0);
    on_every_core(|fixture| {
        while let Some((mutant, invariant, first_seed)) = mutants.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            find_violation(fixture, *mutant, *invariant, *first_seed);
        }
    });
}

fn find_violation(fixture: &Fixture, mutant: Mutant, invariant: u8, first_seed: u64) {
    let shows = |seed: &u64| {
        let report = run_seed(fixture, *seed, Some(mutant), Trace::Off);
        report.violated_invariants.contains(&invariant)
    };
    let mut seeds = first_seed..first_seed + MUTANT_RUNS;
    match seeds.find(shows) {
        Some(seed) => println!("{mutant:?} violates invariant {invariant} with seed {seed}"),
        None => panic!("{mutant:?} survives {MUTANT_RUNS} runs"),
    }
}

#[derive(Default)]
struct Summary {
    fault_counts: FaultCounts,
    turns: usize,
    failures: Vec<Report>,
}

/// Runs the seeds from 1 to `runs`.
fn run_seeds(runs: u64) -> Summary {
    let summary = Mutex::<Summary>::default();
    let next_seed = AtomicU64::new(1);
    on_every_core(|fixture| {
        loop {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            if seed > runs {
                return;
            }
            let report = run_seed(fixture, seed, None, Trace::Off);
            summary.lock().expect("no run panics").add(report);
        }
    });
    summary.into_inner().expect("no run panics")
}

impl Summary {
    fn add(&mut self, report: Report) {
        for (fault, count) in &report.fault_counts {
            *self.fault_counts.entry(*fault).or_default() += count;
        }
        self.turns += report.turns;
        if !report.violations.is_empty() {
            self.failures.push(report);
        }
    }
}

/// Calls `work` on a thread for each core, with a fixture of its own, and waits for all threads.
fn on_every_core(work: impl Fn(&Fixture) + Sync) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| work(&Fixture::new()));
        }
    });
}

fn number_from_environment(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {value:?}")))
}
