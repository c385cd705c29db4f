//! A process killed before, during and after each call it makes for a turn.
use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use local::unkind::{Call, Phase, Point, Unkindness};

use crate::stage::{OUTLIVING_LEASES, Stage, deltas};

/// Long enough that a busy machine, too, sees the first calls of the recorded turn again.
const LONG: (&str, usize) = ("parlance.deltas-300-20", 300);
const FIRST_CALLS: usize = 12;
/// Over so soon that it always makes the same calls, the closing one included.
const SHORT: (&str, usize) = ("parlance.deltas-1-0", 1);
/// So that those who wait do not make each other's publishes fewer.
const APART: Duration = Duration::from_millis(120);

/// The calls of one turn that nothing disturbs, in their order.
async fn recorded((model, count): (&str, usize)) -> Vec<Call> {
    let stage = Stage::set(Unkindness { is_recording: true, ..Unkindness::default() }, 1.0).await;
    let scene = stage.scene(model, 0).await;
    let seen = stage.play(&scene).await;
    stage.laptop.lambda.settled().await;
    stage.check(&scene, &deltas(count), &[seen]).await;
    let calls = stage.laptop.witness.recorded().remove(&1).unwrap();
    stage.laptop.stop().await;
    calls
}

/// Before, during and after each call.
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
    let long = recorded(LONG).await.into_iter().take(FIRST_CALLS).collect::<Vec<_>>();
    let (long, short) = (points(&long), points(&recorded(SHORT).await));
    let models = long.iter().map(|_| LONG).chain(short.iter().map(|_| SHORT)).collect::<Vec<_>>();
    let kills = (1..).zip([long, short].concat()).collect();
    let stage = Stage::set(Unkindness { kills, ..Unkindness::default() }, OUTLIVING_LEASES).await;
    let scenes = models.iter().enumerate().map(|(number, (model, _))| stage.scene(model, number));
    let scenes = join_all(scenes).await;
    let plays = scenes.iter().zip(0..).map(|(scene, before)| {
        let play = stage.play(scene);
        async move {
            tokio::time::sleep(APART * before).await;
            play.await
        }
    });
    let seen = join_all(plays).await;
    stage.laptop.lambda.settled().await;
    for ((scene, seen), (_, count)) in scenes.iter().zip(seen).zip(&models) {
        stage.check(scene, &deltas(*count), &[seen]).await;
    }
    let deaths = stage.laptop.witness.deaths();
    println!("killed at {} of {} points", deaths.len(), models.len());
    assert!(deaths.len() >= 40, "only {deaths:?}");
    stage.laptop.stop().await;
}
