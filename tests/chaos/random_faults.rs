//! All faults at once at random, by seed.
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::join_all, stream};
use local::fault_injection::{Fault, FaultPlan};
use tokio::time::sleep;

use crate::{
    fixture::{Fixture, SECOND_RETRY_AFTER_LEASE, Turn, deltas, reserve_machine},
    reader::DisplayedTurn,
};

const MODEL: &str = "parlance.deltas-150-20";
const DELTAS: usize = 150;
const DEFAULT_RUNS: usize = 12;
/// In this many runs every fault is injected at least once.
const RUNS_WITH_EVERY_FAULT: usize = 200;
/// Turns that share a server and its seed.
const TURNS_PER_SERVER: usize = 20;
const CONCURRENT_SERVERS: usize = 5;

pub fn number_of_runs(default: usize) -> usize {
    env::var("CHAOS_RUNS").map_or(default, |runs| runs.parse().expect("CHAOS_RUNS is a number"))
}

fn fault_profile(seed: u64) -> FaultPlan {
    let rates = [
        (Fault::TableConflict, 0.02),
        (Fault::TableThrottled, 0.01),
        (Fault::TableAnswerLost, 0.02),
        (Fault::StaleRead, 0.2),
        (Fault::PublishRefused, 0.03),
        (Fault::PublishUnconfirmed, 0.03),
        (Fault::PublishTwice, 0.03),
        (Fault::PublishOutage, 0.01),
        (Fault::UpdateLost, 0.03),
        (Fault::LastUpdateLost, 0.2),
        (Fault::SubscriberCut, 0.03),
        (Fault::EventTwice, 0.1),
        (Fault::EventThrice, 0.05),
        (Fault::EventAgain, 0.1),
        (Fault::ProcessKilled, 0.1),
    ];
    FaultPlan {
        seed,
        publish_latency: Duration::from_millis(20),
        outage: Duration::from_secs(5),
        rates: rates.into(),
        ..FaultPlan::default()
    }
}

/// Plays turns on one server. Returns how often each fault was injected.
async fn run(seed: u64, turn_count: usize) -> BTreeMap<Fault, u64> {
    let fixture = Fixture::start(fault_profile(seed), SECOND_RETRY_AFTER_LEASE).await;
    let turns = fixture.create_turns(MODEL, turn_count).await;
    let played = turns.iter().enumerate().map(|(number, turn)| play(&fixture, turn, number));
    let displayed = join_all(played).await;
    fixture.server.lambda.wait_for_events().await;
    check_list(&fixture.list_conversations().await, &turns);
    for (turn, displayed) in turns.iter().zip(displayed) {
        println!("seed {seed}, {}: {:?}", turn.conversation_id, displayed.status);
        fixture.check(turn, &deltas(DELTAS), &[displayed]).await;
    }
    let counts = fixture.server.faults.injected_counts();
    fixture.server.stop().await;
    counts
}

/// Lists the conversations and reads a turn. Every fifth turn is cancelled, each later than the one before.
async fn play(fixture: &Fixture, turn: &Turn, number: usize) -> DisplayedTurn {
    fixture.list_conversations().await;
    let reader = fixture.follow(turn).await;
    let send = fixture.send(turn).shared();
    let cancel = async {
        send.clone().await;
        if number % 5 == 4 {
            sleep(Duration::from_millis(100) * number as u32).await;
            fixture.cancel(turn).await;
        }
    };
    let (displayed, ()) = tokio::join!(reader.read_to_end(send.clone()), cancel);
    displayed
}

/// A list may lack the newest conversations, because it is read from an index. It has no duplicates and no
/// others.
fn check_list(listed: &[String], turns: &[Turn]) {
    let created: BTreeSet<&String> = turns.iter().map(|turn| &turn.conversation_id).collect();
    let distinct: BTreeSet<&String> = listed.iter().collect();
    assert!(distinct.len() == listed.len() && distinct.is_subset(&created), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_hold_under_random_faults() {
    let _shares = reserve_machine(2).await;
    let runs = number_of_runs(DEFAULT_RUNS);
    let servers = (0..runs.div_ceil(TURNS_PER_SERVER))
        .map(|server| run(server as u64, TURNS_PER_SERVER.min(runs - server * TURNS_PER_SERVER)));
    let counts: Vec<BTreeMap<Fault, u64>> = stream::iter(servers).buffer_unordered(CONCURRENT_SERVERS).collect().await;
    println!("{runs} runs; faults injected:");
    for fault in fault_profile(0).rates.into_keys() {
        let count: u64 = counts.iter().filter_map(|counts| counts.get(&fault)).sum();
        println!("{fault:20}{count:>6}");
        assert!(count > 0 || runs < RUNS_WITH_EVERY_FAULT, "{fault} was never injected");
    }
}
