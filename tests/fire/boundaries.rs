//! Readers of one long answer: at each of its updates, the last one included, somebody is cut off and somebody else
//! misses it.
use futures::{FutureExt, future::join_all};
use local::fault_injection::{Fault, FaultPlan, UpdatePosition};

use crate::stage::{Stage, deltas};

/// So slow that each delta is an update of its own.
const MODEL: &str = "parlance.deltas-110-400";
const DELTAS: usize = 110;
const UPDATES: u64 = 100;

/// A reader for each boundary, in the order of subscribing: the fault befalls each at its own.
async fn read_along(fault: Fault) {
    let boundaries: Vec<UpdatePosition> =
        (1..=UPDATES).map(UpdatePosition::Nth).chain([UpdatePosition::Last]).collect();
    let each = (1..).zip(&boundaries).map(|(reader, boundary)| (fault, reader, *boundary));
    let stage = Stage::set(FaultPlan { on_updates: each.collect(), ..FaultPlan::default() }, 1.0).await;
    let scene = stage.scene(MODEL, 0).await;
    let mut readers = Vec::new();
    for _ in &boundaries {
        readers.push(stage.read(&scene).await);
    }
    let saying = stage.say(&scene).shared();
    let reading = join_all(readers.into_iter().map(|reader| reader.until_end(saying.clone())));
    let (seen, ()) = tokio::join!(reading, saying);
    stage.server.lambda.wait_for_events().await;
    stage.check(&scene, &deltas(DELTAS), &seen).await;
    // None can befall twice: so each has befallen.
    assert_eq!(stage.server.faults.injected_counts(), [(fault, boundaries.len() as u64)].into());
    println!("{fault}: at each of {UPDATES} updates and at the last");
    stage.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_cut_off_at_any_update_end_with_the_stored_text() {
    read_along(Fault::SubscriberCut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_miss_any_update_end_with_the_stored_text() {
    read_along(Fault::UpdateLost).await;
}
