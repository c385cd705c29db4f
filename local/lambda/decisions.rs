//! What happens to a queued event after a try: pure, in Lambda's seconds.
use std::time::Duration;

use crate::stack::Asynchronous;

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Failed,
    /// The function did not run.
    Throttled,
}

/// What the queue does next with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Forget,
    TryAfter(Duration),
    GiveUp(Condition),
}

/// Why an event was given up, as the destination is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    RetriesExhausted,
    EventAgeExceeded,
}

/// The tries of an event so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// How often the function ran.
    pub invocations: u32,
    /// How often in a row it could not run.
    pub throttles: u32,
}

const FIRST_RETRY: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

impl Tries {
    #[must_use]
    pub fn after(self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered | Outcome::Failed => Self { invocations: self.invocations + 1, throttles: 0 },
            Outcome::Throttled => Self { throttles: self.throttles + 1, ..self },
        }
    }
}

/// `tries` include the one that ended so; `age` is the event's.
pub fn next(outcome: Outcome, tries: Tries, age: Duration, settings: &Asynchronous) -> Next {
    match outcome {
        Outcome::Answered => Next::Forget,
        Outcome::Failed if tries.invocations > settings.retries.into() => Next::GiveUp(Condition::RetriesExhausted),
        Outcome::Failed => within_age(FIRST_RETRY * tries.invocations.max(1), age, settings),
        Outcome::Throttled => within_age(backoff(tries.throttles), age, settings),
    }
}

/// An event that would be too old by then is given up at once.
fn within_age(delay: Duration, age: Duration, settings: &Asynchronous) -> Next {
    let limit = Duration::from_secs(settings.event_age_seconds.into());
    if age + delay > limit { Next::GiveUp(Condition::EventAgeExceeded) } else { Next::TryAfter(delay) }
}

fn backoff(throttles: u32) -> Duration {
    let doubled = 2u32.saturating_pow(throttles.saturating_sub(1));
    FIRST_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Asynchronous = Asynchronous { retries: 2, event_age_seconds: 300, on_failure: None };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_failed_event_is_tried_after_one_and_two_minutes_within_its_age() {
        let cases = [
            // (retries, event age, runs so far, age) → next
            ((2, 300, 1, 3), Next::TryAfter(seconds(60))),
            ((2, 300, 2, 70), Next::TryAfter(seconds(120))),
            ((2, 300, 3, 200), Next::GiveUp(Condition::RetriesExhausted)),
            ((1, 300, 2, 70), Next::GiveUp(Condition::RetriesExhausted)),
            ((0, 300, 1, 1), Next::GiveUp(Condition::RetriesExhausted)),
            ((2, 300, 2, 180), Next::TryAfter(seconds(120))),
            ((2, 300, 2, 181), Next::GiveUp(Condition::EventAgeExceeded)),
            ((2, 60, 1, 1), Next::GiveUp(Condition::EventAgeExceeded)),
        ];
        for ((retries, event_age_seconds, invocations, age), expected) in cases {
            let settings = Asynchronous { retries, event_age_seconds, on_failure: None };
            let tries = Tries { invocations, throttles: 0 };
            let next = next(Outcome::Failed, tries, seconds(age), &settings);
            assert_eq!(next, expected, "retries {retries}, run {invocations}, age {age}");
        }
    }

    #[test]
    fn a_throttled_event_waits_from_one_second_to_five_minutes_until_it_is_too_old() {
        let settings = Asynchronous { event_age_seconds: 21_600, ..SETTINGS };
        let waits = [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (40, 300), (u32::MAX, 300)];
        for (throttles, wait) in waits {
            let tries = Tries { invocations: 0, throttles };
            let next = next(Outcome::Throttled, tries, seconds(5), &settings);
            assert_eq!(next, Next::TryAfter(seconds(wait)), "throttled {throttles} times");
        }
        let tries = Tries { invocations: 0, throttles: 9 };
        let too_old = next(Outcome::Throttled, tries, seconds(255), &SETTINGS);
        assert_eq!(too_old, Next::GiveUp(Condition::EventAgeExceeded));
    }

    #[test]
    fn an_answered_event_is_forgotten() {
        let tries = Tries { invocations: 3, throttles: 0 };
        assert_eq!(next(Outcome::Answered, tries, seconds(9999), &SETTINGS), Next::Forget);
    }

    #[test]
    fn a_throttle_is_no_invocation_and_a_run_ends_the_backoff() {
        let tries = Tries::default().after(Outcome::Throttled).after(Outcome::Throttled);
        assert_eq!(tries, Tries { invocations: 0, throttles: 2 });
        assert_eq!(tries.after(Outcome::Failed), Tries { invocations: 1, throttles: 0 });
    }
}
