//! A simulated call from one component to another, with the faults of its link.
use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use crate::{
    environment::Environment,
    fault_profile::{CallPlan, Fault, Link},
};

/// The latest repetition by `Fault::ExecutedTwice`.
const REPETITION_MILLISECONDS: u64 = 30_000;

/// Why the caller has no response of the callee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    Throttled,
    ServerError,
    ConnectionLost,
}

impl Environment {
    /// Executes a call as often as its faults say. An execution that has begun continues if the caller stops
    /// waiting.
    pub async fn call<F>(
        self: &Arc<Self>,
        link: Link,
        execute: impl Fn() -> F + Send + 'static,
    ) -> Result<F::Output, CallError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let CallPlan { fault, request_delay, response_delay } = self.plan_call(link);
        match fault {
            Some(Fault::Throttled) => return fail_after(request_delay, CallError::Throttled).await,
            Some(Fault::ServerError | Fault::ApiOutage) => {
                return fail_after(request_delay, CallError::ServerError).await;
            }
            Some(Fault::ConnectionLostBefore) => return fail_after(request_delay, CallError::ConnectionLost).await,
            Some(Fault::HungBefore) => return pending().await,
            _ => {}
        }
        let is_executed_twice = fault == Some(Fault::ExecutedTwice);
        let repetition = is_executed_twice.then(|| self.with_rng(|rng| rng.milliseconds(1..REPETITION_MILLISECONDS)));
        let response = spawn_execution(request_delay, repetition, execute).await;
        match fault {
            Some(Fault::ServerErrorAfterEffect) => return Err(CallError::ServerError),
            Some(Fault::ConnectionLostAfter) => return Err(CallError::ConnectionLost),
            Some(Fault::HungAfter) => return pending().await,
            _ => {}
        }
        sleep(response_delay).await;
        response.map_err(|_| CallError::ConnectionLost)
    }

    fn plan_call(&self, link: Link) -> CallPlan {
        let elapsed = self.elapsed();
        self.with_faults(|profile, rng| profile.plan_call(rng, link, elapsed))
    }
}

async fn fail_after<T>(delay: Duration, error: CallError) -> Result<T, CallError> {
    sleep(delay).await;
    Err(error)
}

/// Executes a call in a task of its own, once more after `repetition`. Receives the first response.
fn spawn_execution<F>(
    delay: Duration,
    repetition: Option<Duration>,
    execute: impl Fn() -> F + Send + 'static,
) -> oneshot::Receiver<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        sleep(delay).await;
        drop(sender.send(execute().await));
        if let Some(delay) = repetition {
            sleep(delay).await;
            execute().await;
        }
    });
    receiver
}
