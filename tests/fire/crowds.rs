//! Many turns at once, and processes that die under them.
use std::collections::BTreeMap;

use futures::future::join_all;
use local::fault_injection::{
    Call::{ConverseStream, Publish, UpdateItem},
    CallPhase::{After, Before, During},
    FaultPlan, KillPoint,
};

use crate::stage::{AT_ONCE, OUTLIVING_LEASES, Stage, deltas};

const MODEL: &str = "parlance.deltas-300-30";
const DELTAS: usize = 300;

/// One process of twenty, each at another point.
fn kills() -> BTreeMap<u64, KillPoint> {
    let points = [
        (UpdateItem, 1, After),
        (ConverseStream, 1, During),
        (Publish, 1, Before),
        (Publish, 2, During),
        (Publish, 3, After),
    ];
    let points = points.map(|(call, number, phase)| KillPoint { call, number, phase });
    (1..=AT_ONCE as u64).step_by(AT_ONCE / points.len()).zip(points).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_turns_at_once_are_answered_though_one_process_in_twenty_is_killed() {
    let kills = kills();
    let stage = Stage::set(FaultPlan { kills: kills.clone(), ..FaultPlan::default() }, OUTLIVING_LEASES).await;
    let scenes = join_all((0..AT_ONCE).map(|number| stage.scene(MODEL, number))).await;
    let seen = join_all(scenes.iter().map(|scene| stage.play(scene))).await;
    stage.server.lambda.wait_for_events().await;
    for (scene, seen) in scenes.iter().zip(seen) {
        stage.check(scene, &deltas(DELTAS), &[seen]).await;
    }
    let (deaths, processes) = (stage.server.call_recorder.kills(), stage.server.call_recorder.calls().len());
    println!("{} of {processes} processes killed", deaths.len());
    assert_eq!(deaths, kills);
    assert!(processes >= AT_ONCE, "only {processes} worked at once");
    stage.server.stop().await;
}
