//! An order that comes more than once.
use futures::future::join_all;
use local::fault_injection::{Fault, FaultPlan};

use crate::stage::{Stage, deltas};

/// A minute of Lambda's takes 1.2 seconds: what comes again comes while the first delivery is still at work, and after.
const HURRIED: f64 = 0.02;
const EACH: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_delivered_twice_three_times_and_again_later_is_answered_once() {
    let kinds = [Fault::EventTwice, Fault::EventThrice, Fault::EventAgain];
    let turns = EACH * kinds.len() as u64;
    let on_hits = kinds.into_iter().zip(0..).flat_map(|(kind, group)| {
        let occasions = group * EACH + 1..=(group + 1) * EACH;
        occasions.map(move |occasion| (kind, occasion))
    });
    let stage = Stage::set(FaultPlan { on_hits: on_hits.collect(), ..FaultPlan::default() }, HURRIED).await;
    let models = ["parlance.deltas-20-10", "parlance.deltas-200-15"];
    let scenes = (0..turns as usize).map(|number| (number, models[number % 2]));
    let scenes = join_all(scenes.map(|(number, model)| stage.scene(model, number))).await;
    let seen = join_all(scenes.iter().map(|scene| stage.play(scene))).await;
    stage.server.lambda.wait_for_events().await;
    for ((scene, seen), count) in scenes.iter().zip(seen).zip([20, 200].into_iter().cycle()) {
        stage.check(scene, &deltas(count), &[seen]).await;
    }
    assert_eq!(stage.server.faults.injected_counts().values().sum::<u64>(), turns);
    stage.server.stop().await;
}
