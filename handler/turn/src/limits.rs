//! The bounds an attempt keeps, and the moments derived from Lambda's deadline.
use std::time::{Duration, Instant};

use api::backoff::Backoff;

/// Sizes and intervals; the same for every attempt of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the first batch's start to the second's.
    pub pacing_first: Duration,
    /// What the interval grows to.
    pub pacing_last: Duration,
    /// Of a batch's text, in JSON-escaped bytes.
    pub batch_max_bytes: usize,
    /// Of a whole published event, in JSON-escaped bytes, its text counted twice.
    pub event_max_bytes: usize,
    /// How long a model may say nothing at all.
    pub model_silence: Duration,
    /// How long nothing may be accepted before the lease is renewed directly.
    pub heartbeat: Duration,
    /// How long an answer that is over waits for AppSync before it is written directly.
    pub publish_patience: Duration,
    /// How long AppSync is asked to announce what was written directly.
    pub announcing: Duration,
    /// How long the process stays after the end to count what the answer cost.
    pub counting: Duration,
    pub publish_retry: Backoff,
    pub write_retry: Backoff,
    pub model_retry: Backoff,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            pacing_first: Duration::from_millis(40),
            pacing_last: Duration::from_millis(250),
            // AppSync bills what it delivers in units of 5 KB.
            batch_max_bytes: 4096,
            // AppSync drops updates over 240 KB without a word.
            event_max_bytes: 160_000,
            model_silence: Duration::from_secs(120),
            // A third of a lease.
            heartbeat: Duration::from_secs(10),
            publish_patience: Duration::from_secs(10),
            announcing: Duration::from_secs(60),
            counting: Duration::from_secs(2),
            publish_retry: Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(5)),
            write_retry: Backoff::half_jitter(Duration::from_millis(50), Duration::from_secs(2)),
            model_retry: Backoff::half_jitter(Duration::from_millis(500), Duration::from_secs(20)),
        }
    }
}

/// The moments at which an attempt must let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A throttled model is not asked again after this.
    pub retry_model_until: Instant,
    /// The answer ends here, with what has arrived.
    pub stop_model_at: Instant,
    /// An answer that is over does not wait for AppSync after this.
    pub publish_until: Instant,
    /// Nothing more is published or written.
    pub give_up_at: Instant,
}

impl Limits {
    /// `left`: until Lambda kills the process.
    pub fn within(now: Instant, left: Duration) -> Self {
        let reserve = Duration::from_secs(10).max(left / 20);
        Self {
            retry_model_until: now + left / 4,
            stop_model_at: now + left.saturating_sub(reserve),
            publish_until: now + left.saturating_sub(Duration::from_secs(6)),
            give_up_at: now + left.saturating_sub(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_stopped_in_good_time_before_lambda_kills() {
        for (left, stop, retry, publish, give_up) in
            [(900, 855, 225, 894, 899), (100, 90, 25, 94, 99), (8, 0, 2, 2, 7), (0, 0, 0, 0, 0)]
        {
            let now = Instant::now();
            let seconds = |seconds| now + Duration::from_secs(seconds);
            let limits = Limits::within(now, Duration::from_secs(left));
            assert_eq!(limits.stop_model_at, seconds(stop), "{left} s left");
            assert_eq!(limits.retry_model_until, seconds(retry), "{left} s left");
            assert_eq!(limits.publish_until, seconds(publish), "{left} s left");
            assert_eq!(limits.give_up_at, seconds(give_up), "{left} s left");
        }
    }
}
