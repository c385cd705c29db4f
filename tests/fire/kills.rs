//! A process killed before, during and after each call it makes for a turn.
use std::{collections::BTreeMap, time::Duration};

use futures::future::{join_all, ready};
use local::fault_injection::{Call, CallPhase, FaultPlan, KillPoint};
use tokio::time::sleep;

use crate::stage::{OUTLIVING_LEASES, Stage, deltas};

/// So slow that each delta is an update of its own: every turn makes the same calls.
const MODEL: &str = "parlance.deltas-14-400";
const DELTAS: usize = 14;
/// At least so many points a turn must have.
const ENOUGH: usize = 40;
/// So that those who wait do not make each other's publishes fewer.
const APART: Duration = Duration::from_millis(250);
/// A busy machine may make a call fewer: a point that was not reached is tried again.
const ROUNDS: usize = 3;

/// The calls of one turn that nothing disturbs, in their order.
async fn recorded() -> Vec<Call> {
    let stage = Stage::set(FaultPlan { record_calls: true, ..FaultPlan::default() }, 1.0).await;
    let scene = stage.scene(MODEL, 0).await;
    let seen = stage.play(&scene).await;
    stage.server.lambda.wait_for_events().await;
    stage.check(&scene, &deltas(DELTAS), &[seen]).await;
    let calls = stage.server.call_recorder.calls().remove(&1).unwrap();
    stage.server.stop().await;
    calls
}

/// Before, during and after each call.
fn points(calls: &[Call]) -> Vec<KillPoint> {
    let mut counts = BTreeMap::new();
    let numbered = calls.iter().map(|call| {
        let count = counts.entry(*call).or_insert(0);
        *count += 1;
        (*call, *count)
    });
    numbered.flat_map(|(call, number)| CallPhase::ALL.map(|phase| KillPoint { call, number, phase })).collect()
}

/// A turn for each point, whose first process is killed there; tells where processes were killed.
async fn killed_at(points: &[KillPoint]) -> Vec<KillPoint> {
    let kills = (1..).zip(points.iter().copied()).collect();
    let stage = Stage::set(FaultPlan { kills, ..FaultPlan::default() }, OUTLIVING_LEASES).await;
    let scenes = join_all((0..points.len()).map(|number| stage.scene(MODEL, number))).await;
    let mut readings = Vec::new();
    for (process, scene) in (1..).zip(&scenes) {
        let reader = stage.read(scene).await;
        stage.say(scene).await;
        readings.push(tokio::spawn(reader.until_end(ready(()))));
        has_begun(&stage, process).await;
        sleep(APART).await;
    }
    let seen = join_all(readings).await;
    stage.server.lambda.wait_for_events().await;
    for (scene, seen) in scenes.iter().zip(seen) {
        stage.check(scene, &deltas(DELTAS), &[seen.unwrap()]).await;
    }
    let deaths = stage.server.call_recorder.kills();
    stage.server.stop().await;
    deaths.into_values().collect()
}

/// Processes are numbered as they start: the next turn's is the next.
async fn has_begun(stage: &Stage, process: u64) {
    while !stage.server.call_recorder.calls().contains_key(&process) {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_point_of_its_turn_leaves_one_whole_answer() {
    let points = points(&recorded().await);
    assert!(points.len() >= ENOUGH, "{points:?}");
    let mut left = points.clone();
    for _ in 0..ROUNDS {
        let killed = killed_at(&left).await;
        left.retain(|point| !killed.contains(point));
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "nobody was killed at {left:?}");
    let named: Vec<String> = points.iter().map(KillPoint::to_string).collect();
    println!("killed at {} points: {}", points.len(), named.join(", "));
}
