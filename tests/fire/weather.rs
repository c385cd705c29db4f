//! Everything at once, by seed.
use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, future::join_all, stream};
use local::unkind::{Mishap, Unkindness};

use crate::stage::{OUTLIVING_LEASES, Stage, deltas};

const RUNS: usize = 200;
/// Turns that share a backend and its seed.
const TOGETHER: usize = 20;
/// Backends at once.
const BACKENDS: usize = 5;

fn weather(seed: u64) -> Unkindness {
    let rates = [
        (Mishap::TableConflict, 0.02),
        (Mishap::TableThrottled, 0.01),
        (Mishap::TableAnswerLost, 0.02),
        (Mishap::StaleRead, 0.2),
        (Mishap::PublishRefused, 0.03),
        (Mishap::PublishUnconfirmed, 0.03),
        (Mishap::PublishTwice, 0.03),
        (Mishap::PublishOutage, 0.001),
        (Mishap::UpdateLost, 0.03),
        (Mishap::LastUpdateLost, 0.2),
        (Mishap::SubscriberCut, 0.01),
        (Mishap::EventTwice, 0.1),
        (Mishap::EventThrice, 0.05),
        (Mishap::EventAgain, 0.1),
        (Mishap::ProcessKilled, 0.1),
    ];
    let (publish_latency, outage) = (Duration::from_millis(20), Duration::from_secs(5));
    Unkindness { seed, publish_latency, outage, rates: rates.into(), ..Unkindness::default() }
}

async fn run(seed: u64, turns: usize) -> BTreeMap<Mishap, u64> {
    let stage = Stage::set(weather(seed), OUTLIVING_LEASES).await;
    let scenes = join_all((0..turns).map(|number| stage.scene("parlance.deltas-80-15", number))).await;
    let seen = join_all(scenes.iter().map(|scene| stage.play(scene))).await;
    stage.laptop.lambda.settled().await;
    for (scene, seen) in scenes.iter().zip(seen) {
        println!("seed {seed}, {}: {:?}", scene.id, seen.status);
        stage.check(scene, &deltas(80), &[seen]).await;
    }
    let befallen = stage.laptop.fates.befallen();
    stage.laptop.stop().await;
    befallen
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invariant_holds_in_any_weather() {
    let runs = std::env::var("FIRE_RUNS").map_or(RUNS, |runs| runs.parse().expect("FIRE_RUNS is a number"));
    let seeds = (0..runs.div_ceil(TOGETHER)).map(|seed| run(seed as u64, TOGETHER.min(runs - seed * TOGETHER)));
    let befallen: Vec<BTreeMap<Mishap, u64>> = stream::iter(seeds).buffer_unordered(BACKENDS).collect().await;
    println!("{runs} runs");
    for mishap in Mishap::ALL {
        let times: u64 = befallen.iter().filter_map(|befallen| befallen.get(&mishap)).sum();
        println!("{mishap:20}{times:>6}");
        assert!(times > 0 || runs < RUNS, "{mishap} never befell");
    }
}
