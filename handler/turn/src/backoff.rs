//! How long to wait before the next try.
use std::time::Duration;

use crate::limits::Backoff;

impl Backoff {
    /// Doubles from `first` to `longest`; the upper half is jitter, drawn from what is retried, so that a run can be
    /// repeated exactly and two turns still differ. `tries`: how many have failed, from 1.
    pub fn after(&self, tries: u32, salt: u64) -> Duration {
        let doubled = self.first.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(self.longest);
        doubled / 2 + (doubled / 2).mul_f64(fraction(salt, tries))
    }
}

/// A number that tells turns apart, for jitter: FNV-1a of its parts.
pub fn salt(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// From 0 to below 1: the finalizer of SplitMix64.
fn fraction(salt: u64, tries: u32) -> f64 {
    let mut mixed = salt.wrapping_add(u64::from(tries).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 40) as f64 / (1u64 << 24) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

    #[test]
    fn waits_double_up_to_the_longest_and_keep_at_least_half() {
        for (tries, ceiling) in [(1, 100), (2, 200), (3, 400), (6, 3200), (7, 5000), (1000, 5000)] {
            let ceiling = Duration::from_millis(ceiling);
            let wait = BACKOFF.after(tries, 7);
            assert!(ceiling / 2 <= wait && wait <= ceiling, "{tries} tries: {wait:?}");
        }
    }

    #[test]
    fn the_same_try_waits_the_same_and_two_turns_wait_differently() {
        let [one, other] = [salt(&["c", "t1"]), salt(&["c", "t2"])];
        assert_eq!(BACKOFF.after(3, one), BACKOFF.after(3, one));
        assert_ne!(BACKOFF.after(3, one), BACKOFF.after(3, other));
        assert_ne!(salt(&["ab", "c"]), salt(&["a", "bc"]));
    }
}
