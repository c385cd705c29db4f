//! Kills of the function's process at random points.
use std::{collections::BTreeSet, time::Duration};

use crate::{
    CALLS, TIME,
    function::{run_to_end, start},
    schema::{drop_everything, is_complete, present_objects},
    services::{Faults, Services},
    status,
};

const KILLS: usize = 100;

#[tokio::test]
async fn killed_process_leaves_all_or_nothing_and_its_repetition_answers() {
    let (services, mut responses) = Services::start().await;
    let (mut absent, mut complete, mut calls_seen) = (0, 0, BTreeSet::new());
    for kill in 0..KILLS {
        services.take_answers();
        drop_everything(&services).await;
        services.set_invocation(services.request("Create"), TIME, Faults::default());
        let mut function = start(&services);
        // A random call, and a random moment after it. The last moments are those of the answer.
        let call = fastrand::usize(0..=CALLS);
        while services.calls() < call {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..4_000))).await;
        function.kill().await;
        services.runtime().clear_invocation();
        calls_seen.insert(services.calls());
        // The database ends what runs before the state is read.
        services.expire_transactions();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let objects = present_objects(&services).await;
        match objects.as_slice() {
            [] => absent += 1,
            objects if is_complete(objects) => complete += 1,
            objects => panic!("kill {kill} leaves {objects:?}"),
        }
        let is_answered = !services.take_answers().is_empty();
        let is_responded = responses.try_recv().is_ok();
        assert!(!is_answered || is_complete(&objects), "an answer comes after the commit");
        assert!(!is_responded || is_answered, "the invocation ends after the answer");
        // Lambda repeats an invocation that has not ended.
        services.set_invocation(services.request("Create"), TIME, Faults::default());
        run_to_end(&services, &mut responses).await.expect("the repetition succeeds");
        assert_eq!(status(&services.take_answers()), "SUCCESS");
        assert!(is_complete(&present_objects(&services).await));
    }
    println!(
        "{KILLS} kills: {absent} left nothing, {complete} all; killed after these numbers of calls: {calls_seen:?}"
    );
    assert!(absent > 0 && complete > 0 && calls_seen.len() > 7, "the kills hit different points");
}
