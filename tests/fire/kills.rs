//! A process killed before, during and after each call it makes for a turn.
use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use local::unkind::{Call, Phase, Point, Unkindness};

use crate::stage::{OUTLIVING_LEASES, Stage, deltas};

const MODEL: &str = "parlance.deltas-80-20";
/// So that those who wait do not make each other's publishes fewer.
const APART: Duration = Duration::from_millis(120);

/// The calls of one turn that nothing disturbs, in their order.
async fn recorded() -> Vec<Call> {
    let stage = Stage::set(Unkindness { is_recording: true, ..Unkindness::default() }, 1.0).await;
    let scene = stage.scene(MODEL, 0).await;
    let seen = stage.play(&scene).await;
    stage.laptop.lambda.settled().await;
    stage.check(&scene, &deltas(80), &[seen]).await;
    let calls = stage.laptop.witness.recorded().remove(&1).unwrap();
    stage.laptop.stop().await;
    calls
}

/// The last come last: a process that is quicker than the recorded one and outlives its point is not used again.
fn points(calls: &[Call]) -> Vec<Point> {
    let mut counts = BTreeMap::new();
    let numbered = calls.iter().map(|call| {
        let count = counts.entry(*call).or_insert(0);
        *count += 1;
        (*call, *count)
    });
    numbered.flat_map(|(call, number)| Phase::ALL.map(|phase| Point { call, number, phase })).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_point_of_its_turn_leaves_one_whole_answer() {
    let points = points(&recorded().await);
    assert!(points.len() >= 40, "{points:?}");
    let kills = (1..).zip(points.clone()).collect();
    let stage = Stage::set(Unkindness { kills, ..Unkindness::default() }, OUTLIVING_LEASES).await;
    let scenes = join_all((0..points.len()).map(|number| stage.scene(MODEL, number))).await;
    let plays = scenes.iter().zip(0..).map(|(scene, before)| (scene, before, &stage)).map(
        |(scene, before, stage)| async move {
            tokio::time::sleep(APART * before).await;
            stage.play(scene).await
        },
    );
    let seen = join_all(plays).await;
    stage.laptop.lambda.settled().await;
    for (scene, seen) in scenes.iter().zip(seen) {
        stage.check(scene, &deltas(80), &[seen]).await;
    }
    let deaths = stage.laptop.witness.deaths();
    println!("killed at {} of {} points", deaths.len(), points.len());
    assert!(deaths.len() >= 40, "only {deaths:?}");
    stage.laptop.stop().await;
}
