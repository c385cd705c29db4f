//! Which faults a run has, and how often. A profile is drawn once per run, so that runs differ in kind and
//! not only in detail.
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    time::Duration,
};

use crate::rng::Rng;

/// The caller and the callee of a simulated call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    UserToApi,
    HandlerToApi,
    HandlerToTable,
    ResolverToTable,
    ResolverToLambda,
    HandlerToTool,
}

/// A fault of a call, of a process, of an event delivery or of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Request and response take seconds.
    Slow,
    /// Refused without effect.
    Throttled,
    /// A server error without effect.
    ServerError,
    /// A server error after the call took effect.
    ServerErrorAfterEffect,
    /// The connection breaks before the call takes effect.
    ConnectionLostBefore,
    /// The connection breaks after the call took effect.
    ConnectionLostAfter,
    /// The call has no effect and no response.
    HungBefore,
    /// The call takes effect and has no response.
    HungAfter,
    /// The call takes effect twice, the second time later.
    ExecutedTwice,
    /// The call takes effect long after its caller timed out.
    ExecutedLate,
    ApiOutage,
    ProcessKilled,
    ProcessKilledAtCall,
    ProcessStalled,
    FunctionTimedOut,
    EventDeliveredTwice,
    EventDeliveredLate,
    InvocationThrottled,
    UpdateLost,
    UpdateDuplicated,
    UpdateReordered,
    SubscriberDisconnected,
    SubscriberOfflineForMinutes,
    /// An eventually consistent read does not have the newest writes.
    StaleRead,
    SearchThrottled,
    SearchRefused,
    SearchSlow,
    DatabaseResuming,
}

const CALL_FAULTS: [Fault; 10] = [
    Fault::Slow,
    Fault::Throttled,
    Fault::ServerError,
    Fault::ServerErrorAfterEffect,
    Fault::ConnectionLostBefore,
    Fault::ConnectionLostAfter,
    Fault::HungBefore,
    Fault::HungAfter,
    Fault::ExecutedTwice,
    Fault::ExecutedLate,
];
const LINKS: [Link; 6] = [
    Link::UserToApi,
    Link::HandlerToApi,
    Link::HandlerToTable,
    Link::ResolverToTable,
    Link::ResolverToLambda,
    Link::HandlerToTool,
];

/// How often each fault was injected.
pub type FaultCounts = BTreeMap<Fault, u64>;

/// The probabilities of faults, per mille.
pub struct FaultProfile {
    links: BTreeMap<Link, LinkFaults>,
    /// When the API refuses the handlers' requests, since the beginning of the run.
    outage: Option<Range<Duration>>,
    /// A kill at one of an invocation's calls. A kill at a random time is half as probable.
    pub process_kills: u64,
    pub process_stalls: u64,
    pub duplicate_deliveries: u64,
    /// A late delivery. A throttled invocation is half as probable.
    pub late_deliveries: u64,
    pub lost_updates: u64,
    /// A reordered update, and a duplicated one.
    pub disordered_updates: u64,
    /// Minutes offline after a disconnection. A disconnection is a tenth as probable.
    pub disconnects: u64,
    /// The fault points at which the next invocations are killed, one for each.
    pub planned_kills: VecDeque<u32>,
    /// Whether all further invocations are killed before their first call.
    pub kills_all: bool,
    is_disabled: bool,
    pub counts: FaultCounts,
}

struct LinkFaults {
    probability: u64,
    faults: Vec<Fault>,
}

/// The fault and the delays of one call.
pub struct CallPlan {
    pub fault: Option<Fault>,
    pub request_delay: Duration,
    pub response_delay: Duration,
}

