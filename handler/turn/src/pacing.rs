//! When the next batch may leave.
use std::time::{Duration, Instant};

use crate::limits::Limits;

/// The interval grows with every batch, because a reader who has text to read no longer waits for it.
#[derive(Debug)]
pub struct Pacing {
    interval: Duration,
    longest: Duration,
    earliest: Option<Instant>,
}

impl Pacing {
    pub fn new(limits: &Limits) -> Self {
        Self { interval: limits.pacing_first, longest: limits.pacing_last, earliest: None }
    }

    /// The first batch may leave at once.
    pub fn due(&self, now: Instant) -> Instant {
        self.earliest.unwrap_or(now)
    }

    pub fn started(&mut self, now: Instant) {
        self.earliest = Some(now + self.interval);
        self.interval = self.interval.mul_f64(1.25).min(self.longest);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;

    #[test]
    fn the_interval_grows_by_a_quarter_per_batch_up_to_its_longest() {
        let mut now = Instant::now();
        let mut pacing = Pacing::new(&Limits::default());
        assert_eq!(pacing.due(now), now);
        for milliseconds in
            [40.0, 50.0, 62.5, 78.125, 97.65625, 122.070312, 152.587890, 190.734863, 238.418578, 250.0, 250.0]
        {
            pacing.started(now);
            let waited = pacing.due(now) - now;
            assert!((waited.as_secs_f64() * 1000.0 - milliseconds).abs() < 0.001, "{waited:?}");
            now += waited;
        }
    }
}
