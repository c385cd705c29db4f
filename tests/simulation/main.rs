//! Deterministic simulation: whole conversations in one process under a paused clock, with the project's
//! handler, resolvers and client over a table in memory. Calls, processes, events and subscriptions fail at
//! random, by seed.
//!
//! `PARLANCE_SEED=7 cargo test --test simulation` repeats the run of one seed and prints its trace.
//! `PARLANCE_MUTANT=NoFencing cargo test --test simulation every_mutant` looks for one mutant only, with
//! `PARLANCE_SEED` in the run of that seed.
//! `PARLANCE_RUNS=5000 cargo test --release --test simulation invariants_hold` runs many seeds.
mod access;
mod aws;
mod checker;
mod citation_checks;
mod conversation;
mod environment;
mod fault_profile;
mod fixture;
mod knowledge;
mod long_run;
mod mutants;
mod network;
mod observations;
mod people;
mod read_back;
mod recorder;
#[path = "../support/repository_template.rs"]
mod repository_template;
mod rng;
mod run;
mod subscriber;
mod tool_checks;
mod tools;
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

use citation_checks::CitationCounts;
use environment::Trace;
use fault_profile::FaultCounts;
use fixture::Fixture;
use long_run::LongRun;
use mutants::Mutant;
use observations::Sizes;
use run::{Report, RunPlan, run_seed};
use tool_checks::ToolCounts;

const DEFAULT_RUNS: u64 = if cfg!(debug_assertions) { 6 } else { 2_000 };
/// The number of seeds within which every mutant must show.
const MUTANT_RUNS: u64 = 400;

#[test]
fn invariants_hold_under_random_faults() {
    if let Some(seed) = number_from_environment("PARLANCE_SEED") {
        let report = run_seed(&Fixture::new(), RunPlan::of_seed(seed), Trace::Printed);
        return assert!(report.violations.is_empty(), "seed {seed}:\n    {}", report.violation_lines());
    }
    let start = Instant::now();
    let runs = number_from_environment("PARLANCE_RUNS").unwrap_or(DEFAULT_RUNS);
    let summary = run_seeds(runs);
    let (turns, replaced) = (summary.turns, summary.replaced_turns);
    println!("{runs} runs, {turns} turns, {replaced} of them replaced, in {:.1} s", start.elapsed().as_secs_f64());
    println!("{}", summary.citation_counts);
    println!("{}; faults injected:", summary.tool_counts);
    for (fault, count) in &summary.fault_counts {
        println!("{count:>9} {fault:?}");
    }
    assert_eq!(summary.failed_runs, 0, "runs of {runs} that violate an invariant");
}

#[test]
fn same_seed_gives_same_run() {
    let fixtures = [Fixture::new(), Fixture::new()];
    let mut has_searches = false;
    for seed in [3, 17] {
        let traces = fixtures.each_ref().map(|fixture| {
            let report = run_seed(fixture, RunPlan::of_seed(seed), Trace::Collected(Mutex::default()));
            report.trace
        });
        assert!(traces[0].len() > 10);
        assert_eq!(traces[0], traces[1], "seed {seed}");
        has_searches |= traces[0].iter().any(|line| line.contains("a search finds"));
    }
    assert!(has_searches, "one of the runs searches documents");
}

#[test]
fn long_runs_reach_their_bounds() {
    // Kind, and what a run of it must reach: turns, events of a turn, blocks of an event, batches of an
    // attempt, runs.
    let bounds = [
        (LongRun::Batches(810), Sizes { batches_of_attempt: 801, ..Sizes::default() }),
        (LongRun::Blocks { count: 200, dies: true }, Sizes { blocks_of_event: 64, ..Sizes::default() }),
        (LongRun::Events(320), Sizes { events_of_turn: 301, ..Sizes::default() }),
        (LongRun::Continues(95), Sizes { runs_of_turn: 96, events_of_turn: 96, ..Sizes::default() }),
        (LongRun::Turns(101), Sizes { turns: 101, events: 202, ..Sizes::default() }),
    ];
    let next = AtomicU64::new(0);
    on_every_core(|| {
        let fixture = Fixture::new();
        loop {
            // The seed is also in the conversation's id, so each run needs another one.
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let Some((long_run, bound)) = bounds.get(seed as usize) else { return };
            let plan = RunPlan { long_run: Some(*long_run), ..RunPlan::of_seed(seed) };
            let report = run_seed(&fixture, plan, Trace::Off);
            assert!(report.violations.is_empty(), "{long_run:?}:\n    {}", report.violation_lines());
            assert!(report.sizes.reach(bound), "{long_run:?} reaches only {:?}", report.sizes);
        }
    });
}

