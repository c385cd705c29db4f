//! A reader whose connection is cut, or who misses an update, at each update of a long answer, the last one included.
use futures::future::join_all;
use local::unkind::{Mishap, Unkindness};

use crate::stage::{Stage, deltas};

/// Slow enough that nearly each delta is an update of its own, on a busy machine too.
const MODEL: &str = "parlance.deltas-130-400";
const DELTAS: usize = 130;
const UPDATES: u64 = 100;

const READERS: u64 = 5;

/// Several readers of one long answer; tells how often the mishap befell them.
async fn read_along(plan: Unkindness, mishap: Mishap) -> u64 {
    let stage = Stage::set(plan, 1.0).await;
    let scene = stage.scene(MODEL, 0).await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(stage.read(&scene).await);
    }
    let reading = join_all(readers.into_iter().map(|reader| reader.until_end()));
    let (seen, ()) = tokio::join!(reading, stage.say(&scene));
    stage.laptop.lambda.settled().await;
    stage.check(&scene, &deltas(DELTAS), &seen).await;
    let times = stage.laptop.fates.befallen().get(&mishap).copied().unwrap_or_default();
    println!("{mishap}: {times} times");
    stage.laptop.stop().await;
    times
}

/// A connection that was cut comes back as another subscriber, so cuts are counted over all of them: one in four.
#[tokio::test(flavor = "multi_thread")]
async fn readers_who_are_cut_again_and_again_end_with_the_stored_text() {
    let exactly = (1..=UPDATES * READERS).step_by(4).map(|occasion| (Mishap::SubscriberCut, occasion));
    let plan = Unkindness { exactly: exactly.collect(), ..Unkindness::default() };
    assert!(read_along(plan, Mishap::SubscriberCut).await >= UPDATES / 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_misses_any_update_ends_with_the_stored_text() {
    let each = (1..=UPDATES).map(|update| (Mishap::UpdateLost, update % READERS + 1, update));
    let plan = Unkindness { subscribers: each.collect(), ..Unkindness::default() };
    assert_eq!(read_along(plan, Mishap::UpdateLost).await, UPDATES);
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
