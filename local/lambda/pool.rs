//! The execution environments of one function: reused while warm, started when all are busy, up to its concurrency.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Invocation, Launcher,
    environment::{Ending, Environment},
    failure::{FunctionError, InvokeError},
};
use crate::stack::Function;

/// Without a reservation of its own a function gets this much: a laptop is not a region.
const DEFAULT_CONCURRENCY: u32 = 50;
/// An environment that found no work for so long is ended.
const WARM: Duration = Duration::from_secs(600);

pub(super) struct Pool {
    pub function: Arc<Function>,
    launcher: Arc<Launcher>,
    places: Semaphore,
    /// The one used last is the last, so the first cools first.
    idle: Mutex<Vec<Idle>>,
    stopping: CancellationToken,
}

struct Idle {
    environment: Environment,
    since: Instant,
}

impl Pool {
    pub fn new(function: Function, launcher: Arc<Launcher>, stopping: CancellationToken) -> Self {
        let concurrency = function.reserved_concurrency.unwrap_or(DEFAULT_CONCURRENCY);
        Self {
            function: Arc::new(function),
            launcher,
            places: Semaphore::new(usize::try_from(concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
            stopping,
        }
    }

    pub async fn run(&self, invocation: &Invocation) -> Result<Value, InvokeError> {
        if self.stopping.is_cancelled() {
            return Err(InvokeError::Stopped);
        }
        let Ok(_place) = self.places.try_acquire() else { return Err(InvokeError::Throttled) };
        let mut environment = match self.warm() {
            Some(warm) => warm,
            None => self.cold(invocation).await?,
        };
        let started = Instant::now();
        let ending = tokio::select! {
            ending = environment.run(invocation) => ending,
            () = self.stopping.cancelled() => {
                environment.end().await;
                return Err(InvokeError::Stopped);
            }
        };
        self.log(invocation, started.elapsed(), &ending);
        match ending {
            Ending::Answered(answer) => {
                self.keep(environment);
                answer.map_err(InvokeError::Unhandled)
            }
            Ending::Broken(failure) => {
                environment.end().await;
                Err(InvokeError::Unhandled(failure))
            }
        }
    }

    /// Ends environments as they cool, until the service stops.
    pub async fn sweep(&self) {
        while self.stopping.run_until_cancelled(sleep_until(self.next_cooling())).await.is_some() {
            end(self.cooled()).await;
        }
    }

    /// Ends the idle environments.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        end(idle).await;
    }

    fn warm(&self) -> Option<Environment> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).map(|idle| idle.environment).find(Environment::is_alive)
    }

    async fn cold(&self, invocation: &Invocation) -> Result<Environment, InvokeError> {
        let started = Environment::start(self.function.clone(), &self.launcher).await;
        started.map_err(|fault| InvokeError::Unhandled(FunctionError::did_not_start(&invocation.request_id, &fault)))
    }

    fn keep(&self, environment: Environment) {
        self.idle().push(Idle { environment, since: Instant::now() });
    }

    /// None cools before: one that is not idle yet has all its time to come.
    fn next_cooling(&self) -> Instant {
        let oldest = self.idle().first().map(|idle| idle.since);
        oldest.unwrap_or_else(Instant::now) + WARM
    }

    fn cooled(&self) -> Vec<Idle> {
        let now = Instant::now();
        let mut idle = self.idle();
        let cooled = idle.iter().take_while(|idle| now.duration_since(idle.since) >= WARM).count();
        idle.drain(..cooled).collect()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, invocation: &Invocation, took: Duration, ending: &Ending) {
        let (function, request_id, milliseconds) = (&self.function.name, &invocation.request_id, took.as_millis());
        match ending {
            Ending::Answered(Ok(_)) => tracing::debug!(function, request_id, milliseconds, "invocation answered"),
            Ending::Answered(Err(failure)) | Ending::Broken(failure) => {
                tracing::warn!(function, request_id, milliseconds, error = failure.kind, "invocation failed");
            }
        }
    }
}

async fn end(idle: Vec<Idle>) {
    for idle in idle {
        idle.environment.end().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::time::sleep;

    use super::*;
    use crate::stack::{Asynchronous, Role};

    fn function() -> Function {
        Function {
            name: "answer".into(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:answer".into(),
            memory_megabytes: 256,
            timeout_seconds: 60,
            reserved_concurrency: None,
            environment: BTreeMap::new(),
            asynchronous: Asynchronous { retries: 2, event_age_seconds: 300, on_failure: None },
            role: Role { arn: "arn:aws:iam::123456789012:role/answer".into(), statements: Vec::new() },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_environment_that_finds_no_work_is_ended_though_nothing_else_happens() {
        let launcher = Arc::new(Launcher::new("sleep".into(), vec!["1000".into()], BTreeMap::new()));
        let stopping = CancellationToken::new();
        let pool = Arc::new(Pool::new(function(), launcher.clone(), stopping.clone()));
        let sweeping = tokio::spawn({
            let pool = pool.clone();
            async move { pool.sweep().await }
        });
        sleep(WARM / 2).await;
        pool.keep(Environment::start(pool.function.clone(), &launcher).await.unwrap());
        sleep(WARM - Duration::from_secs(1)).await;
        assert_eq!(pool.idle().len(), 1);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(pool.idle().len(), 0);
        stopping.cancel();
        sweeping.await.unwrap();
    }
}
