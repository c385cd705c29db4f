//! The event queue: every event waits, runs, is retried and given up in a task of its own.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    Invocation, InvocationType, Lambda,
    decisions::{Condition, Next, Outcome, Tries, next},
    failure::{FunctionError, InvokeError},
    pool::Pool,
    record::record,
};
use crate::fault_injection::{Fault, FaultInjector};

/// By then an event that is delivered again has come again.
const AGAIN_WITHIN_SECONDS: u64 = 120;

impl Lambda {
    pub(super) fn enqueue(&self, pool: Arc<Pool>, invocation: Invocation) {
        for after in deliveries(&self.faults) {
            let (lambda, pool, invocation) = (self.clone(), pool.clone(), invocation.clone());
            self.events.spawn(async move {
                if after.is_zero() || lambda.pause(after).await {
                    lambda.deliver(&pool, invocation).await;
                }
            });
        }
    }

    async fn deliver(&self, pool: &Pool, invocation: Invocation) {
        let queued = Instant::now();
        let (mut tries, mut failure) = (Tries::default(), None);
        loop {
            let outcome = match pool.run(&invocation).await {
                Ok(_) => Outcome::Answered,
                Err(InvokeError::Unhandled(reported)) => {
                    failure = Some(reported);
                    Outcome::Failed
                }
                Err(InvokeError::Throttled) => Outcome::Throttled,
                Err(InvokeError::Stopped | InvokeError::NotFound { .. } | InvokeError::TooLarge { .. }) => return,
            };
            tries = tries.after(outcome);
            let age = queued.elapsed().div_f64(self.time_scale);
            match next(outcome, tries, age, &pool.function.asynchronous) {
                Next::Forget => return,
                Next::TryAfter(delay) => self.wait(pool, &invocation, delay).await,
                Next::GiveUp(condition) => {
                    return self.give_up(pool, &invocation, condition, tries, failure.as_ref()).await;
                }
            }
        }
    }

    async fn wait(&self, pool: &Pool, invocation: &Invocation, delay: Duration) {
        let (function, request_id, seconds) = (&pool.function.name, &invocation.request_id, delay.as_secs());
        tracing::info!(function, request_id, seconds, "event waits for its next try");
        self.pause(delay).await;
    }

    /// In Lambda's seconds; false when the service stops meanwhile.
    async fn pause(&self, delay: Duration) -> bool {
        self.stopping.run_until_cancelled(sleep(delay.mul_f64(self.time_scale))).await.is_some()
    }

    async fn give_up(
        &self,
        pool: &Pool,
        invocation: &Invocation,
        condition: Condition,
        tries: Tries,
        failure: Option<&FunctionError>,
    ) {
        let function = &pool.function;
        tracing::warn!(function = function.name, request_id = invocation.request_id, ?condition, "event given up");
        let Some(destination) = &function.asynchronous.on_failure else { return };
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let record = record(&function.arn, invocation, condition, tries.invocations, failure, &now);
        let told = Box::pin(self.invoke(destination, InvocationType::Event, record)).await;
        if let Err(fault) = told {
            tracing::error!(function = function.name, destination, %fault, "the failure destination was not told");
        }
    }
}

/// When an event is delivered: at once, and once only unless the faults want it otherwise. Lambda promises at least once.
fn deliveries(faults: &FaultInjector) -> Vec<Duration> {
    let mut deliveries = vec![Duration::ZERO];
    if faults.should_inject(Fault::EventTwice) {
        deliveries.push(Duration::ZERO);
    }
    if faults.should_inject(Fault::EventThrice) {
        deliveries.extend([Duration::ZERO; 2]);
    }
    if let Some(mut rng) = faults.sample(Fault::EventAgain) {
        deliveries.push(Duration::from_secs(rng.u64(1..=AGAIN_WITHIN_SECONDS)));
    }
    deliveries
}
