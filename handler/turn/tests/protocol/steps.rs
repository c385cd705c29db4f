//! Everything that can happen next.
use api::types::{
    StopReason,
    TurnStatus::{self, Cancelled, Cancelling, Completed, Failed, Queued, Running},
};
use turn::{
    claim::ClaimRefusal,
    closing_decision::{self, ClosingDecision},
    mutation::EndReason,
};

use crate::{
    model::{Closer, Delivery, World},
    mutants::Mutant,
    table::{Item, Lease, NOW},
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

pub fn from(world: &World, mutant: Mutant) -> Vec<Next> {
    let mut steps = time(world);
    let mut deliveries = world.deliveries.clone();
    deliveries.dedup();
    for delivery in deliveries {
        steps.extend(deliver(world, delivery, mutant));
    }
    for read in reads(world.turn) {
        steps.extend(cancel(world, read, mutant));
        steps.extend(retry(world, read, mutant));
        steps.extend(next_message(world, read, mutant));
    }
    steps.extend(send_again(world));
    steps.extend(first_closer(world, mutant));
    steps.extend(close_or_announce(world, 2, mutant));
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

fn deliver(world: &World, delivery: Delivery, mutant: Mutant) -> Vec<Next> {
    let rest = world.without(delivery);
    match delivery {
        Delivery::Waiting { run } => begin(world, &rest, run, mutant).into_iter().collect(),
        Delivery::Answering { run, attempt, .. } if !world.turn.admits_attempt(run, attempt, mutant) => {
            vec![leave(&rest, (run, attempt), mutant).unwrap_or((Step::Stop { attempt }, rest))]
        }
        Delivery::Answering { run, attempt, heard_cancel } => work(&rest, (run, attempt), heard_cancel, mutant),
        Delivery::Finished { run, attempt } => {
            let is_mine = (world.turn.run, world.turn.attempt) == (run, attempt);
            let turn = Item { is_announced: world.turn.is_announced || is_mine, ..world.turn };
            vec![(Step::Announce { run }, rest.with(turn))]
        }
    }
}

fn begin(world: &World, rest: &World, run: u8, mutant: Mutant) -> Option<Next> {
    let turn = world.turn;
    if turn.admits_claim(run, mutant) {
        let attempt = turn.attempt + 1;
        let claimed = rest.with(Item { status: Running, attempt, lease: Lease::Live, ..turn });
        return Some((Step::Claim { run }, claimed.and(Delivery::Answering { run, attempt, heard_cancel: false })));
    }
    match ClaimRefusal::of(Some(turn.stored()), run.into(), NOW) {
        ClaimRefusal::Leased => None,
        ClaimRefusal::TooLate if mutant == Mutant::TooLateIsLeftOpen => Some((Step::Leave { run }, rest.clone())),
        ClaimRefusal::Cancelled | ClaimRefusal::Unannounced | ClaimRefusal::TooLate => {
            close_or_announce(rest, run, mutant)
        }
        ClaimRefusal::Gone | ClaimRefusal::OtherRun | ClaimRefusal::Ended => Some((Step::Leave { run }, rest.clone())),
    }
}

/// Refused by the fence, an attempt closes the turn that nobody else has claimed.
fn leave(rest: &World, (run, attempt): (u8, u8), mutant: Mutant) -> Option<Next> {
    let is_mine = rest.turn.attempt == attempt && mutant != Mutant::OversleptIsLeftOpen;
    is_mine.then(|| close_or_announce(rest, run, mutant))?
}

fn work(rest: &World, (run, attempt): (u8, u8), heard_cancel: bool, mutant: Mutant) -> Vec<Next> {
    let status = if mutant == Mutant::RenewalForgetsTheCancel { Running } else { rest.turn.status };
    let renewed = rest.with(Item { status, lease: Lease::Live, ..rest.turn });
    let heard = heard_cancel || rest.turn.status == Cancelling;
    let answering = |heard_cancel| Delivery::Answering { run, attempt, heard_cancel };
    let mut steps = vec![(Step::Renew { attempt }, renewed.and(answering(heard)))];
    let status = if heard_cancel { Cancelled } else { Completed };
    for by in [Way::AppSync, Way::AppSyncUnheard, Way::Table] {
        let mut finished = rest.ended(run, status);
        finished.turn.is_announced = by != Way::Table;
        finished.is_active = mutant == Mutant::FinishKeepsTheConversationBusy;
        let finished = match by {
            Way::AppSync => finished,
            Way::AppSyncUnheard => finished.and(answering(heard_cancel)),
            Way::Table => finished.and(Delivery::Finished { run, attempt }),
        };
        steps.push((Step::Finish { run, attempt, status, by }, finished));
    }
    steps
}

fn cancel(world: &World, read: Item, mutant: Mutant) -> Option<Next> {
    if !world.may.cancel {
        return None;
    }
    let turn = world.turn;
    let is_in_time = turn.is_claimable || mutant == Mutant::CancelIgnoresTime;
    let is_running = match mutant {
        Mutant::CancelIgnoresEnd => true,
        Mutant::CancelIgnoresLease => turn.status == Running,
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

fn retry(world: &World, read: Item, mutant: Mutant) -> Option<Next> {
    let turn = world.turn;
    if !world.may.retry || !(read.has_ended() || mutant == Mutant::RetryIgnoresTheOpenTurn) {
        return None;
    }
    let attempt = match mutant {
        Mutant::RetryKeepsAttempt => turn.attempt,
        Mutant::AttemptsBeginAnewAndFenceIgnoresRun => 0,
        _ => turn.attempt + 1,
    };
    let run = if mutant == Mutant::RetryKeepsRun { turn.run } else { turn.run + 1 };
    let item = Item { status: Queued, run, attempt, lease: Lease::None, is_claimable: true, is_announced: false };
    let mut reopened = World { is_active: true, ..world.with(item) };
    reopened.may.retry = false;
    Some((Step::Reopen, reopened.and(Delivery::Waiting { run })))
}

/// Closes a turn that has only effectively ended. Afterwards the turn is no longer the last, and cannot be retried.
pub fn next_message(world: &World, read: Item, mutant: Mutant) -> Option<Next> {
    let is_admitted = match mutant {
        Mutant::NextMessageTrustsTheStoredStatus => read.status.is_end(),
        Mutant::NextMessageIgnoresTheActiveTurn => true,
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
fn first_closer(world: &World, mutant: Mutant) -> Option<Next> {
    let now = |closer, world: &World| World { closers: [closer, world.closers[1]], ..world.clone() };
    match world.closers[0] {
        Closer::Ready if matches!(decision(world.turn, 1, mutant), ClosingDecision::Close(_)) => {
            Some((Step::ReadToClose { run: 1 }, now(Closer::Read(world.turn), world)))
        }
        Closer::Ready => close_or_announce(world, 1, mutant),
        Closer::Read(read) => Some(match closed(world, 1, read, mutant) {
            Some(closed) => (Step::Close { run: 1 }, now(Closer::Ready, &closed)),
            None => (Step::LookAgain, now(Closer::Ready, world)),
        }),
    }
}

/// A closer, or a handler that finds nothing else to do.
fn close_or_announce(world: &World, run: u8, mutant: Mutant) -> Option<Next> {
    match decision(world.turn, run, mutant) {
        ClosingDecision::Close(_) => closed(world, run, world.turn, mutant).map(|closed| (Step::Close { run }, closed)),
        ClosingDecision::Announce if mutant == Mutant::CloserRepeatsTheAnswer => {
            Some((Step::Announce { run }, world.ended(run, world.turn.status)))
        }
        ClosingDecision::Announce => {
            Some((Step::Announce { run }, world.with(Item { is_announced: true, ..world.turn })))
        }
        ClosingDecision::Later | ClosingDecision::Nothing => None,
    }
}

/// The world in which what was read is closed; None when the table refuses or there is nothing to close.
pub fn closed(world: &World, run: u8, read: Item, mutant: Mutant) -> Option<World> {
    let ClosingDecision::Close(why) = decision(read, run, mutant) else { return None };
    let status = match why {
        EndReason::Stopped(StopReason::Cancelled) if mutant != Mutant::CloserAlwaysFails => Cancelled,
        _ => Failed,
    };
    (world.turn.is_as(read, mutant) && world.is_active).then(|| world.ended(read.run, status))
}

fn decision(turn: Item, run: u8, mutant: Mutant) -> ClosingDecision {
    let run = if mutant == Mutant::CloserIgnoresRun { turn.run } else { run };
    let lease = if mutant == Mutant::CloserIgnoresLease { Lease::Dead } else { turn.lease };
    match closing_decision::decide(Some(&Item { lease, ..turn }.stored()), run.into(), NOW) {
        ClosingDecision::Close(_) if mutant == Mutant::CloserLeavesTheUnclaimed && turn.status == Queued => {
            ClosingDecision::Nothing
        }
        decision => decision,
    }
}
