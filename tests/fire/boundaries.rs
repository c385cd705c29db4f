//! A reader whose connection is cut, or who misses an update, at each update of a long answer, the last one included.
use futures::future::join_all;
use local::unkind::{Mishap, Unkindness};

use crate::stage::{Stage, deltas};

/// Slow enough that each delta is an update of its own.
const MODEL: &str = "parlance.deltas-102-400";
const DELTAS: usize = 102;
const UPDATES: u64 = 100;

/// So many readers, the nth of whom is met at its nth update, and again each time that all have been met.
async fn read_along(mishap: Mishap, readers: u64) {
    let each = (1..=UPDATES).map(|update| (mishap, (update - 1) % readers + 1, update));
    let stage = Stage::set(Unkindness { subscribers: each.collect(), ..Unkindness::default() }, 1.0).await;
    let scene = stage.scene(MODEL, 0).await;
    let mut reading = Vec::new();
    for _ in 0..readers {
        reading.push(stage.read(&scene).await);
    }
    let reading = join_all(reading.into_iter().map(|reader| reader.until_end()));
    let (seen, ()) = tokio::join!(reading, stage.say(&scene));
    stage.laptop.lambda.settled().await;
    stage.check(&scene, &deltas(DELTAS), &seen).await;
    let befallen = stage.laptop.fates.befallen();
    println!("{befallen:?}");
    assert_eq!(befallen.get(&mishap), Some(&UPDATES));
    stage.laptop.stop().await;
}

/// A connection is another subscriber once it is cut, so each reader is cut once.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cut_at_any_update_ends_with_the_stored_text() {
    read_along(Mishap::SubscriberCut, UPDATES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_misses_any_update_ends_with_the_stored_text() {
    read_along(Mishap::UpdateLost, UPDATES / 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_miss_the_last_update_end_with_the_stored_text() {
    let plan = Unkindness { rates: [(Mishap::LastUpdateLost, 1.0)].into(), ..Unkindness::default() };
    let stage = Stage::set(plan, 1.0).await;
    let scene = stage.scene("parlance.deltas-40-10", 0).await;
    let seen = stage.play(&scene).await;
    stage.check(&scene, &deltas(40), &[seen]).await;
    stage.laptop.stop().await;
}
