//! The wait before the next connection attempt.
use std::time::Duration;

const FIRST_LIMIT: Duration = Duration::from_millis(250);
const HIGHEST_LIMIT: Duration = Duration::from_secs(20);

/// Exponential backoff with full jitter.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// `jitter` is a random number from 0 to 1.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let limit = FIRST_LIMIT.saturating_mul(2_u32.saturating_pow(self.failures)).min(HIGHEST_LIMIT);
        self.failures = self.failures.saturating_add(1);
        limit.mul_f64(jitter.clamp(0.0, 1.0))
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_highest_limit() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
        backoff.reset();
        assert_eq!(backoff.next(0.5).as_millis(), 125);
    }

    #[test]
    fn number_of_failures_does_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.next(1.0), HIGHEST_LIMIT);
    }
}
