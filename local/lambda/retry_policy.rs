//! Lambda's retry policy for asynchronous invocations. Pure; durations are not scaled.
use std::time::Duration;

use crate::stack::EventInvokeConfig;

/// How one try to run the function ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
    /// The function did not run.
    Throttled,
}

/// What the queue does with the event after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Done,
    RetryAfter(Duration),
    Discard(FailureCondition),
}

/// Why an event is discarded; `requestContext.condition` of the failure record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCondition {
    RetriesExhausted,
    EventAgeExceeded,
}

/// How often an event was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TryCounts {
    /// How often the function ran.
    pub invocations: u32,
    /// How often in a row the function was throttled.
    pub throttles: u32,
}

/// The delay of the first retry; the second waits twice as long.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(60);
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(300);

impl TryCounts {
    #[must_use]
    pub fn after(self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded | Outcome::Failed => Self { invocations: self.invocations + 1, throttles: 0 },
            Outcome::Throttled => Self { throttles: self.throttles + 1, ..self },
        }
    }
}

/// `counts` include the try with this outcome; `age` is the time since the event was queued.
pub fn decide(outcome: Outcome, counts: TryCounts, age: Duration, config: &EventInvokeConfig) -> Decision {
    match outcome {
        Outcome::Succeeded => Decision::Done,
        Outcome::Failed if counts.invocations > config.max_retries.into() => {
            Decision::Discard(FailureCondition::RetriesExhausted)
        }
        Outcome::Failed => retry_within_age(FIRST_RETRY_DELAY * counts.invocations.max(1), age, config),
        Outcome::Throttled => retry_within_age(throttle_backoff(counts.throttles), age, config),
    }
}

/// Discards an event that would be too old after the delay.
fn retry_within_age(delay: Duration, age: Duration, config: &EventInvokeConfig) -> Decision {
    let limit = Duration::from_secs(config.max_event_age_seconds.into());
    match age + delay > limit {
        true => Decision::Discard(FailureCondition::EventAgeExceeded),
        false => Decision::RetryAfter(delay),
    }
}

fn throttle_backoff(throttles: u32) -> Duration {
    let doubled = 2u32.saturating_pow(throttles.saturating_sub(1));
    INITIAL_BACKOFF.saturating_mul(doubled).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: EventInvokeConfig =
        EventInvokeConfig { max_retries: 2, max_event_age_seconds: 300, on_failure: None };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failed_event_is_retried_after_one_and_two_minutes() {
        let cases = [
            // (maximum retries, maximum age, invocations, age) → decision
            ((2, 300, 1, 3), Decision::RetryAfter(seconds(60))),
            ((2, 300, 2, 70), Decision::RetryAfter(seconds(120))),
            ((2, 300, 3, 200), Decision::Discard(FailureCondition::RetriesExhausted)),
            ((1, 300, 2, 70), Decision::Discard(FailureCondition::RetriesExhausted)),
            ((0, 300, 1, 1), Decision::Discard(FailureCondition::RetriesExhausted)),
            ((2, 300, 2, 180), Decision::RetryAfter(seconds(120))),
            ((2, 300, 2, 181), Decision::Discard(FailureCondition::EventAgeExceeded)),
            ((2, 60, 1, 1), Decision::Discard(FailureCondition::EventAgeExceeded)),
        ];
        for ((max_retries, max_event_age_seconds, invocations, age), expected) in cases {
            let config = EventInvokeConfig { max_retries, max_event_age_seconds, on_failure: None };
            let counts = TryCounts { invocations, throttles: 0 };
            let decision = decide(Outcome::Failed, counts, seconds(age), &config);
            assert_eq!(decision, expected, "retries {max_retries}, invocation {invocations}, age {age}");
        }
    }

    #[test]
    fn throttled_event_backs_off_up_to_five_minutes() {
        let config = EventInvokeConfig { max_event_age_seconds: 21_600, ..CONFIG };
        let delays = [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (40, 300), (u32::MAX, 300)];
        for (throttles, delay) in delays {
            let counts = TryCounts { invocations: 0, throttles };
            let decision = decide(Outcome::Throttled, counts, seconds(5), &config);
            assert_eq!(decision, Decision::RetryAfter(seconds(delay)), "throttled {throttles} times");
        }
        let counts = TryCounts { invocations: 0, throttles: 9 };
        let too_old = decide(Outcome::Throttled, counts, seconds(255), &CONFIG);
        assert_eq!(too_old, Decision::Discard(FailureCondition::EventAgeExceeded));
    }

    #[test]
    fn succeeded_event_is_done() {
        let counts = TryCounts { invocations: 3, throttles: 0 };
        assert_eq!(decide(Outcome::Succeeded, counts, seconds(9999), &CONFIG), Decision::Done);
    }

    #[test]
    fn throttle_is_no_invocation_and_invocation_resets_backoff() {
        let counts = TryCounts::default().after(Outcome::Throttled).after(Outcome::Throttled);
        assert_eq!(counts, TryCounts { invocations: 0, throttles: 2 });
        assert_eq!(counts.after(Outcome::Failed), TryCounts { invocations: 1, throttles: 0 });
    }
}
