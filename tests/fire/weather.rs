//! Everything at once, by seed.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::join_all, stream};
use local::fault_injection::{Fault, FaultPlan};
use tokio::time::sleep;

use crate::{
    reader::Seen,
    stage::{OUTLIVING_LEASES, Scene, Stage, deltas},
};

const MODEL: &str = "parlance.deltas-150-20";
const DELTAS: usize = 150;
const RUNS: usize = 40;
/// In so many everything befalls.
const ENOUGH: usize = 200;
/// Turns that share a backend and its seed.
const TOGETHER: usize = 20;
/// Backends at once.
const BACKENDS: usize = 5;

fn weather(seed: u64) -> FaultPlan {
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
    let (publish_latency, outage) = (Duration::from_millis(20), Duration::from_secs(5));
    FaultPlan { seed, publish_latency, outage, rates: rates.into(), ..FaultPlan::default() }
}

async fn run(seed: u64, turns: usize) -> BTreeMap<Fault, u64> {
    let stage = Stage::set(weather(seed), OUTLIVING_LEASES).await;
    let scenes = join_all((0..turns).map(|number| stage.scene(MODEL, number))).await;
    let seen = join_all(scenes.iter().enumerate().map(|(number, scene)| live(&stage, scene, number))).await;
    stage.server.lambda.wait_for_events().await;
    check_list(&stage.list().await, &scenes);
    for (scene, seen) in scenes.iter().zip(seen) {
        println!("seed {seed}, {}: {:?}", scene.id, seen.status);
        stage.check(scene, &deltas(DELTAS), &[seen]).await;
    }
    let befallen = stage.server.faults.injected_counts();
    stage.server.stop().await;
    befallen
}

/// Somebody looks at the list, reads along, and in one turn of five cancels it, each later than the one before.
async fn live(stage: &Stage, scene: &Scene, number: usize) -> Seen {
    stage.list().await;
    let reader = stage.read(scene).await;
    let saying = stage.say(scene).shared();
    let acting = async {
        saying.clone().await;
        if number % 5 == 4 {
            sleep(Duration::from_millis(100) * number as u32).await;
            stage.cancel(scene).await;
        }
    };
    tokio::join!(reader.until_end(saying.clone()), acting).0
}

/// A list may be old: it may lack the newest conversations and never shows one twice, or one that never was.
fn check_list(listed: &[String], scenes: &[Scene]) {
    let known: BTreeSet<&String> = scenes.iter().map(|scene| &scene.id).collect();
    let shown: BTreeSet<&String> = listed.iter().collect();
    assert!(shown.len() == listed.len() && shown.is_subset(&known), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invariant_holds_in_any_weather() {
    let runs = std::env::var("FIRE_RUNS").map_or(RUNS, |runs| runs.parse().expect("FIRE_RUNS is a number"));
    let seeds = (0..runs.div_ceil(TOGETHER)).map(|seed| run(seed as u64, TOGETHER.min(runs - seed * TOGETHER)));
    let befallen: Vec<BTreeMap<Fault, u64>> = stream::iter(seeds).buffer_unordered(BACKENDS).collect().await;
    println!("{runs} runs");
    for fault in Fault::ALL {
        let times: u64 = befallen.iter().filter_map(|befallen| befallen.get(&fault)).sum();
        println!("{fault:20}{times:>6}");
        assert!(times > 0 || runs < ENOUGH, "{fault} never befell");
    }
}
