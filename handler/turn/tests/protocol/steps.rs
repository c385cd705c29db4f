//! Everything that can happen next.
use api::types::{
    StopReason,
    TurnStatus::{self, Cancelled, Cancelling, Completed, Failed, Queued, Running},
};
use turn::{
    claim::Refusal,
    closing::{self, Decision},
    mutation::Why,
};

use crate::{
    table::{Item, Lease, NOW},
    weakness::Weakness,
    world::{Closer, Delivery, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    LeaseExpires,
    TimeToClaimExpires,
    Claim {
        run: u8,
    },
    /// A delivery that is not needed ends.
    Leave {
        run: u8,
    },
    /// A publish or a heartbeat.
    Renew {
        attempt: u8,
    },
    Finish {
        run: u8,
        attempt: u8,
        status: TurnStatus,
        by: Way,
    },
    /// What it writes is refused; or it has finished before and hears so now.
    Stop {
        attempt: u8,
    },
    Announce {
        run: u8,
    },
    ReadToClose {
        run: u8,
    },
    Close {
        run: u8,
    },
    /// What was read is no longer so.
    LookAgain,
    AskToStop,
    CancelAtOnce,
    SendAgain,
    Reopen,
    SendNext,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    AppSync,
    /// Through AppSync, but the answer is lost.
    AppSyncUnheard,
    Table,
}

type Next = (Step, World);

pub fn from(world: &World, weakness: Weakness) -> Vec<Next> {
    let mut steps = time(world);
    let mut deliveries = world.deliveries.clone();
    deliveries.dedup();
    for delivery in deliveries {
        steps.extend(deliver(world, delivery, weakness));
    }
    for read in reads(world.turn) {
        steps.extend(cancel(world, read, weakness));
        steps.extend(retry(world, read, weakness));
        steps.extend(next_message(world, read, weakness));
    }
    steps.extend(send_again(world));
    steps.extend(first_closer(world, weakness));
    steps.extend(close_or_announce(world, 2, weakness));
    steps
}

fn time(world: &World) -> Vec<Next> {
    let mut steps = Vec::new();
    if world.turn.is_leased() {
        steps.push((Step::LeaseExpires, world.with(Item { lease: Lease::Dead, ..world.turn })));
    }
    if world.turn.is_claimable {
        steps.push((Step::TimeToClaimExpires, world.with(Item { is_claimable: false, ..world.turn })));
    }
    steps
}

/// When every lease and every deadline has passed.
pub fn late(world: &World) -> World {
    let lease = if world.turn.is_leased() { Lease::Dead } else { world.turn.lease };
    world.with(Item { lease, is_claimable: false, ..world.turn })
}

/// What somebody may have read who writes only if that still holds: time may have passed meanwhile.
fn reads(turn: Item) -> impl Iterator<Item = Item> {
    let earlier = Item { is_claimable: true, ..turn };
    [turn].into_iter().chain((!turn.is_claimable).then_some(earlier))
}

fn deliver(world: &World, delivery: Delivery, weakness: Weakness) -> Vec<Next> {
    let rest = world.without(delivery);
    match delivery {
        Delivery::Waiting { run } => begin(world, &rest, run, weakness).into_iter().collect(),
        Delivery::Answering { run, attempt, .. } if !world.turn.admits_attempt(run, attempt, weakness) => {
            vec![leave(&rest, (run, attempt), weakness).unwrap_or((Step::Stop { attempt }, rest))]
        }
        Delivery::Answering { run, attempt, heard_cancel } => work(&rest, (run, attempt), heard_cancel, weakness),
        Delivery::Finished { run, attempt } => {
            let is_mine = (world.turn.run, world.turn.attempt) == (run, attempt);
            let turn = Item { is_announced: world.turn.is_announced || is_mine, ..world.turn };
            vec![(Step::Announce { run }, rest.with(turn))]
        }
    }
}

fn begin(world: &World, rest: &World, run: u8, weakness: Weakness) -> Option<Next> {
    let turn = world.turn;
    if turn.admits_claim(run, weakness) {
        let attempt = turn.attempt + 1;
        let claimed = rest.with(Item { status: Running, attempt, lease: Lease::Live, ..turn });
        return Some((Step::Claim { run }, claimed.and(Delivery::Answering { run, attempt, heard_cancel: false })));
    }
    match Refusal::of(Some(turn.stored()), run.into(), NOW) {
        Refusal::Leased => None,
        Refusal::TooLate if weakness == Weakness::TooLateIsLeftOpen => Some((Step::Leave { run }, rest.clone())),
        Refusal::Cancelled | Refusal::Unannounced | Refusal::TooLate => close_or_announce(rest, run, weakness),
        Refusal::Gone | Refusal::OtherRun | Refusal::Ended => Some((Step::Leave { run }, rest.clone())),
    }
}

/// Refused by the fence, an attempt closes the turn that nobody else has claimed.
fn leave(rest: &World, (run, attempt): (u8, u8), weakness: Weakness) -> Option<Next> {
    let is_mine = rest.turn.attempt == attempt && weakness != Weakness::OversleptIsLeftOpen;
    is_mine.then(|| close_or_announce(rest, run, weakness))?
}

fn work(rest: &World, (run, attempt): (u8, u8), heard_cancel: bool, weakness: Weakness) -> Vec<Next> {
    let status = if weakness == Weakness::RenewalForgetsTheCancel { Running } else { rest.turn.status };
    let renewed = rest.with(Item { status, lease: Lease::Live, ..rest.turn });
    let heard = heard_cancel || rest.turn.status == Cancelling;
    let answering = |heard_cancel| Delivery::Answering { run, attempt, heard_cancel };
    let mut steps = vec![(Step::Renew { attempt }, renewed.and(answering(heard)))];
    let status = if heard_cancel { Cancelled } else { Completed };
    for by in [Way::AppSync, Way::AppSyncUnheard, Way::Table] {
        let mut finished = rest.ended(run, status);
        finished.turn.is_announced = by != Way::Table;
        finished.is_active = weakness == Weakness::FinishKeepsTheConversationBusy;
        let finished = match by {
            Way::AppSync => finished,
            Way::AppSyncUnheard => finished.and(answering(heard_cancel)),
            Way::Table => finished.and(Delivery::Finished { run, attempt }),
        };
        steps.push((Step::Finish { run, attempt, status, by }, finished));
    }
    steps
}

fn cancel(world: &World, read: Item, weakness: Weakness) -> Option<Next> {
    if !world.may.cancel {
        return None;
    }
    let turn = world.turn;
    let is_in_time = turn.is_claimable || weakness == Weakness::CancelIgnoresTime;
    let is_running = match weakness {
        Weakness::CancelIgnoresEnd => true,
        Weakness::CancelIgnoresLease => turn.status == Running,
        _ => turn.status == Running && turn.is_leased(),
    };
    let (step, mut after) = if is_running {
        (Step::AskToStop, world.with(Item { status: Cancelling, ..turn }))
    } else if read.effective() == Queued && is_in_time {
        (Step::CancelAtOnce, world.ended(turn.run, Cancelled))
    } else {
        return None;
    };
    after.may.cancel = false;
    Some((step, after))
}

fn send_again(world: &World) -> Option<Next> {
    if !world.may.repeat || world.turn.effective() != Queued {
        return None;
    }
    let mut sent = world.clone();
    sent.may.repeat = false;
    Some((Step::SendAgain, sent.and(Delivery::Waiting { run: world.turn.run })))
}

fn retry(world: &World, read: Item, weakness: Weakness) -> Option<Next> {
    let turn = world.turn;
    if !world.may.retry || !(read.has_ended() || weakness == Weakness::RetryIgnoresTheOpenTurn) {
        return None;
    }
    let attempt = match weakness {
        Weakness::RetryKeepsAttempt => turn.attempt,
        Weakness::AttemptsBeginAnewAndFenceIgnoresRun => 0,
        _ => turn.attempt + 1,
    };
    let run = if weakness == Weakness::RetryKeepsRun { turn.run } else { turn.run + 1 };
    let item = Item { status: Queued, run, attempt, lease: Lease::None, is_claimable: true, is_announced: false };
    let mut reopened = World { is_active: true, ..world.with(item) };
    reopened.may.retry = false;
    Some((Step::Reopen, reopened.and(Delivery::Waiting { run })))
}

/// Closes a turn that has only effectively ended. Afterwards the turn is no longer the last, and cannot be retried.
pub fn next_message(world: &World, read: Item, weakness: Weakness) -> Option<Next> {
    let is_admitted = match weakness {
        Weakness::NextMessageTrustsTheStoredStatus => read.status.is_end(),
        Weakness::NextMessageIgnoresTheActiveTurn => true,
        _ => read.has_ended(),
    };
    if !world.may.go_on || !is_admitted {
        return None;
    }
    let status = if read.has_ended() { read.effective() } else { read.status };
    let mut sent = World { is_active: false, ..world.with(Item { status, ..world.turn }) };
    (sent.may.go_on, sent.may.retry) = (false, false);
    Some((Step::SendNext, sent))
}

/// Reads the record of a delivery that failed for good, and writes some time later.
fn first_closer(world: &World, weakness: Weakness) -> Option<Next> {
    let now = |closer, world: &World| World { closers: [closer, world.closers[1]], ..world.clone() };
    match world.closers[0] {
        Closer::Ready if matches!(decision(world.turn, 1, weakness), Decision::Close(_)) => {
            Some((Step::ReadToClose { run: 1 }, now(Closer::Read(world.turn), world)))
        }
        Closer::Ready => close_or_announce(world, 1, weakness),
        Closer::Read(read) => Some(match closed(world, 1, read, weakness) {
            Some(closed) => (Step::Close { run: 1 }, now(Closer::Ready, &closed)),
            None => (Step::LookAgain, now(Closer::Ready, world)),
        }),
    }
}

/// A closer, or a handler that finds nothing else to do.
fn close_or_announce(world: &World, run: u8, weakness: Weakness) -> Option<Next> {
    match decision(world.turn, run, weakness) {
        Decision::Close(_) => closed(world, run, world.turn, weakness).map(|closed| (Step::Close { run }, closed)),
        Decision::Announce if weakness == Weakness::CloserRepeatsTheAnswer => {
            Some((Step::Announce { run }, world.ended(run, world.turn.status)))
        }
        Decision::Announce => Some((Step::Announce { run }, world.with(Item { is_announced: true, ..world.turn }))),
        Decision::Later | Decision::Nothing => None,
    }
}

/// The world in which what was read is closed; None when the table refuses or there is nothing to close.
pub fn closed(world: &World, run: u8, read: Item, weakness: Weakness) -> Option<World> {
    let Decision::Close(why) = decision(read, run, weakness) else { return None };
    let status = match why {
        Why::Stopped(StopReason::Cancelled) if weakness != Weakness::CloserAlwaysFails => Cancelled,
        _ => Failed,
    };
    (world.turn.is_as(read, weakness) && world.is_active).then(|| world.ended(read.run, status))
}

fn decision(turn: Item, run: u8, weakness: Weakness) -> Decision {
    let run = if weakness == Weakness::CloserIgnoresRun { turn.run } else { run };
    let lease = if weakness == Weakness::CloserIgnoresLease { Lease::Dead } else { turn.lease };
    match closing::decide(Some(&Item { lease, ..turn }.stored()), run.into(), NOW) {
        Decision::Close(_) if weakness == Weakness::CloserLeavesTheUnclaimed && turn.status == Queued => {
            Decision::Nothing
        }
        decision => decision,
    }
}
