//! The execution environments of one function: reused when idle, started when all are busy, up to its
//! concurrency.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Invocation, Launcher,
    errors::{FunctionError, InvokeError},
    execution_environment::{Environment, InvocationEnd},
};
use crate::stack::Function;

/// The concurrency of a function without a reservation; a region allows more.
const DEFAULT_CONCURRENCY: u32 = 50;
/// An environment is ended once it has been idle for this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) struct Pool {
    pub function: Arc<Function>,
    launcher: Arc<Launcher>,
    concurrency: Semaphore,
    /// In the order of their last use: the first expires first, and the last is reused first.
    idle: Mutex<Vec<IdleEnvironment>>,
    shutdown: CancellationToken,
}

struct IdleEnvironment {
    environment: Environment,
    since: Instant,
}

impl Pool {
    pub fn new(function: Function, launcher: Arc<Launcher>, shutdown: CancellationToken) -> Self {
        let concurrency = function.reserved_concurrency.unwrap_or(DEFAULT_CONCURRENCY);
        let permits = usize::try_from(concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            function: Arc::new(function),
            launcher,
            concurrency: Semaphore::new(permits),
            idle: Mutex::default(),
            shutdown,
        }
    }

    pub async fn run(&self, invocation: &Invocation) -> Result<Bytes, InvokeError> {
        if self.shutdown.is_cancelled() {
            return Err(InvokeError::Stopped);
        }
        let Ok(_permit) = self.concurrency.try_acquire() else { return Err(InvokeError::Throttled) };
        let mut environment = match self.take_idle_environment() {
            Some(environment) => environment,
            None => self.start_environment(invocation).await?,
        };
        let started = Instant::now();
        let end = tokio::select! {
            end = environment.run(invocation) => end,
            () = self.shutdown.cancelled() => {
                environment.end().await;
                return Err(InvokeError::Stopped);
            }
        };
        self.log(invocation, started.elapsed(), &end);
        match end {
            InvocationEnd::Responded(response) => {
                self.add_idle_environment(environment);
                response.map_err(InvokeError::Unhandled)
            }
            InvocationEnd::Broken(error) => {
                environment.end().await;
                Err(InvokeError::Unhandled(error))
            }
        }
    }

    /// Ends environments when they have been idle too long, until the service stops.
    pub async fn end_expired_environments(&self) {
        while self.shutdown.run_until_cancelled(sleep_until(self.next_expiry())).await.is_some() {
            end_all(self.take_expired()).await;
        }
    }

    pub async fn end_idle_environments(&self) {
        let idle = std::mem::take(&mut *self.idle());
        end_all(idle).await;
    }

    fn take_idle_environment(&self) -> Option<Environment> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).map(|idle| idle.environment).find(Environment::is_alive)
    }

    async fn start_environment(&self, invocation: &Invocation) -> Result<Environment, InvokeError> {
        let result = Environment::start(self.function.clone(), &self.launcher).await;
        result.map_err(|error| InvokeError::Unhandled(FunctionError::start_failed(&invocation.request_id, &error)))
    }

    fn add_idle_environment(&self, environment: Environment) {
        self.idle().push(IdleEnvironment { environment, since: Instant::now() });
    }

    /// The earliest time at which an environment can expire. An environment that is busy now expires later
    /// than this.
    fn next_expiry(&self) -> Instant {
        let oldest = self.idle().first().map(|idle| idle.since);
        oldest.unwrap_or_else(Instant::now) + IDLE_TIMEOUT
    }

    fn take_expired(&self) -> Vec<IdleEnvironment> {
        let now = Instant::now();
        let mut idle = self.idle();
        let expired = idle.iter().take_while(|idle| now.duration_since(idle.since) >= IDLE_TIMEOUT).count();
        idle.drain(..expired).collect()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<IdleEnvironment>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, invocation: &Invocation, duration: Duration, end: &InvocationEnd) {
        let function = &self.function.name;
        let request_id = &invocation.request_id;
        let milliseconds = duration.as_millis();
        match end {
            InvocationEnd::Responded(Ok(_)) => {
                tracing::debug!(function, request_id, milliseconds, "invocation answered")
            }
            InvocationEnd::Responded(Err(error)) | InvocationEnd::Broken(error) => {
                tracing::warn!(function, request_id, milliseconds, error = error.kind, "invocation failed");
            }
        }
    }
}

async fn end_all(idle: Vec<IdleEnvironment>) {
    for idle in idle {
        idle.environment.end().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::time::sleep;

    use super::*;
    use crate::stack::{EventInvokeConfig, Role};

    fn function() -> Function {
        Function {
            name: "answer".into(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:answer".into(),
            memory_megabytes: 256,
            timeout_seconds: 60,
            reserved_concurrency: None,
            code_folder: String::new(),
            command: None,
            environment: BTreeMap::new(),
            event_invoke: EventInvokeConfig { max_retries: 2, max_event_age_seconds: 300, on_failure: None },
            role: Role { arn: "arn:aws:iam::123456789012:role/answer".into(), statements: Vec::new() },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_environment_is_ended_after_its_timeout() {
        let launcher = Arc::new(Launcher::new("sleep".into(), vec!["1000".into()], BTreeMap::new()));
        let shutdown = CancellationToken::new();
        let pool = Arc::new(Pool::new(function(), launcher.clone(), shutdown.clone()));
        let task = tokio::spawn({
            let pool = pool.clone();
            async move { pool.end_expired_environments().await }
        });
        sleep(IDLE_TIMEOUT / 2).await;
        pool.add_idle_environment(Environment::start(pool.function.clone(), &launcher).await.unwrap());
        sleep(IDLE_TIMEOUT - Duration::from_secs(1)).await;
        assert_eq!(pool.idle().len(), 1);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(pool.idle().len(), 0);
        shutdown.cancel();
        task.await.unwrap();
    }
}
