//! Pacing: the minimum interval between batches.
use std::time::{Duration, Instant};

use crate::limits::Limits;

/// The interval grows with every batch: a reader who already has text to read does not wait for the next
/// batch.
#[derive(Debug)]
pub struct Pacing {
    interval: Duration,
    longest_interval: Duration,
    next_batch_at: Option<Instant>,
}

impl Pacing {
    pub fn new(limits: &Limits) -> Self {
        Self { interval: limits.pacing_first, longest_interval: limits.pacing_last, next_batch_at: None }
    }

    /// When the next batch may be published. The first one may be published at once.
    pub fn next_batch_at(&self, now: Instant) -> Instant {
        self.next_batch_at.unwrap_or(now)
    }

    pub fn on_batch_published(&mut self, now: Instant) {
        self.next_batch_at = Some(now + self.interval);
        self.interval = self.interval.mul_f64(1.25).min(self.longest_interval);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
mod tests {
    use super::*;

    #[test]
    fn interval_grows_by_a_quarter_per_batch_up_to_the_longest() {
        let mut now = Instant::now();
        let mut pacing = Pacing::new(&Limits::default());
        assert_eq!(pacing.next_batch_at(now), now);
        for milliseconds in
            [40.0, 50.0, 62.5, 78.125, 97.65625, 122.070312, 152.587890, 190.734863, 238.418578, 250.0, 250.0]
        {
            pacing.on_batch_published(now);
            let interval = pacing.next_batch_at(now) - now;
            assert!((interval.as_secs_f64() * 1000.0 - milliseconds).abs() < 0.001, "{interval:?}");
            now += interval;
        }
    }
}
