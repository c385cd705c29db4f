//! Decides at each injection point whether its fault is injected, and counts the injected faults.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fastrand::Rng;

use super::{Fault, FaultPlan, UpdatePosition};

/// Asked at every hit of an injection point. Clones share state; the default never injects a fault.
#[derive(Clone, Debug, Default)]
pub struct FaultInjector(Option<Arc<Injector>>);

#[derive(Debug)]
struct Injector {
    plan: FaultPlan,
    points: Mutex<BTreeMap<Fault, InjectionPoint>>,
}

/// Each fault has a generator of its own, so that its results do not depend on the hits of other faults.
#[derive(Debug)]
struct InjectionPoint {
    rng: Rng,
    hits: u64,
    injected: u64,
}

impl FaultInjector {
    pub fn new(plan: &FaultPlan) -> Self {
        if !Fault::ALL.into_iter().any(|fault| plan.includes(fault)) {
            return Self(None);
        }
        let mut seeds = Rng::with_seed(plan.seed);
        let points = Fault::ALL.map(|fault| (fault, InjectionPoint { rng: seeds.fork(), hits: 0, injected: 0 }));
        Self(Some(Arc::new(Injector { plan: plan.clone(), points: Mutex::new(points.into()) })))
    }

    /// Whether any fault can be injected.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this fault can be injected.
    pub fn includes(&self, fault: Fault) -> bool {
        self.0.as_ref().is_some_and(|injector| injector.plan.includes(fault))
    }

    /// Counts a hit of the fault's injection point. Returns whether the fault is injected.
    pub fn should_inject(&self, fault: Fault) -> bool {
        self.sample(fault).is_some()
    }

    /// Counts a hit of the fault's injection point. Returns a generator for the fault's details if it is
    /// injected.
    pub fn sample(&self, fault: Fault) -> Option<Rng> {
        self.hit(fault, |plan, hit| plan.on_hits.contains(&(fault, hit)))
    }

    /// As `should_inject`, at an update of a subscriber; subscribers are counted from 1 in the order of
    /// subscribing. The nth update may also be the last, so an update may have two positions.
    pub fn should_inject_at_update(&self, fault: Fault, subscriber: u64, positions: &[UpdatePosition]) -> bool {
        let sample = self.hit(fault, |plan, hit| {
            plan.on_hits.contains(&(fault, hit))
                || positions.iter().any(|position| plan.on_updates.contains(&(fault, subscriber, *position)))
        });
        sample.is_some()
    }

    /// How often each fault was injected, without those that never were.
    pub fn injected_counts(&self) -> BTreeMap<Fault, u64> {
        let Some(injector) = &self.0 else { return BTreeMap::new() };
        let points = injector.points();
        points.iter().map(|(fault, point)| (*fault, point.injected)).filter(|(_, injected)| *injected > 0).collect()
    }

    fn hit(&self, fault: Fault, is_planned: impl Fn(&FaultPlan, u64) -> bool) -> Option<Rng> {
        let injector = self.0.as_ref()?;
        if !injector.plan.includes(fault) {
            return None;
        }
        let rate = injector.plan.rates.get(&fault).copied().unwrap_or_default();
        let mut points = injector.points();
        let point = points.get_mut(&fault)?;
        point.hits += 1;
        // Both values are drawn at every hit, so that the nth hit has the same values whatever was injected
        // before.
        let is_drawn = point.rng.f64() < rate;
        let details = point.rng.fork();
        if !is_drawn && !is_planned(&injector.plan, point.hits) {
            return None;
        }
        point.injected += 1;
        Some(details)
    }
}

impl Injector {
    fn points(&self) -> MutexGuard<'_, BTreeMap<Fault, InjectionPoint>> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UpdatePosition::{Last, Nth};

    fn injections(seed: u64, rate: f64) -> Vec<bool> {
        let rates = BTreeMap::from([(Fault::StaleRead, rate)]);
        let faults = FaultInjector::new(&FaultPlan { seed, rates, ..FaultPlan::default() });
        (0..1_000).map(|_| faults.should_inject(Fault::StaleRead)).collect()
    }

    #[test]
    fn same_seed_injects_at_the_same_hits() {
        assert_eq!(injections(7, 0.1), injections(7, 0.1));
        assert_ne!(injections(7, 0.1), injections(8, 0.1));
    }

    #[test]
    fn fault_does_not_depend_on_hits_of_other_faults() {
        let rates = BTreeMap::from([(Fault::StaleRead, 0.1), (Fault::PublishTwice, 0.5)]);
        let faults = FaultInjector::new(&FaultPlan { seed: 7, rates, ..FaultPlan::default() });
        let interleaved = (0..1_000).map(|_| {
            faults.should_inject(Fault::PublishTwice);
            faults.should_inject(Fault::StaleRead)
        });
        assert_eq!(interleaved.collect::<Vec<_>>(), injections(7, 0.1));
    }

    #[test]
    fn rate_is_kept() {
        let count = |rate| injections(1, rate).into_iter().filter(|is_injected| *is_injected).count();
        assert_eq!((count(0.0), count(1.0)), (0, 1_000));
        assert!((60..140).contains(&count(0.1)), "{}", count(0.1));
    }

    #[test]
    fn fault_is_injected_at_its_planned_hit_and_counted() {
        let on_hits = [(Fault::PublishTwice, 3)].into();
        let faults = FaultInjector::new(&FaultPlan { on_hits, ..FaultPlan::default() });
        let injected: Vec<bool> = (0..5).map(|_| faults.should_inject(Fault::PublishTwice)).collect();
        assert_eq!(injected, [false, false, true, false, false]);
        assert_eq!(faults.injected_counts(), BTreeMap::from([(Fault::PublishTwice, 1)]));
    }

    #[test]
    fn fault_is_injected_at_the_planned_update_of_one_subscriber() {
        let on_updates = [(Fault::UpdateLost, 2, Nth(5)), (Fault::UpdateLost, 3, Last)].into();
        let faults = FaultInjector::new(&FaultPlan { on_updates, ..FaultPlan::default() });
        let is_lost = |subscriber, at: &[_]| faults.should_inject_at_update(Fault::UpdateLost, subscriber, at);
        assert!(is_lost(2, &[Nth(5)]) && !is_lost(1, &[Nth(5)]) && !is_lost(2, &[Nth(4)]));
        assert!(is_lost(3, &[Nth(9), Last]) && !is_lost(3, &[Nth(9)]) && !is_lost(2, &[Nth(9), Last]));
    }

    #[test]
    fn default_plan_injects_nothing() {
        let faults = FaultInjector::new(&FaultPlan::default());
        assert!(Fault::ALL.into_iter().all(|fault| !faults.should_inject(fault) && !faults.includes(fault)));
        assert!(!faults.is_enabled());
    }
}
