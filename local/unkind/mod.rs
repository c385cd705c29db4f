//! What AWS does unkindly, on demand: a closed list of mishaps, and a plan of how often or when exactly each befalls.
//!
//! Nothing befalls by itself, and what was never asked for costs nothing. The table (`dynamodb`), the event queue
//! (`lambda`) and the subscriptions (`graphql`) ask the `Fates` at each occasion; publishes and the calls of processes
//! are met on their way, here.
mod fates;
mod kills;
mod mishap;
mod publishes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use fates::{Fates, Lot};
pub use kills::{Call, Phase, Point, Witness};
pub use mishap::Mishap;
pub use publishes::treat;

/// The plan: what befalls, how often or when.
#[derive(Clone, Debug)]
pub struct Unkindness {
    /// The same seed, the same lots at the same occasions.
    pub seed: u64,
    /// How long a mutation of a function takes before AppSync looks at it.
    pub publish_latency: Duration,
    /// How long AppSync stays down once it is.
    pub outage: Duration,
    /// How likely a mishap is at each of its occasions, from 0 to 1.
    pub rates: BTreeMap<Mishap, f64>,
    /// The occasions at which a mishap befalls for certain, each kind counted from 1: the 3rd publish.
    pub exactly: BTreeSet<(Mishap, u64)>,
    /// The same for one subscriber: the mishap, its number in the order of subscribing, and at which of its updates.
    pub subscribers: BTreeSet<(Mishap, u64, Boundary)>,
    /// Processes, numbered in the order of their start, and where in their work they are killed.
    pub kills: BTreeMap<u64, Point>,
    /// Whether the calls of processes are written down.
    pub is_recording: bool,
}

/// One of the updates that a subscriber is to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boundary {
    /// Counted from 1.
    Nth(u64),
    /// The one that ends a turn.
    Last,
}

impl Default for Unkindness {
    fn default() -> Self {
        Self {
            seed: 0,
            publish_latency: Duration::ZERO,
            outage: Duration::from_secs(60),
            rates: BTreeMap::new(),
            exactly: BTreeSet::new(),
            subscribers: BTreeSet::new(),
            kills: BTreeMap::new(),
            is_recording: false,
        }
    }
}

impl Unkindness {
    /// Whether the mishap can befall at all.
    pub fn includes(&self, mishap: Mishap) -> bool {
        self.rates.get(&mishap).is_some_and(|rate| *rate > 0.0)
            || self.exactly.iter().any(|(planned, _)| *planned == mishap)
            || self.subscribers.iter().any(|(planned, ..)| *planned == mishap)
            || mishap == Mishap::ProcessKilled && !self.kills.is_empty()
    }
}
