//! Decides what befalls at each occasion, by seed and plan alone, and counts it.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use clap::ValueEnum;

use super::{Boundary, Mishap, Unkindness};

/// Asked at every occasion of a mishap. Clones share the counts; the default is kind for ever.
#[derive(Clone, Debug, Default)]
pub struct Fates(Option<Arc<Spun>>);

#[derive(Debug)]
struct Spun {
    plan: Unkindness,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    occasions: BTreeMap<Mishap, u64>,
    befallen: BTreeMap<Mishap, u64>,
}

/// What falls to an occasion: further choices come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot(u64);

impl Fates {
    pub fn of(plan: &Unkindness) -> Self {
        let is_unkind = Mishap::value_variants().iter().any(|mishap| plan.includes(*mishap));
        Self(is_unkind.then(|| Arc::new(Spun { plan: plan.clone(), counts: Mutex::default() })))
    }

    /// Whether nothing can befall at all.
    pub fn are_kind(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the mishap can befall at all.
    pub fn include(&self, mishap: Mishap) -> bool {
        self.0.as_ref().is_some_and(|spun| spun.plan.includes(mishap))
    }

    /// At the next occasion of the mishap: its lot when it befalls.
    pub fn strike(&self, mishap: Mishap) -> Option<Lot> {
        self.decide(mishap, |plan, occasion| plan.exactly.contains(&(mishap, occasion)))
    }

    /// At an update of a subscriber, counted from 1 in the order of subscribing. One update can be two boundaries.
    pub fn strike_subscriber(&self, mishap: Mishap, subscriber: u64, boundaries: &[Boundary]) -> Option<Lot> {
        self.decide(mishap, |plan, occasion| {
            let mut planned = boundaries.iter().map(|boundary| (mishap, subscriber, *boundary));
            planned.any(|planned| plan.subscribers.contains(&planned)) || plan.exactly.contains(&(mishap, occasion))
        })
    }

    /// How often each mishap has befallen.
    pub fn befallen(&self) -> BTreeMap<Mishap, u64> {
        self.0.as_ref().map(|spun| spun.counts().befallen.clone()).unwrap_or_default()
    }

    fn decide(&self, mishap: Mishap, is_planned: impl Fn(&Unkindness, u64) -> bool) -> Option<Lot> {
        let spun = self.0.as_ref().filter(|spun| spun.plan.includes(mishap))?;
        let mut counts = spun.counts();
        let occasion = counts.occasions.entry(mishap).or_default();
        *occasion += 1;
        let lot = Lot::drawn(spun.plan.seed, mishap, *occasion);
        let rate = spun.plan.rates.get(&mishap).copied().unwrap_or_default();
        if !lot.falls_below(rate) && !is_planned(&spun.plan, *occasion) {
            return None;
        }
        *counts.befallen.entry(mishap).or_default() += 1;
        Some(lot.next())
    }
}

impl Spun {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lot {
    fn drawn(seed: u64, mishap: Mishap, occasion: u64) -> Self {
        Self(scattered(scattered(scattered(seed) ^ mishap as u64) ^ occasion))
    }

    /// One of so many, counted from 0.
    pub fn among(self, many: u64) -> u64 {
        self.0 % many.max(1)
    }

    /// Another lot that follows from this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(scattered(self.0))
    }

    fn falls_below(self, rate: f64) -> bool {
        ((self.0 >> 11) as f64) < rate * (1_u64 << 53) as f64
    }
}

/// SplitMix64: neighbours end far apart.
fn scattered(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Boundary::{Last, Nth};

    fn struck(seed: u64, rate: f64) -> Vec<bool> {
        let rates = BTreeMap::from([(Mishap::StaleRead, rate)]);
        let fates = Fates::of(&Unkindness { seed, rates, ..Unkindness::default() });
        (0..1_000).map(|_| fates.strike(Mishap::StaleRead).is_some()).collect()
    }

    #[test]
    fn a_seed_repeats_itself_and_another_differs() {
        assert_eq!(struck(7, 0.1), struck(7, 0.1));
        assert_ne!(struck(7, 0.1), struck(8, 0.1));
    }

    #[test]
    fn a_rate_is_kept() {
        let often = |rate| struck(1, rate).into_iter().filter(|struck| *struck).count();
        assert_eq!((often(0.0), often(1.0)), (0, 1_000));
        assert!((60..140).contains(&often(0.1)), "{}", often(0.1));
    }

    #[test]
    fn an_exact_occasion_is_met_once_and_counted() {
        let exactly = [(Mishap::PublishTwice, 3)].into();
        let fates = Fates::of(&Unkindness { exactly, ..Unkindness::default() });
        let met: Vec<bool> = (0..5).map(|_| fates.strike(Mishap::PublishTwice).is_some()).collect();
        assert_eq!(met, [false, false, true, false, false]);
        assert_eq!(fates.befallen(), BTreeMap::from([(Mishap::PublishTwice, 1)]));
    }

    #[test]
    fn a_subscriber_is_struck_at_its_own_update_alone() {
        let subscribers = [(Mishap::UpdateLost, 2, Nth(5)), (Mishap::UpdateLost, 3, Last)].into();
        let fates = Fates::of(&Unkindness { subscribers, ..Unkindness::default() });
        let struck = |subscriber, at: &[_]| fates.strike_subscriber(Mishap::UpdateLost, subscriber, at).is_some();
        assert!(struck(2, &[Nth(5)]) && !struck(1, &[Nth(5)]) && !struck(2, &[Nth(4)]));
        assert!(struck(3, &[Nth(9), Last]) && !struck(3, &[Nth(9)]) && !struck(2, &[Nth(9), Last]));
    }

    #[test]
    fn nothing_befalls_that_was_not_asked_for() {
        let fates = Fates::of(&Unkindness::default());
        assert!(
            Mishap::value_variants().iter().all(|mishap| fates.strike(*mishap).is_none() && !fates.include(*mishap))
        );
    }
}
