//! Many turns at once, and processes that die under them.
use futures::future::join_all;
use local::unkind::{Mishap, Unkindness};

use crate::stage::{OUTLIVING_LEASES, Stage, deltas};

const TURNS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_turns_at_once_are_answered_though_one_process_in_twenty_is_killed() {
    let plan = Unkindness { seed: 3, rates: [(Mishap::ProcessKilled, 0.05)].into(), ..Unkindness::default() };
    let stage = Stage::set(plan, OUTLIVING_LEASES).await;
    let scenes = join_all((0..TURNS).map(|number| stage.scene("parlance.deltas-100-15", number))).await;
    let seen = join_all(scenes.iter().map(|scene| stage.play(scene))).await;
    stage.laptop.lambda.settled().await;
    for (scene, seen) in scenes.iter().zip(seen) {
        stage.check(scene, &deltas(100), &[seen]).await;
    }
    let (deaths, processes) = (stage.laptop.witness.deaths(), stage.laptop.witness.recorded().len());
    println!("{} of {processes} processes killed: {deaths:?}", deaths.len());
    assert!(!deaths.is_empty());
    stage.laptop.stop().await;
}