impl FaultProfile {
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            links: LINKS.map(|link| (link, LinkFaults::random(rng, link))).into(),
            outage: rng.percent(15).then(|| random_outage(rng)),
            process_kills: rng.choose(&[0, 0, 50, 200, 500]),
            process_stalls: rng.choose(&[0, 0, 0, 50, 200]),
            duplicate_deliveries: rng.choose(&[0, 0, 100, 400]),
            late_deliveries: rng.choose(&[0, 0, 100, 300]),
            lost_updates: rng.choose(&[0, 0, 20, 100, 400]),
            disordered_updates: rng.choose(&[0, 0, 50, 200]),
            disconnects: rng.choose(&[0, 0, 30, 150]),
            planned_kills: VecDeque::new(),
            kills_all: false,
            is_disabled: false,
            counts: FaultCounts::new(),
        }
    }

    /// Rare faults of calls and no other faults: a long run reaches its bound with them.
    pub fn for_long_run(rng: &mut Rng) -> Self {
        let mut profile = Self::random(rng);
        for link in profile.links.values_mut() {
            link.probability = link.probability.min(2);
        }
        profile.outage = None;
        profile.process_kills = 0;
        profile.process_stalls = 0;
        profile.duplicate_deliveries = 0;
        profile.late_deliveries = 0;
        profile.lost_updates = profile.lost_updates.min(20);
        profile.disconnects = profile.disconnects.min(30);
        profile
    }

    /// The fault point at which the next invocation is to be killed.
    pub fn next_planned_kill(&mut self) -> Option<u32> {
        self.planned_kills.pop_front().or(self.kills_all.then_some(0))
    }

    /// Tools are called without other faults.
    pub fn lose_tool_responses(&mut self) {
        let faults = vec![Fault::ServerErrorAfterEffect, Fault::ConnectionLostAfter];
        self.links.insert(Link::HandlerToTool, LinkFaults { probability: 200, faults });
    }

    /// Faults are injected, or none until they are enabled again.
    pub fn set_enabled(&mut self, is_enabled: bool) {
        self.is_disabled = !is_enabled;
    }

    /// No fault is injected from now on.
    pub fn disable(&mut self) {
        self.kills_all = false;
        self.is_disabled = true;
    }

    /// Decides whether a fault of this probability is injected, and counts it if it is.
    pub fn should_inject(&mut self, rng: &mut Rng, probability: u64, fault: Fault) -> bool {
        let is_injected = !self.is_disabled && probability > 0 && rng.per_mille(probability);
        if is_injected {
            self.count(fault);
        }
        is_injected
    }

    /// Plans a call at this time since the beginning of the run.
    pub fn plan_call(&mut self, rng: &mut Rng, link: Link, now: Duration) -> CallPlan {
        let fault = self.call_fault(rng, link, now);
        if let Some(fault) = fault {
            self.count(fault);
        }
        let (request_delay, response_delay) = match fault {
            Some(Fault::Slow) => (rng.milliseconds(200..4_000), rng.milliseconds(100..3_000)),
            Some(Fault::ExecutedLate) => (rng.seconds(11..80), Duration::ZERO),
            _ => (rng.milliseconds(1..8), rng.milliseconds(1..8)),
        };
        CallPlan { fault, request_delay, response_delay }
    }

    pub fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    fn call_fault(&self, rng: &mut Rng, link: Link, now: Duration) -> Option<Fault> {
        if self.is_disabled {
            return None;
        }
        if link == Link::HandlerToApi && self.outage.as_ref().is_some_and(|outage| outage.contains(&now)) {
            return Some(Fault::ApiOutage);
        }
        let LinkFaults { probability, faults } = self.links.get(&link)?;
        rng.per_mille(*probability).then(|| rng.choose(faults))
    }
}

impl LinkFaults {
    /// About half of the possible faults, and at least one.
    fn random(rng: &mut Rng, link: Link) -> Self {
        let probability = rng.choose(&[0, 0, 5, 20, 60, 150]);
        let mut faults: Vec<Fault> = CALL_FAULTS.into_iter().filter(|_| rng.percent(50)).collect();
        faults.push(rng.choose(&CALL_FAULTS));
        if link == Link::HandlerToTool {
            // Lambda executes a function once for each request that waits for its response.
            faults.retain(|fault| *fault != Fault::ExecutedTwice);
            faults.push(Fault::ConnectionLostAfter);
        }
        Self { probability, faults }
    }
}

fn random_outage(rng: &mut Rng) -> Range<Duration> {
    let start = rng.seconds(0..120);
    start..start + rng.seconds(5..90)
}
