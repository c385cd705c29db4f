//! One run of a function: a process that may be killed, or stand still, at any moment or at any of its calls.
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

use crate::{weather::Fault, world::World};

task_local! {
    static INVOCATION: Arc<Invocation>;
}

/// What becomes of an invocation.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lives,
    DiesAfter(Duration),
    /// At a call: before it leaves or when its answer arrives.
    DiesAtCall(u32),
    StallsAtCall(u32, Duration),
}

struct Invocation {
    fate: Fate,
    calls: AtomicU32,
    killed: CancellationToken,
    stall: Mutex<Option<Duration>>,
}

/// How an invocation ended, as Lambda sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Answered,
    Failed,
    Killed,
    TimedOut,
}

/// Runs a function's work in a process of its own for at most `time`.
pub async fn run<E>(world: &World, time: Duration, work: impl Future<Output = Result<(), E>>) -> Ending {
    let invocation = Arc::new(Invocation {
        fate: fate(world),
        calls: AtomicU32::new(0),
        killed: CancellationToken::new(),
        stall: Mutex::new(None),
    });
    let work = INVOCATION.scope(Arc::clone(&invocation), work);
    let death = async {
        match invocation.fate {
            Fate::DiesAfter(after) => sleep(after).await,
            _ => invocation.killed.cancelled().await,
        }
    };
    select! {
        biased;
        () = death => Ending::Killed,
        ended = timeout(time, AssertUnwindSafe(standing_still(&invocation, work)).catch_unwind()) => match ended {
            Ok(Ok(Ok(()))) => Ending::Answered,
            Ok(Ok(Err(_))) => Ending::Failed,
            Ok(Err(_)) => {
                world.note(|record| record.violations.push("invariant 4: a function panicked".into()));
                Ending::Failed
            }
            Err(_) => {
                world.chance(|weather, _| weather.count(Fault::OutOfTime));
                Ending::TimedOut
            }
        },
    }
}

/// A call of this invocation leaves, or its answer arrives.
pub async fn reach(world: &World, what: &str) {
    let Ok(invocation) = INVOCATION.try_with(Arc::clone) else { return };
    let call = invocation.calls.fetch_add(1, Ordering::Relaxed);
    match invocation.fate {
        Fate::DiesAtCall(fatal) if fatal == call => {
            world.trace(|| format!("killed at {what}"));
            invocation.killed.cancel();
            pending().await
        }
        Fate::StallsAtCall(at, time) if at == call => {
            world.trace(|| format!("stalls at {what} for {time:?}"));
            *invocation.stall.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
            tokio::task::yield_now().await;
        }
        _ => {}
    }
}

fn fate(world: &World) -> Fate {
    if world.strikes(|weather| weather.deaths / 2, Fault::ProcessKilled) {
        return world.dice(|dice| {
            Fate::DiesAfter(match dice.percent(70) {
                true => dice.milliseconds(0..3_000),
                false => dice.seconds(0..60),
            })
        });
    }
    if world.strikes(|weather| weather.deaths, Fault::ProcessKilledAtCall) {
        return world.dice(|dice| {
            let calls = dice.one_of(&[6, 12, 60]);
            Fate::DiesAtCall(dice.below(calls) as u32)
        });
    }
    if world.strikes(|weather| weather.stalls, Fault::ProcessStalled) {
        return world.dice(|dice| Fate::StallsAtCall(dice.below(30) as u32, dice.seconds(5..200)));
    }
    Fate::Lives
}

/// While a process stands still, time passes it by.
async fn standing_still<T>(invocation: &Invocation, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    let mut still: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        loop {
            if let Some(until) = &mut still {
                if until.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                still = None;
            }
            let polled = work.as_mut().poll(context);
            match invocation.stall.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(time) if polled.is_pending() => still = Some(Box::pin(sleep(time))),
                _ => return polled,
            }
        }
    })
    .await
}
