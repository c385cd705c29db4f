//! How long to wait before connecting again.
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(20);

/// Doubles with each failure, with full jitter; starts anew once a connection stands.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// `chance` is drawn from 0 to 1.
    pub fn next(&mut self, chance: f64) -> Duration {
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(chance.clamp(0.0, 1.0))
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
        backoff.reset();
        assert_eq!(backoff.next(0.5).as_millis(), 125);
    }

    #[test]
    fn many_failures_overflow_nothing() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.next(1.0), LAST);
    }
}
