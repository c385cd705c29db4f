//! A fault at every update of a long answer, the last one included: each reader loses another update, or its
//! connection at another update.
use futures::{FutureExt, future::join_all};
use local::fault_injection::{Fault, FaultPlan, UpdatePosition};

use crate::fixture::{Fixture, deltas, reserve_machine};

/// Slower than the longest pacing interval, so that each delta is an update of its own.
const MODEL: &str = "parlance.deltas-32-400";
const DELTAS: usize = 32;
/// The number of updates at which the fault is injected, beside the last one. On a busy machine an answer may
/// have fewer updates than deltas.
const UPDATES: u64 = 20;

/// Lets one reader follow for each position, and injects the fault at this reader's position.
async fn inject_at_every_update(fault: Fault) {
    let _shares = reserve_machine(3).await;
    let positions: Vec<UpdatePosition> = (1..=UPDATES).map(UpdatePosition::Nth).chain([UpdatePosition::Last]).collect();
    let on_updates = (1..).zip(&positions).map(|(reader, position)| (fault, reader, *position));
    let fault_plan = FaultPlan { on_updates: on_updates.collect(), ..FaultPlan::default() };
    let fixture = Fixture::start(fault_plan, 1.0).await;
    let turn = &fixture.create_turns(MODEL, 1).await[0];
    let mut readers = Vec::new();
    for _ in &positions {
        readers.push(fixture.follow(turn).await);
    }
    let send = fixture.send(turn).shared();
    let read = join_all(readers.into_iter().map(|reader| reader.read_to_end(send.clone())));
    let (displayed, ()) = tokio::join!(read, send);
    fixture.server.lambda.wait_for_events().await;
    fixture.check(turn, &deltas(DELTAS), &displayed).await;
    // A planned fault is injected at most once, so each of them was.
    assert_eq!(fixture.server.faults.injected_counts(), [(fault, positions.len() as u64)].into());
    println!("{fault}: injected at each of {UPDATES} updates and at the last one");
    fixture.server.stop().await;
}

/// The two scenarios wait at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn reader_cut_off_at_or_missing_any_update_ends_with_stored_text() {
    tokio::join!(inject_at_every_update(Fault::SubscriberCut), inject_at_every_update(Fault::UpdateLost));
}
