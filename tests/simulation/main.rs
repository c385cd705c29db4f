//! Whole conversations in one process under a paused clock: the handler's own logic and the API's own resolvers over a
//! table in memory, with everything around them failing by seed. `PARLANCE_SEED=7 cargo test --test simulation`
//! repeats one run and tells it; `PARLANCE_RUNS=20000 cargo test --release --test simulation` runs many.
mod aws;
mod checker;
mod dice;
mod evidence;
mod network;
mod record;
mod run;
mod sabotage;
mod stage;
mod subscriber;
mod users;
mod weather;
mod world;

use std::{env, sync::Mutex, thread, time::Instant};

use run::{Report, run};
use sabotage::Sabotage;
use stage::Stage;
use weather::Counts;
use world::Trace;

const RUNS: u64 = if cfg!(debug_assertions) { 30 } else { 2_000 };
const THREADS: u64 = 2;
/// How many seeds a broken build may survive.
const UNSEEN: u64 = 400;

#[test]
fn whatever_fails_every_invariant_holds() {
    if let Some(seed) = number("PARLANCE_SEED") {
        let report = run(&Stage::build(), seed, None, Trace::Printed);
        return assert!(report.violations.is_empty(), "seed {seed}:\n    {}", report.violations.join("\n    "));
    }
    let began = Instant::now();
    let runs = number("PARLANCE_RUNS").unwrap_or(RUNS);
    let reports = thread::scope(|scope| {
        let threads =
            (0..THREADS).map(|first| scope.spawn(move || campaign((first + 1..=runs).step_by(THREADS as usize))));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of runs ends")).collect::<Vec<_>>()
    });
    let (mut counts, mut turns, mut broken) = (Counts::new(), 0, Vec::new());
    for Campaign { counts: more, turns: answered, violated } in reports {
        more.into_iter().for_each(|(fault, count)| *counts.entry(fault).or_default() += count);
        turns += answered;
        broken.extend(violated);
    }
    println!("{runs} runs, {turns} turns in {:.1} s", began.elapsed().as_secs_f64());
    counts.iter().for_each(|(fault, count)| println!("{count:>9} {fault:?}"));
    for Report { seed, violations, .. } in &broken {
        println!("PARLANCE_SEED={seed} cargo test --test simulation\n    {}", violations.join("\n    "));
    }
    assert!(broken.is_empty(), "{} of {runs} runs violate an invariant", broken.len());
}

#[test]
fn the_same_seed_is_the_same_run() {
    let stage = Stage::build();
    for seed in [3, 17, 42] {
        let again = run(&Stage::build(), seed, None, Trace::Kept(Mutex::default()));
        let once = run(&stage, seed, None, Trace::Kept(Mutex::default()));
        assert!(once.trace.len() > 10);
        assert_eq!(once.trace, again.trace, "seed {seed}");
    }
}

#[test]
fn each_invariant_is_seen_to_break_in_a_build_that_breaks_it() {
    let builds = [
        (1, Sabotage::NoFence),
        (2, Sabotage::EmptyEnd),
        (3, Sabotage::AnotherEndTold),
        (4, Sabotage::EternalLease),
        (5, Sabotage::NumbersLeftOut),
        (7, Sabotage::TrimmedBatches),
        (8, Sabotage::NothingSuperseded),
        (9, Sabotage::WrittenTwice),
    ];
    thread::scope(|scope| {
        for half in builds.chunks(builds.len().div_ceil(2)) {
            scope.spawn(|| {
                let stage = Stage::build();
                half.iter().for_each(|(invariant, sabotage)| caught(&stage, *invariant, *sabotage));
            });
        }
    });
}

fn caught(stage: &Stage, invariant: u8, sabotage: Sabotage) {
    let breaks = |seed: &u64| run(stage, *seed, Some(sabotage), Trace::Unwritten).broken.contains(&invariant);
    let seed = (1..UNSEEN).find(breaks).unwrap_or_else(|| panic!("{sabotage:?} survives {UNSEEN} runs"));
    println!("{sabotage:?} breaks invariant {invariant} in run {seed}");
}

struct Campaign {
    counts: Counts,
    turns: usize,
    violated: Vec<Report>,
}

fn campaign(seeds: impl Iterator<Item = u64>) -> Campaign {
    let stage = Stage::build();
    let mut campaign = Campaign { counts: Counts::new(), turns: 0, violated: Vec::new() };
    for seed in seeds {
        let report = run(&stage, seed, None, Trace::Unwritten);
        report.counts.iter().for_each(|(fault, count)| *campaign.counts.entry(*fault).or_default() += count);
        campaign.turns += report.turns;
        if !report.violations.is_empty() {
            campaign.violated.push(report);
        }
    }
    campaign
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().and_then(|value| value.parse().ok())
}
