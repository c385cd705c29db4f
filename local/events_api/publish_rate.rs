//! The limit on how often one connection publishes.
use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// AppSync's limit on the publishes of a connection in one second.
const MAX_PUBLISHES: usize = 25;
const PERIOD: Duration = Duration::from_secs(1);

/// The times of a connection's latest publishes, at most `MAX_PUBLISHES`.
#[derive(Debug, Default)]
pub struct PublishRate(VecDeque<Instant>);

impl PublishRate {
    /// Counts a publish if it is within the limit.
    pub fn admits(&mut self, now: Instant) -> bool {
        while self.0.front().is_some_and(|oldest| now.duration_since(*oldest) >= PERIOD) {
            self.0.pop_front();
        }
        if self.0.len() >= MAX_PUBLISHES {
            return false;
        }
        self.0.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_25_publishes() {
        let (mut rate, start) = (PublishRate::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!((0..25).all(|number| rate.admits(at(number * 10))));
        assert!(!rate.admits(at(250)) && !rate.admits(at(999)));
        assert!(rate.admits(at(1_000)) && !rate.admits(at(1_001)) && rate.admits(at(1_010)));
    }
}
