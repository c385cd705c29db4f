//! A reader whose connection is cut, or who misses an update, at each update of a long answer, the last one included.
use futures::future::join_all;
use local::unkind::{Mishap, Unkindness};

use crate::stage::{Stage, deltas};

const MODEL: &str = "parlance.deltas-2000-12";
const UPDATES: u64 = 100;

/// One reader for each update, in the order of subscribing; then one for the last update.
async fn read_along(mishap: Mishap) {
    let each = (1..=UPDATES).map(|number| (mishap, number, number));
    let plan = Unkindness { subscribers: each.collect(), ..Unkindness::default() };
    let stage = Stage::set(plan, 1.0).await;
    let scene = stage.scene(MODEL, 0).await;
    let mut readers = Vec::new();
    for _ in 1..=UPDATES {
        readers.push(stage.read(&scene).await);
    }
    let reading = join_all(readers.into_iter().map(|reader| reader.until_end()));
    let (seen, ()) = tokio::join!(reading, stage.say(&scene));
    stage.laptop.lambda.settled().await;
    stage.check(&scene, &deltas(2000), &seen).await;
    println!("{:?}", stage.laptop.fates.befallen());
    stage.laptop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cut_at_any_update_ends_with_the_stored_text() {
    read_along(Mishap::SubscriberCut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_misses_any_update_ends_with_the_stored_text() {
    read_along(Mishap::UpdateLost).await;
}
