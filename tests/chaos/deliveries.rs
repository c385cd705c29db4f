//! Events that Lambda delivers more than once.
use futures::future::join_all;
use local::fault_injection::{Fault, FaultPlan};

use crate::fixture::{Fixture, deltas};

/// A minute takes 1.2 seconds, so that repeated deliveries arrive during the first one and after it.
const TIME_SCALE: f64 = 0.02;
const TURNS_PER_FAULT: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn event_delivered_several_times_is_answered_once() {
    let faults = [Fault::EventTwice, Fault::EventThrice, Fault::EventAgain];
    let turn_count = TURNS_PER_FAULT * faults.len() as u64;
    let on_hits = (1..=turn_count).map(|hit| (faults[((hit - 1) / TURNS_PER_FAULT) as usize], hit));
    let fault_plan = FaultPlan { on_hits: on_hits.collect(), ..FaultPlan::default() };
    let fixture = Fixture::start(fault_plan, TIME_SCALE).await;
    let models = [("parlance.deltas-20-10", 20), ("parlance.deltas-200-15", 200)];
    let turns = (0..turn_count as usize).map(async |number| {
        let (model, delta_count) = models[number % models.len()];
        (fixture.create_turn(model, number).await, delta_count)
    });
    let turns = join_all(turns).await;
    let displayed = join_all(turns.iter().map(|(turn, _)| fixture.send_and_read(turn))).await;
    fixture.server.lambda.wait_for_events().await;
    for ((turn, delta_count), displayed) in turns.iter().zip(displayed) {
        fixture.check(turn, &deltas(*delta_count), &[displayed]).await;
    }
    assert_eq!(fixture.server.faults.injected_counts().values().sum::<u64>(), turn_count);
    fixture.server.stop().await;
}
