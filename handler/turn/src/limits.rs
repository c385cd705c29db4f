//! The limits an attempt keeps, and the moments derived from Lambda's deadline.
use std::time::Duration;

use api::backoff::Backoff;

/// Sizes and intervals; the same for every attempt of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
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

impl Default for Limits {
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
