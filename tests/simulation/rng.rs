//! The random numbers of a run: the same seed gives the same run.
use std::{ops::Range, time::Duration};

pub struct Rng(fastrand::Rng);

impl Rng {
    pub fn with_seed(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number from 0 to `bound`, which is excluded.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(..bound)
    }

    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.0.u64(range)
    }

    /// True with this probability.
    pub fn percent(&mut self, probability: u64) -> bool {
        self.below(100) < probability
    }

    /// True with this probability.
    pub fn per_mille(&mut self, probability: u64) -> bool {
        self.below(1000) < probability
    }

    pub fn milliseconds(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    pub fn seconds(&mut self, range: Range<u64>) -> Duration {
        self.milliseconds(range.start * 1000..range.end * 1000)
    }

    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }
}
