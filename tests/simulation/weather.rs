//! What goes wrong in a run, and how often: drawn once, so that runs differ in kind and not only in detail.
use std::{collections::BTreeMap, ops::Range, time::Duration};

use crate::dice::Dice;

/// Between whom a call travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    UserToApi,
    HandlerToApi,
    HandlerToTable,
    ResolverToTable,
    ResolverToLambda,
}

/// What can happen to a call, to a process and to an update under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Takes seconds.
    Slow,
    /// Refused with nothing done.
    Throttled,
    /// A server's error with nothing done.
    Failed,
    /// A server's error after it took effect.
    FailedAfterEffect,
    /// The connection breaks before it arrives.
    LostBefore,
    /// The connection breaks after it took effect.
    LostAfter,
    /// Never arrives and is never answered.
    HungBefore,
    /// Took effect and is never answered.
    HungAfter,
    /// Takes effect twice, the second time later.
    Doubled,
    /// Takes effect long after the caller has given up.
    Overtaken,
    ApiDown,
    ProcessKilled,
    ProcessKilledAtCall,
    ProcessStalled,
    OutOfTime,
    DeliveredTwice,
    DeliveredLate,
    InvokeThrottled,
    UpdateLost,
    UpdateDoubled,
    UpdateReordered,
    SubscriberCut,
    SubscriberAway,
}

const OF_CALLS: [Fault; 10] = [
    Fault::Slow,
    Fault::Throttled,
    Fault::Failed,
    Fault::FailedAfterEffect,
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::HungBefore,
    Fault::HungAfter,
    Fault::Doubled,
    Fault::Overtaken,
];
const LINKS: [Link; 5] =
    [Link::UserToApi, Link::HandlerToApi, Link::HandlerToTable, Link::ResolverToTable, Link::ResolverToLambda];

pub type Counts = BTreeMap<Fault, u64>;

/// Chances are per mille.
pub struct Weather {
    links: BTreeMap<Link, (u64, Vec<Fault>)>,
    down: Vec<Range<Duration>>,
    pub deaths: u64,
    pub stalls: u64,
    pub doubles: u64,
    pub lateness: u64,
    pub lost_updates: u64,
    pub disordered_updates: u64,
    pub cuts: u64,
    calm: bool,
    pub counts: Counts,
}

/// One call's way there and back.
pub struct Passage {
    pub fault: Option<Fault>,
    pub there: Duration,
    pub back: Duration,
}

impl Weather {
    pub fn draw(dice: &mut Dice) -> Self {
        let links = LINKS.map(|link| (link, (dice.one_of(&[0, 0, 5, 20, 60, 150]), kinds(dice)))).into();
        let down = match dice.percent(15) {
            true => {
                let from = dice.seconds(0..120);
                vec![from..from + dice.seconds(5..90)]
            }
            false => Vec::new(),
        };
        Self {
            links,
            down,
            deaths: dice.one_of(&[0, 0, 50, 200, 500]),
            stalls: dice.one_of(&[0, 0, 0, 50, 200]),
            doubles: dice.one_of(&[0, 0, 100, 400]),
            lateness: dice.one_of(&[0, 0, 100, 300]),
            lost_updates: dice.one_of(&[0, 0, 20, 100, 400]),
            disordered_updates: dice.one_of(&[0, 0, 50, 200]),
            cuts: dice.one_of(&[0, 0, 30, 150]),
            calm: false,
            counts: Counts::new(),
        }
    }

    /// Nothing goes wrong from now on.
    pub fn clear(&mut self) {
        self.calm = true;
    }

    /// Whether something with this chance happens, and if so, that it did.
    pub fn strikes(&mut self, dice: &mut Dice, chance: u64, fault: Fault) -> bool {
        let struck = !self.calm && chance > 0 && dice.per_mille(chance);
        if struck {
            self.count(fault);
        }
        struck
    }

    pub fn passage(&mut self, dice: &mut Dice, link: Link, now: Duration) -> Passage {
        let fault = self.fault(dice, link, now);
        if let Some(fault) = fault {
            self.count(fault);
        }
        let (there, back) = match fault {
            Some(Fault::Slow) => (dice.milliseconds(200..4_000), dice.milliseconds(100..3_000)),
            Some(Fault::Overtaken) => (dice.seconds(11..80), Duration::ZERO),
            _ => (dice.milliseconds(1..8), dice.milliseconds(1..8)),
        };
        Passage { fault, there, back }
    }

    pub fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    fn fault(&self, dice: &mut Dice, link: Link, now: Duration) -> Option<Fault> {
        if self.calm {
            return None;
        }
        if link == Link::HandlerToApi && self.down.iter().any(|down| down.contains(&now)) {
            return Some(Fault::ApiDown);
        }
        let (chance, kinds) = self.links.get(&link)?;
        dice.per_mille(*chance).then(|| dice.one_of(kinds))
    }
}

fn kinds(dice: &mut Dice) -> Vec<Fault> {
    let mut kinds: Vec<Fault> = OF_CALLS.into_iter().filter(|_| dice.percent(50)).collect();
    kinds.push(dice.one_of(&OF_CALLS));
    kinds
}