#[test]
fn every_mutant_violates_its_invariant() {
    // Mutant, violated invariant, and the seed to begin with: one that shows the mutant in a short run. The
    // search continues from there if a change of the program gives the seeds other runs.
    let mutants = [
        (Mutant::RetryMarksNewestEvents, 8, 1),
        (Mutant::OneClosingPage, 7, 7),
        (Mutant::UnboundedBlocks, 3, 19),
        (Mutant::NoFencing, 1, 52),
        (Mutant::EmptyFinalEvent, 2, 1),
        (Mutant::WrongFinalUpdate, 3, 1),
        (Mutant::EndlessLease, 4, 25),
        (Mutant::SkippedSequences, 5, 1),
        (Mutant::TrimmedBatches, 7, 1),
        (Mutant::RetryKeepsAnswer, 8, 13),
        (Mutant::ReplacementKeepsQuestion, 8, 9),
        (Mutant::ReplacementKeepsHistory, 8, 7),
        (Mutant::EveryTurnIsReplaceable, 1, 1),
        (Mutant::DuplicateWrites, 9, 1),
        (Mutant::StaleDecisions, 3, 1),
        (Mutant::PurgeKeepsBatches, 6, 1),
        (Mutant::LastingSubscriptions, 6, 14),
        (Mutant::OpenConversations, 6, 4),
        (Mutant::WritingReaders, 6, 29),
        (Mutant::ClaimsAreUnconditional, 12, 3),
        (Mutant::ClaimsBelongToEverybody, 12, 3),
        (Mutant::LostCallsAreRepeated, 12, 2),
        (Mutant::ChangesCountAsReads, 12, 18),
        (Mutant::DenialsApprove, 12, 29),
        (Mutant::LastResultIsDropped, 13, 1),
        (Mutant::FirstResultIsRepeated, 13, 22),
        (Mutant::WaitsEndWithoutResults, 13, 31),
        (Mutant::HistoryWithoutResults, 13, 14),
        (Mutant::CitationsAreShifted, 7, 1),
        (Mutant::CitationsOfOtherPassages, 7, 1),
        (Mutant::FinalEventWithoutCitations, 7, 1),
        (Mutant::PassagesAreSentAgain, 8, 5),
    ];
    let only = env::var("PARLANCE_MUTANT").ok();
    let is_selected = |mutant: Mutant| only.as_ref().is_none_or(|only| *only == format!("{mutant:?}"));
    let mutants: Vec<_> = mutants.into_iter().filter(|(mutant, ..)| is_selected(*mutant)).collect();
    let next = AtomicU64::new(0);
    on_every_core(|| {
        while let Some((mutant, invariant, first_seed)) = mutants.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            find_violation(*mutant, *invariant, *first_seed);
        }
    });
}

fn find_violation(mutant: Mutant, invariant: u8, first_seed: u64) {
    let start = Instant::now();
    let fixture = Fixture::of_mutant(mutant);
    if let Some(seed) = number_from_environment("PARLANCE_SEED") {
        let report = run_seed(&fixture, RunPlan::of_mutant(mutant, seed), Trace::Printed);
        return println!("{mutant:?}, {} changes:\n    {}", report.mutations, report.violation_lines());
    }
    let mut mutations = 0;
    let violates = |report: &Report| report.violations.iter().any(|violation| violation.invariant == invariant);
    for seed in first_seed..first_seed + MUTANT_RUNS {
        let report = run_seed(&fixture, RunPlan::of_mutant(mutant, seed), Trace::Off);
        mutations += report.mutations;
        if !violates(&report) {
            continue;
        }
        if mutant.is_static() {
            let control = run_seed(&Fixture::new(), RunPlan::control_of_mutant(mutant, seed), Trace::Off);
            assert!(!violates(&control), "seed {seed} without {mutant:?}:\n    {}", control.violation_lines());
        } else {
            assert!(report.mutations > 0, "{mutant:?} changes nothing with seed {seed}: the violation is another's");
        }
        let seconds = start.elapsed().as_secs_f64();
        return println!("{mutant:?} violates invariant {invariant} with seed {seed}; {seconds:.1} s");
    }
    panic!("{mutant:?} survives {MUTANT_RUNS} runs, in which it changes {mutations} requests");
}

#[derive(Default)]
struct Summary {
    fault_counts: FaultCounts,
    turns: usize,
    replaced_turns: usize,
    tool_counts: ToolCounts,
    citation_counts: CitationCounts,
    failed_runs: u64,
}

/// Runs the seeds from 1 to `runs`.
fn run_seeds(runs: u64) -> Summary {
    let summary = Mutex::<Summary>::default();
    let next_seed = AtomicU64::new(1);
    on_every_core(|| {
        let fixture = Fixture::new();
        loop {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            if seed > runs {
                return;
            }
            let report = run_seed(&fixture, RunPlan::of_seed(seed), Trace::Off);
            summary.lock().expect("no run panics").add(&report);
        }
    });
    summary.into_inner().expect("no run panics")
}

impl Summary {
    fn add(&mut self, report: &Report) {
        for (fault, count) in &report.fault_counts {
            *self.fault_counts.entry(*fault).or_default() += count;
        }
        self.turns += report.sizes.turns;
        self.replaced_turns += report.sizes.replaced_turns;
        self.tool_counts += &report.tool_counts;
        self.citation_counts += report.citation_counts;
        if !report.violations.is_empty() {
            // Printed at once, because many runs take long.
            println!("PARLANCE_SEED={} cargo test --test simulation\n    {}", report.seed, report.violation_lines());
            self.failed_runs += 1;
        }
    }
}

/// Calls `work` on a thread for each core and waits for all threads.
fn on_every_core(work: impl Fn() + Sync) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(&work);
        }
    });
}

fn number_from_environment(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {value:?}")))
}
