//! Exponential backoff with jitter.
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Delays that double from `first` to `longest`, reduced by a random amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
    pub jitter: Jitter,
}

/// How much of a delay is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// The upper half: a delay is never shorter than half of what it could be.
    Half,
    /// All of it: spreads many clients that were cut off at the same moment.
    Full,
}

impl Backoff {
    pub const fn half_jitter(first: Duration, longest: Duration) -> Self {
        Self { first, longest, jitter: Jitter::Half }
    }

    pub const fn full_jitter(first: Duration, longest: Duration) -> Self {
        Self { first, longest, jitter: Jitter::Full }
    }

    /// The delay after `failures` failed tries, counted from 1. `random` is between 0 and 1.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1);
        let ceiling = self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest);
        let floor = match self.jitter {
            Jitter::Half => ceiling / 2,
            Jitter::Full => Duration::ZERO,
        };
        floor + (ceiling - floor).mul_f64(random.clamp(0.0, 1.0))
    }

    /// The delay after `failures` failed tries, counted from 1: the same for the same seed.
    pub fn seeded_delay(&self, failures: u32, jitter_seed: u64) -> Duration {
        let seed = jitter_seed.wrapping_add(u64::from(failures));
        self.delay(failures, fastrand::Rng::with_seed(seed).f64())
    }
}

/// A jitter seed made from names, so that a run can be repeated exactly while different turns still get
/// different delays.
pub fn jitter_seed(names: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);
    const CEILINGS: [(u32, u64); 7] =
        [(1, 100), (2, 200), (3, 400), (6, 3200), (7, 5000), (1000, 5000), (u32::MAX, 5000)];

    #[test]
    fn half_jitter_keeps_at_least_half_of_each_delay() {
        let backoff = Backoff::half_jitter(FIRST, LONGEST);
        for (failures, ceiling) in CEILINGS {
            let ceiling = Duration::from_millis(ceiling);
            assert_eq!(backoff.delay(failures, 0.0), ceiling / 2);
            assert_eq!(backoff.delay(failures, 1.0), ceiling);
        }
    }

    #[test]
    fn full_jitter_spreads_over_the_whole_delay() {
        let backoff = Backoff::full_jitter(FIRST, LONGEST);
        for (failures, ceiling) in CEILINGS {
            let ceiling = Duration::from_millis(ceiling);
            assert_eq!(backoff.delay(failures, 0.0), Duration::ZERO);
            assert_eq!(backoff.delay(failures, 0.5), ceiling / 2);
            assert_eq!(backoff.delay(failures, 1.0), ceiling);
        }
    }

    #[test]
    fn same_seed_gives_same_delay_and_different_seeds_differ() {
        let backoff = Backoff::half_jitter(FIRST, LONGEST);
        let [one, other] = [jitter_seed(&["c", "t1"]), jitter_seed(&["c", "t2"])];
        assert_eq!(backoff.seeded_delay(3, one), backoff.seeded_delay(3, one));
        assert_ne!(backoff.seeded_delay(3, one), backoff.seeded_delay(3, other));
        assert_ne!(jitter_seed(&["ab", "c"]), jitter_seed(&["a", "bc"]));
    }
}
