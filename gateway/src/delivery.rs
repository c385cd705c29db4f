//! Deliveries of replies, which are repeated after a failure.
use std::time::{Duration, Instant};

use api::{
    backoff::{Backoff, jitter_seed},
    delivery::DeliveryError,
};
use tokio::time::{sleep, timeout_at};

const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(1));
const MAX_TRIES: u32 = 3;

/// Tries up to three times until `deadline`. A message that has arrived without a response arrives again.
/// `id`: the message's or the connection's; it spreads the tries of different deliveries.
pub async fn deliver<T, F: Future<Output = Result<T, DeliveryError>>>(
    id: &str,
    deadline: Instant,
    send: impl Fn() -> F,
) -> Result<T, DeliveryError> {
    let mut failures = 0;
    loop {
        let error = match timeout_at(deadline.into(), send()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => return Err(DeliveryError::OutOfTime),
        };
        failures += 1;
        if !error.is_retryable() || failures == MAX_TRIES {
            return Err(error);
        }
        sleep(RETRY.seeded_delay(failures, jitter_seed(&[id]))).await;
    }
}
