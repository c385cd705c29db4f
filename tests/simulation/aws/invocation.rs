//! One invocation of a function: its process may be killed or stall, at any time or at one of its calls.
use std::{
    future::{Future, pending, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    select, task_local,
    time::{Sleep, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{checker::Violation, environment::Environment, fault_profile::Fault};

task_local! {
    static INVOCATION: Arc<Invocation>;
}

/// The fault of an invocation. A call has two fault points: before it is sent and when its response arrives.
#[derive(Clone, Copy, Debug)]
enum ProcessFault {
    None,
    KilledAfter(Duration),
    KilledAtFaultPoint(u32),
    StalledAtFaultPoint(u32, Duration),
}

struct Invocation {
    fault: ProcessFault,
    fault_points_passed: AtomicU32,
    kill: CancellationToken,
    stall: Mutex<Option<Duration>>,
}

/// How an invocation ended, as Lambda sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvocationEnd {
    Succeeded,
    Failed,
    Killed,
    TimedOut,
}

/// Runs the work of a function for at most its timeout.
pub async fn run<T, E>(
    environment: &Environment,
    function_timeout: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> InvocationEnd {
    let invocation = Arc::new(Invocation {
        fault: random_fault(environment),
        fault_points_passed: AtomicU32::new(0),
        kill: CancellationToken::new(),
        stall: Mutex::new(None),
    });
    let work = INVOCATION.scope(Arc::clone(&invocation), work);
    let work = AssertUnwindSafe(with_stalls(&invocation, work)).catch_unwind();
    let kill = async {
        match invocation.fault {
            ProcessFault::KilledAfter(delay) => sleep(delay).await,
            _ => invocation.kill.cancelled().await,
        }
    };
    let result = select! {
        biased;
        () = kill => {
            environment.with_recorder(|recorder| recorder.kills += 1);
            return InvocationEnd::Killed;
        }
        result = timeout(function_timeout, work) => result,
    };
    match result {
        Ok(Ok(Ok(_))) => InvocationEnd::Succeeded,
        Ok(Ok(Err(_))) => InvocationEnd::Failed,
        Ok(Err(_panic)) => {
            let violation = Violation::new(4, "a function panicked".into());
            environment.with_recorder(|recorder| recorder.violations.push(violation));
            InvocationEnd::Failed
        }
        Err(_elapsed) => {
            environment.with_faults(|profile, _| profile.count(Fault::FunctionTimedOut));
            InvocationEnd::TimedOut
        }
    }
}

/// Kills or stalls the current invocation if its fault is planned for this fault point. Outside of an
/// invocation nothing happens.
pub async fn pass_fault_point(environment: &Environment, name: &str) {
    let Ok(invocation) = INVOCATION.try_with(Arc::clone) else { return };
    let fault_point = invocation.fault_points_passed.fetch_add(1, Ordering::Relaxed);
    match invocation.fault {
        ProcessFault::KilledAtFaultPoint(planned) if planned == fault_point => {
            environment.trace(|| format!("killed at {name}"));
            invocation.kill.cancel();
            pending().await
        }
        ProcessFault::StalledAtFaultPoint(planned, time) if planned == fault_point => {
            environment.trace(|| format!("stalls at {name} for {time:?}"));
            *invocation.stall.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
            tokio::task::yield_now().await;
        }
        _ => {}
    }
}

fn random_fault(environment: &Environment) -> ProcessFault {
    if let Some(fault_point) = environment.with_faults(|profile, _| profile.next_planned_kill()) {
        environment.with_faults(|profile, _| profile.count(Fault::ProcessKilledAtCall));
        return ProcessFault::KilledAtFaultPoint(fault_point);
    }
    if environment.should_inject(Fault::ProcessKilled, |profile| profile.process_kills / 2) {
        return environment.with_rng(|rng| {
            let is_early = rng.percent(70);
            ProcessFault::KilledAfter(if is_early { rng.milliseconds(0..3_000) } else { rng.seconds(0..60) })
        });
    }
    if environment.should_inject(Fault::ProcessKilledAtCall, |profile| profile.process_kills) {
        return environment.with_rng(|rng| {
            let fault_points = rng.choose(&[6, 12, 60]);
            ProcessFault::KilledAtFaultPoint(rng.below(fault_points) as u32)
        });
    }
    if environment.should_inject(Fault::ProcessStalled, |profile| profile.process_stalls) {
        return environment
            .with_rng(|rng| ProcessFault::StalledAtFaultPoint(rng.below(30) as u32, rng.seconds(5..200)));
    }
    ProcessFault::None
}

/// Does not poll the work while the invocation stalls.
async fn with_stalls<T>(invocation: &Invocation, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    let mut current_stall: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        loop {
            if let Some(stall) = &mut current_stall {
                if stall.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                current_stall = None;
            }
            let result = work.as_mut().poll(context);
            match invocation.stall.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(time) if result.is_pending() => current_stall = Some(Box::pin(sleep(time))),
                _ => return result,
            }
        }
    })
    .await
}
