//! Calls that are repeated after a failure.
use std::time::Duration;

use tokio::time::sleep;

use crate::backoff::Backoff;

/// What is known after a failed try.
pub struct NextTry {
    pub failures: u32,
    /// The time until the next try.
    pub delay: Duration,
}

/// Repeats a call while `may_repeat` allows it, which is the only bound of the tries. Returns the last error.
pub async fn retry<T, E, F: Future<Output = Result<T, E>>>(
    backoff: Backoff,
    jitter_seed: u64,
    call: impl Fn() -> F,
    may_repeat: impl Fn(&E, NextTry) -> bool,
) -> Result<T, E> {
    let mut failures = 0;
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        failures += 1;
        let delay = backoff.seeded_delay(failures, jitter_seed);
        if !may_repeat(&error, NextTry { failures, delay }) {
            return Err(error);
        }
        sleep(delay).await;
    }
}
