//! The moments at which an attempt must stop, derived from Lambda's deadline.
use std::time::{Duration, Instant};

/// The moments at which an attempt must let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// A throttled model is not asked again after this.
    pub retry_model_until: Instant,
    /// The answer ends here, with what has arrived.
    pub stop_model_at: Instant,
    /// An answer that is over does not wait for AppSync after this.
    pub publish_until: Instant,
    /// Nothing more is published or written.
    pub give_up_at: Instant,
}

impl Deadlines {
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
            let deadlines = Deadlines::within(now, Duration::from_secs(left));
            assert_eq!(deadlines.stop_model_at, seconds(stop), "{left} s left");
            assert_eq!(deadlines.retry_model_until, seconds(retry), "{left} s left");
            assert_eq!(deadlines.publish_until, seconds(publish), "{left} s left");
            assert_eq!(deadlines.give_up_at, seconds(give_up), "{left} s left");
        }
    }
}
