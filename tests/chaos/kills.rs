//! A process killed before, during and after each call that it makes for a turn.
use std::{
    collections::{BTreeMap, BTreeSet},
    iter::repeat_n,
    time::Duration,
};

use futures::future::{join_all, ready};
use local::fault_injection::{
    Call::{self, ConverseStream, Publish, UpdateItem},
    CallPhase, FaultPlan, KillPoint,
};
use tokio::time::{sleep, timeout};

use crate::fixture::{Fixture, RETRY_AFTER_LEASE, deltas, reserve_machine};

/// So slow that each delta is an update of its own, also while many processes publish.
const MODEL: &str = "parlance.deltas-6-600";
const DELTAS: usize = 6;
/// On a busy machine a turn may make fewer publishes, and a process may answer two turns. A point that no
/// process has reached is tried again.
const MAX_ROUNDS: usize = 3;
/// The next turn is sent after this time even if no new process has made a call: a process that has answered
/// a turn may answer another.
const MAX_START_TIME: Duration = Duration::from_secs(5);

/// The calls of an undisturbed turn: the claim, the model, and a publish for the start, each delta, the end
/// and the title.
fn expected_calls() -> Vec<Call> {
    [UpdateItem, ConverseStream].into_iter().chain(repeat_n(Publish, DELTAS + 3)).collect()
}

/// Each call, numbered among the calls of its kind.
fn numbered(calls: &[Call]) -> Vec<(Call, u64)> {
    let mut counts = BTreeMap::new();
    let mut number = |call: Call| {
        let count = counts.entry(call).or_insert(0);
        *count += 1;
        (call, *count)
    };
    calls.iter().map(|call| number(*call)).collect()
}

/// A point before, during and after each expected call.
fn kill_points() -> Vec<KillPoint> {
    let points_of = |(call, number)| CallPhase::ALL.map(|phase| KillPoint { call, number, phase });
    numbered(&expected_calls()).into_iter().flat_map(points_of).collect()
}

/// Plays a turn for each point, at which its first process is killed. Returns where processes were killed.
async fn play_turns(points: &[KillPoint]) -> BTreeSet<KillPoint> {
    let kills = (1..).zip(points.iter().copied()).collect();
    let fixture = Fixture::start(FaultPlan { kills, ..FaultPlan::default() }, RETRY_AFTER_LEASE).await;
    let turns = fixture.create_turns(MODEL, points.len()).await;
    let readers = join_all(turns.iter().map(|turn| fixture.follow(turn))).await;
    let mut readings = Vec::new();
    for ((process, turn), reader) in (1..).zip(&turns).zip(readers) {
        fixture.send(turn).await;
        readings.push(tokio::spawn(reader.read_to_end(ready(()))));
        timeout(MAX_START_TIME, wait_for_first_call(&fixture, process)).await.ok();
    }
    let displayed = join_all(readings).await;
    fixture.server.lambda.wait_for_events().await;
    for (turn, displayed) in turns.iter().zip(displayed) {
        fixture.check(turn, &deltas(DELTAS), &[displayed.unwrap()]).await;
    }
    let killed = fixture.server.call_recorder.kills();
    fixture.server.stop().await;
    killed.into_values().collect()
}

/// Processes start one after the other: many at once would exceed the time that Lambda gives a process to
/// start.
async fn wait_for_first_call(fixture: &Fixture, process: u64) {
    while !fixture.server.call_recorder.calls().contains_key(&process) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Plays a turn without a kill. The planned kill points cover a turn only if it makes no other calls.
async fn check_calls_of_undisturbed_turn() {
    let fault_plan = FaultPlan { record_calls: true, ..FaultPlan::default() };
    let fixture = Fixture::start(fault_plan, RETRY_AFTER_LEASE).await;
    let turn = &fixture.create_turns(MODEL, 1).await[0];
    let displayed = fixture.send_and_read(turn).await;
    fixture.server.lambda.wait_for_events().await;
    fixture.check(turn, &deltas(DELTAS), &[displayed]).await;
    let calls = fixture.server.call_recorder.calls();
    fixture.server.stop().await;
    let expected = numbered(&expected_calls());
    let unexpected: Vec<_> =
        calls.values().flat_map(|calls| numbered(calls)).filter(|call| !expected.contains(call)).collect();
    assert!(unexpected.is_empty(), "a turn makes calls at which no process is killed: {unexpected:?}");
    assert_eq!(calls.len(), 1, "one process answers the turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn process_killed_at_any_call_leaves_one_whole_answer() {
    let _shares = reserve_machine(2).await;
    let ((), ()) = tokio::join!(check_calls_of_undisturbed_turn(), kill_at_every_point());
}

async fn kill_at_every_point() {
    let points = kill_points();
    let mut remaining = points.clone();
    for _ in 0..MAX_ROUNDS {
        let killed = play_turns(&remaining).await;
        remaining.retain(|point| !killed.contains(point));
        if remaining.is_empty() {
            break;
        }
    }
    assert!(remaining.is_empty(), "no process was killed at {remaining:?}");
    let names: Vec<String> = points.iter().map(KillPoint::to_string).collect();
    println!("killed at {} points: {}", points.len(), names.join(", "));
}
