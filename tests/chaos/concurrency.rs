//! A hundred turns at once, some of whose processes are killed.
use std::{collections::BTreeMap, pin::pin, time::Duration};

use futures::future::join_all;
use local::fault_injection::{
    Call::{ConverseStream, Publish, UpdateItem},
    CallPhase::{After, Before, During},
    FaultPlan, KillPoint,
};
use tokio::{select, time::sleep};

use crate::fixture::{Fixture, MAX_CONCURRENCY, RETRY_AFTER_LEASE, deltas, reserve_machine};

/// So slow that every turn publishes often enough to be killed at its third publish.
const MODEL: &str = "parlance.deltas-10-600";
const DELTAS: usize = 10;

/// One process in twenty, each at another point.
fn kills() -> BTreeMap<u64, KillPoint> {
    let points = [
        (UpdateItem, 1, After),
        (ConverseStream, 1, During),
        (Publish, 1, Before),
        (Publish, 2, During),
        (Publish, 3, After),
    ];
    let points = points.map(|(call, number, phase)| KillPoint { call, number, phase });
    (1..=MAX_CONCURRENCY as u64).step_by(MAX_CONCURRENCY / points.len()).zip(points).collect()
}

/// Returns once a process for each turn has made its first call.
async fn wait_for_processes(fixture: &Fixture) {
    while fixture.server.call_recorder.calls().len() < MAX_CONCURRENCY {
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_concurrent_turns_are_answered_despite_killed_processes() {
    let shares = reserve_machine(6).await;
    let kills = kills();
    let fault_plan = FaultPlan { kills: kills.clone(), ..FaultPlan::default() };
    let fixture = Fixture::start(fault_plan, RETRY_AFTER_LEASE).await;
    let turns = fixture.create_turns(MODEL, MAX_CONCURRENCY).await;
    let displayed = {
        let mut answers = pin!(join_all(turns.iter().map(|turn| fixture.send_and_read(turn))));
        select! {
            displayed = &mut answers => displayed,
            () = wait_for_processes(&fixture) => {
                // From here on the scenario mostly waits for Lambda's retries.
                drop(shares);
                answers.await
            }
        }
    };
    fixture.server.lambda.wait_for_events().await;
    for (turn, displayed) in turns.iter().zip(displayed) {
        fixture.check(turn, &deltas(DELTAS), &[displayed]).await;
    }
    let recorder = &fixture.server.call_recorder;
    let (killed, processes) = (recorder.kills(), recorder.calls().len());
    println!("{} of {processes} processes killed", killed.len());
    assert_eq!(killed, kills);
    assert!(processes >= MAX_CONCURRENCY, "only {processes} processes ran");
    fixture.server.stop().await;
}
