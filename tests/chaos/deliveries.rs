//! Events that Lambda delivers more than once.
use futures::future::join_all;
use local::fault_injection::{Fault, FaultPlan};

use crate::fixture::{Fixture, Turn, deltas, reserve_machine};

/// A minute takes 1.2 seconds, so that repeated deliveries arrive during the first one and after it.
const TIME_SCALE: f64 = 0.02;
const TURNS_PER_FAULT: usize = 8;
const FAULTS: [Fault; 3] = [Fault::EventTwice, Fault::EventThrice, Fault::EventAgain];
const SHORT_MODEL: (&str, usize) = ("parlance.deltas-20-10", 20);
const LONG_MODEL: (&str, usize) = ("parlance.deltas-200-15", 200);

#[tokio::test(flavor = "multi_thread")]
async fn event_delivered_several_times_is_answered_once() {
    let _shares = reserve_machine(1).await;
    let turn_count = TURNS_PER_FAULT * FAULTS.len();
    let on_hits = (0..turn_count).map(|turn| (FAULTS[turn / TURNS_PER_FAULT], turn as u64 + 1));
    let fault_plan = FaultPlan { on_hits: on_hits.collect(), ..FaultPlan::default() };
    let fixture = Fixture::start(fault_plan, TIME_SCALE).await;
    let short_turns = fixture.create_turns(SHORT_MODEL.0, turn_count / 2).await;
    let long_turns = fixture.create_turns(LONG_MODEL.0, turn_count / 2).await;
    // Each fault is injected into turns of both models.
    let turns: Vec<(Turn, usize)> = short_turns
        .into_iter()
        .zip(long_turns)
        .flat_map(|(short_turn, long_turn)| [(short_turn, SHORT_MODEL.1), (long_turn, LONG_MODEL.1)])
        .collect();
    let displayed = join_all(turns.iter().map(|(turn, _)| fixture.send_and_read(turn))).await;
    fixture.server.lambda.wait_for_events().await;
    for ((turn, delta_count), displayed) in turns.iter().zip(displayed) {
        fixture.check(turn, &deltas(*delta_count), &[displayed]).await;
    }
    assert_eq!(fixture.server.faults.injected_counts().values().sum::<u64>(), turn_count as u64);
    fixture.server.stop().await;
}
