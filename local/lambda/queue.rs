//! The queue of Event invocations: each event has a task that delivers, retries and finally discards it.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    Invocation, InvocationType, Lambda,
    errors::{FunctionError, InvokeError},
    event_store::EventFile,
    failure_record::failure_record,
    pool::Pool,
    retry_policy::{Decision, FailureCondition, Outcome, TryCounts, decide},
};
use crate::{
    fault_injection::{Fault, FaultInjector},
    stack::FailureDestination,
};

/// The latest redelivery by `Fault::EventAgain`.
const REDELIVERY_SECONDS: u64 = 120;

impl Lambda {
    pub(super) fn enqueue(&self, pool: Arc<Pool>, invocation: Invocation) {
        for delay in delivery_delays(&self.faults) {
            let (lambda, pool, invocation) = (self.clone(), pool.clone(), invocation.clone());
            let file = self.event_store.as_ref().map(|store| store.add(&pool.function.name, &invocation));
            self.events.spawn(async move {
                if delay.is_zero() || lambda.sleep_unless_stopped(delay).await {
                    lambda.deliver(&pool, invocation, Duration::ZERO, file.unwrap_or_default()).await;
                }
            });
        }
    }

    /// Delivers an event that was queued some time ago, which is not scaled.
    pub(super) fn resume(&self, pool: Arc<Pool>, invocation: Invocation, age: Duration, file: EventFile) {
        let lambda = self.clone();
        self.events.spawn(async move { lambda.deliver(&pool, invocation, age, file).await });
    }

    /// The file stays where the service stops before the delivery has ended.
    async fn deliver(&self, pool: &Pool, invocation: Invocation, age_at_start: Duration, file: EventFile) {
        if self.try_until_done(pool, &invocation, age_at_start).await {
            file.remove();
        }
    }

    /// False when the service stopped meanwhile.
    async fn try_until_done(&self, pool: &Pool, invocation: &Invocation, age_at_start: Duration) -> bool {
        let queued = Instant::now();
        let mut counts = TryCounts::default();
        let mut last_error = None;
        if age_at_start > Duration::from_secs(pool.function.event_invoke.max_event_age_seconds.into()) {
            self.discard(pool, invocation, FailureCondition::EventAgeExceeded, counts, None).await;
            return true;
        }
        loop {
            let outcome = match pool.run(invocation).await {
                Ok(_) => Outcome::Succeeded,
                Err(InvokeError::Unhandled(error)) => {
                    last_error = Some(error);
                    Outcome::Failed
                }
                Err(InvokeError::Throttled) => Outcome::Throttled,
                Err(InvokeError::Stopped) => return false,
                Err(InvokeError::NotFound { .. } | InvokeError::TooLarge { .. }) => return true,
            };
            counts = counts.after(outcome);
            let age = age_at_start + queued.elapsed().div_f64(self.time_scale);
            match decide(outcome, counts, age, &pool.function.event_invoke) {
                Decision::Done => return true,
                Decision::RetryAfter(delay) => self.wait_for_retry(pool, invocation, delay).await,
                Decision::Discard(condition) => {
                    self.discard(pool, invocation, condition, counts, last_error.as_ref()).await;
                    return !self.shutdown.is_cancelled();
                }
            }
        }
    }

    async fn wait_for_retry(&self, pool: &Pool, invocation: &Invocation, delay: Duration) {
        let (function, request_id, seconds) = (&pool.function.name, &invocation.request_id, delay.as_secs());
        tracing::info!(function, request_id, seconds, "event waits for its retry");
        self.sleep_unless_stopped(delay).await;
    }

    /// Sleeps for a scaled duration. False when the service stopped meanwhile.
    async fn sleep_unless_stopped(&self, delay: Duration) -> bool {
        self.shutdown.run_until_cancelled(sleep(delay.mul_f64(self.time_scale))).await.is_some()
    }

    /// Sends the event to the function's failure destination, if it has one.
    async fn discard(
        &self,
        pool: &Pool,
        invocation: &Invocation,
        condition: FailureCondition,
        counts: TryCounts,
        last_error: Option<&FunctionError>,
    ) {
        let function = &pool.function;
        tracing::warn!(function = function.name, request_id = invocation.request_id, ?condition, "event discarded");
        let Some(destination) = &function.event_invoke.on_failure else { return };
        let timestamp = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let record = failure_record(&function.arn, invocation, condition, counts.invocations, last_error, &timestamp);
        match destination {
            FailureDestination::Function(destination) => {
                let invoked = Box::pin(self.invoke(destination, InvocationType::Event, record)).await;
                if let Err(error) = invoked {
                    tracing::error!(
                        function = function.name,
                        destination,
                        %error,
                        "the failure destination was not invoked"
                    );
                }
            }
            FailureDestination::Queue(queue) => {
                // The record contains the conversation, so only its ids are logged.
                let (function, request_id) = (&function.name, &invocation.request_id);
                let records = self.failure_queues.send(queue, record);
                tracing::error!(function, request_id, queue, records, "the failure queue has a new record");
            }
        }
    }
}

/// The delays of an event's deliveries: one delivery at once, and more with fault injection. Lambda promises
/// delivery at least once.
fn delivery_delays(faults: &FaultInjector) -> Vec<Duration> {
    let mut delays = vec![Duration::ZERO];
    if faults.should_inject(Fault::EventTwice) {
        delays.push(Duration::ZERO);
    }
    if faults.should_inject(Fault::EventThrice) {
        delays.extend([Duration::ZERO; 2]);
    }
    if let Some(mut rng) = faults.sample(Fault::EventAgain) {
        delays.push(Duration::from_secs(rng.u64(1..=REDELIVERY_SECONDS)));
    }
    delays
}
