//! The configuration of fault injection: which faults, how often or exactly when.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Fault, KillPoint};

/// Which faults are injected. The default injects none.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// Seed of the random generators: with the same seed, the nth hit of a fault's injection point has the
    /// same result.
    pub seed: u64,
    /// Delay of each mutation of a function before AppSync executes it.
    pub publish_latency: Duration,
    /// Delay of each message that a function sends to a channel of the Events API or to a connection.
    pub reply_latency: Duration,
    /// Length of a `Fault::PublishOutage`.
    pub outage: Duration,
    /// How long a `Fault::KnowledgeResuming` lasts.
    pub resume_time: Duration,
    /// Probability of a fault at each hit of its injection point, from 0 to 1.
    pub rates: BTreeMap<Fault, f64>,
    /// Hits of injection points at which a fault is certain, counted from 1 for each fault: the 3rd publish.
    pub on_hits: BTreeSet<(Fault, u64)>,
    /// Updates at which a fault is certain: the fault, the subscriber's number in the order of subscribing,
    /// the update.
    pub on_updates: BTreeSet<(Fault, u64, UpdatePosition)>,
    /// Where processes are killed, by their numbers in the order of their start.
    pub kills: BTreeMap<u64, KillPoint>,
    /// Whether the calls of processes are recorded.
    pub record_calls: bool,
}

/// One of the updates of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdatePosition {
    /// Counted from 1.
    Nth(u64),
    /// The update that ends a turn.
    Last,
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self {
            seed: 0,
            publish_latency: Duration::ZERO,
            reply_latency: Duration::ZERO,
            outage: Duration::from_secs(60),
            resume_time: Duration::from_secs(15),
            rates: BTreeMap::new(),
            on_hits: BTreeSet::new(),
            on_updates: BTreeSet::new(),
            kills: BTreeMap::new(),
            record_calls: false,
        }
    }
}

impl FaultPlan {
    /// Parses `NAME=RATE`, as `--fault` takes it.
    pub fn parse_rate(text: &str) -> Result<(Fault, f64), String> {
        let (name, rate) = text.split_once('=').ok_or("it must be NAME=RATE")?;
        let fault = Fault::from_name(name).ok_or_else(|| {
            let names = Fault::ALL.map(Fault::name).join(", ");
            format!("there is no fault '{name}'; choose from {names}")
        })?;
        match rate.parse() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => Ok((fault, rate)),
            _ => Err(format!("the rate must be from 0 to 1, not '{rate}'")),
        }
    }

    /// Whether the fault can be injected at all.
    pub fn includes(&self, fault: Fault) -> bool {
        self.rates.get(&fault).is_some_and(|rate| *rate > 0.0)
            || self.on_hits.iter().any(|(planned, _)| *planned == fault)
            || self.on_updates.iter().any(|(planned, ..)| *planned == fault)
            || fault == Fault::ProcessKilled && !self.kills.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_parsed_with_its_fault() {
        assert_eq!(FaultPlan::parse_rate("stale-read=0.5"), Ok((Fault::StaleRead, 0.5)));
    }

    #[test]
    fn invalid_rates_name_the_mistake() {
        for (text, message) in [
            ("stale-read", "it must be NAME=RATE"),
            ("stale-read=2", "the rate must be from 0 to 1, not '2'"),
            ("stale-read=often", "the rate must be from 0 to 1, not 'often'"),
            ("bad-luck=0.5", "there is no fault 'bad-luck'; choose from table-conflict, "),
        ] {
            let error = FaultPlan::parse_rate(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
