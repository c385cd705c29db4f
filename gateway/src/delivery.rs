//! Deliveries of replies, which are repeated after a failure.
use std::time::{Duration, Instant};

use api::{
    backoff::{Backoff, jitter_seed},
    delivery::DeliveryError,
    message_limits::MAX_TRIES,
    retry::{NextTry, retry},
};
use tokio::time::timeout_at;

const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(1));

/// Tries up to three times until `deadline`. A message that has arrived without a response arrives again.
/// `id`: the message's or the connection's; it spreads the tries of different deliveries.
pub async fn deliver<T, F: Future<Output = Result<T, DeliveryError>>>(
    id: &str,
    deadline: Instant,
    send: impl Fn() -> F,
) -> Result<T, DeliveryError> {
    let send = || async { timeout_at(deadline.into(), send()).await.unwrap_or(Err(DeliveryError::OutOfTime)) };
    let is_retryable = |error: &DeliveryError, next: NextTry| next.failures < MAX_TRIES && error.is_retryable();
    retry(RETRY, jitter_seed(&[id]), send, is_retryable).await
}
