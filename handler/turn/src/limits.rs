//! Sizes, intervals and timeouts of an attempt.
use std::time::Duration;

use api::backoff::Backoff;

use crate::answer::MAX_EVENT_BLOCKS;

/// The same for every attempt of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the first batch's publish to the start of the second's.
    pub pacing_first: Duration,
    /// The longest interval between batches.
    pub pacing_last: Duration,
    /// The largest text of a batch, in JSON-escaped bytes.
    pub batch_max_bytes: usize,
    /// The largest published event, in JSON-escaped bytes, with its text counted twice.
    pub event_max_bytes: usize,
    /// The largest number of content blocks of an event: resolvers loop over the blocks of one event.
    pub event_max_blocks: usize,
    /// How long a throttled model is called again where the agent has another model to ask.
    pub fallback_model_delay: Duration,
    /// The longest time between two events of the model's stream.
    pub model_silence: Duration,
    /// The longest time without an accepted update before the lease is renewed directly.
    pub renewal_interval: Duration,
    /// How long a finished answer waits for AppSync before the attempt falls back to direct writes.
    pub fallback_delay: Duration,
    /// How long the end of a turn that was written directly is offered to AppSync.
    pub announce_timeout: Duration,
    /// How long an invocation waits at its end for each write that no turn depends on: the count of tokens,
    /// and the order of the participants' lists.
    pub bookkeeping_timeout: Duration,
    /// How long the title of a conversation may take after its first answer.
    pub title_timeout: Duration,
    /// How long an answer may take that its caller waits for. AppSync ends a request after 30 seconds.
    pub one_shot_timeout: Duration,
    /// How long an invocation waits at its end until its replies are sent.
    pub reply_timeout: Duration,
    /// How long it is waited for the answer of a run that was closed.
    pub closing_answer_timeout: Duration,
    pub publish_retry: Backoff,
    pub reply_retry: Backoff,
    pub write_retry: Backoff,
    pub model_retry: Backoff,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pacing_first: Duration::from_millis(40),
            pacing_last: Duration::from_millis(250),
            // AppSync bills delivered updates in units of 5 KB.
            batch_max_bytes: 4096,
            // AppSync drops updates over 240 KB without an error.
            event_max_bytes: 160_000,
            event_max_blocks: MAX_EVENT_BLOCKS,
            fallback_model_delay: Duration::from_secs(8),
            model_silence: Duration::from_secs(120),
            // A third of a lease.
            renewal_interval: Duration::from_secs(10),
            fallback_delay: Duration::from_secs(10),
            announce_timeout: Duration::from_secs(60),
            bookkeeping_timeout: Duration::from_secs(2),
            title_timeout: Duration::from_secs(10),
            one_shot_timeout: Duration::from_secs(25),
            reply_timeout: Duration::from_secs(5),
            closing_answer_timeout: Duration::from_secs(3),
            publish_retry: Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(5)),
            reply_retry: Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(1)),
            write_retry: Backoff::half_jitter(Duration::from_millis(50), Duration::from_secs(2)),
            model_retry: Backoff::half_jitter(Duration::from_millis(500), Duration::from_secs(20)),
        }
    }
}
