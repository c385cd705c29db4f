//! The moments at which an attempt must stop, derived from Lambda's deadline.
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// A throttled model is not called again after this.
    pub retry_model_until: Instant,
    /// The answer ends here, with the text received so far.
    pub stop_model_at: Instant,
    /// A finished answer is written directly if AppSync has not accepted it by then.
    pub publish_until: Instant,
    /// Nothing is published or written after this.
    pub give_up_at: Instant,
}

impl Deadlines {
    /// Those of an answer that is returned to its caller `limit` from now, at the latest. Nothing is
    /// published or written, so what follows the end of the model takes no time.
    pub fn of_one_shot(now: Instant, limit: Duration) -> Self {
        let end = now + limit;
        let second = Duration::from_secs(1);
        Self {
            retry_model_until: now + limit / 4,
            stop_model_at: end,
            publish_until: end + second,
            give_up_at: end + 2 * second,
        }
    }

    /// `remaining`: the time until Lambda kills the process.
    pub fn within(now: Instant, remaining: Duration) -> Self {
        let reserve = Duration::from_secs(10).max(remaining / 20);
        Self {
            retry_model_until: now + remaining / 4,
            stop_model_at: now + remaining.saturating_sub(reserve),
            publish_until: now + remaining.saturating_sub(Duration::from_secs(6)),
            give_up_at: now + remaining.saturating_sub(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
mod tests {
    use super::*;

    #[test]
    fn deadlines_leave_time_before_lambda_kills_the_process() {
        for (remaining, stop, retry, publish, give_up) in
            [(900, 855, 225, 894, 899), (100, 90, 25, 94, 99), (8, 0, 2, 2, 7), (0, 0, 0, 0, 0)]
        {
            let now = Instant::now();
            let seconds = |seconds| now + Duration::from_secs(seconds);
            let deadlines = Deadlines::within(now, Duration::from_secs(remaining));
            assert_eq!(deadlines.stop_model_at, seconds(stop), "{remaining} s remain");
            assert_eq!(deadlines.retry_model_until, seconds(retry), "{remaining} s remain");
            assert_eq!(deadlines.publish_until, seconds(publish), "{remaining} s remain");
            assert_eq!(deadlines.give_up_at, seconds(give_up), "{remaining} s remain");
        }
    }

    #[test]
    fn one_shot_answer_has_all_of_its_time() {
        let now = Instant::now();
        let seconds = |seconds| now + Duration::from_secs(seconds);
        let deadlines = Deadlines::of_one_shot(now, Duration::from_secs(24));
        assert_eq!((deadlines.retry_model_until, deadlines.stop_model_at), (seconds(6), seconds(24)));
        assert_eq!((deadlines.publish_until, deadlines.give_up_at), (seconds(25), seconds(26)));
    }
}
