//! The actions of the model: everything that can happen next in a state.
use api::types::{
    StopReason,
    TurnStatus::{self, Cancelled, Cancelling, Completed, Failed, Queued, Running},
};
use turn::{claim::ClaimRefusal, closing_decision::ClosingDecision, mutation::EndReason};

use crate::{
    mutants::Mutant,
    state::{Closer, Delivery, State},
    turn_item::{Lease, NOW, TurnItem},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    ExpireLease,
    ExpireClaimableUntil,
    Claim {
        run: u8,
    },
    /// A delivery ends without effect.
    Drop {
        run: u8,
    },
    /// A publish or a renewal of the lease.
    ExtendLease {
        attempt: u8,
    },
    Finish {
        run: u8,
        attempt: u8,
        status: TurnStatus,
        path: FinishPath,
    },
    /// An attempt ends because the fence refuses its write.
    Stop {
        attempt: u8,
    },
    Announce {
        run: u8,
    },
    CloserReads {
        run: u8,
    },
    Close {
        run: u8,
    },
    /// The closer's write is refused because the turn has changed since it was read.
    CloserStartsAgain,
    RequestCancel,
    CancelUnclaimed,
    RepeatSend,
    Retry,
    SendNextMessage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishPath {
    AppSync,
    /// Through AppSync, but the response is lost.
    AppSyncWithLostResponse,
    DirectWrite,
}

type Successor = (Action, State);

pub fn successors(state: &State, mutant: Mutant) -> Vec<Successor> {
    let mut successors = expirations(state);
    let mut deliveries = state.deliveries.clone();
    deliveries.dedup();
    for delivery in deliveries {
        successors.extend(deliver(state, delivery, mutant));
    }
    for read in possible_reads(state.turn) {
        successors.extend(cancel(state, read, mutant));
        successors.extend(retry(state, read, mutant));
        successors.extend(send_next_message(state, read, mutant));
    }
    successors.extend(repeat_send(state));
    successors.extend(act_as_first_closer(state, mutant));
    successors.extend(close_or_announce(state, 2, mutant));
    successors
}

fn expirations(state: &State) -> Vec<Successor> {
    let mut successors = Vec::new();
    if state.turn.is_leased() {
        let turn = TurnItem { lease: Lease::Dead, ..state.turn };
        successors.push((Action::ExpireLease, state.with_turn(turn)));
    }
    if state.turn.is_claimable {
        let turn = TurnItem { is_claimable: false, ..state.turn };
        successors.push((Action::ExpireClaimableUntil, state.with_turn(turn)));
    }
    successors
}

pub fn with_all_deadlines_passed(state: &State) -> State {
    let lease = if state.turn.is_leased() { Lease::Dead } else { state.turn.lease };
    state.with_turn(TurnItem { lease, is_claimable: false, ..state.turn })
}

/// The states that a resolver may have read before a conditional write that is accepted now. Time may have
/// passed in between.
fn possible_reads(turn: TurnItem) -> Vec<TurnItem> {
    let mut reads = vec![turn];
    if !turn.is_claimable {
        reads.push(TurnItem { is_claimable: true, ..turn });
    }
    reads
}

fn deliver(state: &State, delivery: Delivery, mutant: Mutant) -> Vec<Successor> {
    let rest = state.without_delivery(delivery);
    match delivery {
        Delivery::Waiting { run } => start(state, &rest, run, mutant).into_iter().collect(),
        Delivery::Answering { run, attempt, .. } if !state.turn.admits_attempt(run, attempt, mutant) => {
            let closed = close_after_expired_lease(&rest, run, attempt, mutant);
            vec![closed.unwrap_or((Action::Stop { attempt }, rest))]
        }
        Delivery::Answering { run, attempt, knows_cancel } => answer(&rest, run, attempt, knows_cancel, mutant),
        Delivery::Finished { run, attempt } => {
            let is_own_end = (state.turn.run, state.turn.attempt) == (run, attempt);
            let turn = TurnItem { is_announced: state.turn.is_announced || is_own_end, ..state.turn };
            vec![(Action::Announce { run }, rest.with_turn(turn))]
        }
    }
}

/// Starts a waiting delivery: it claims the turn, or does what the refusal asks for.
fn start(state: &State, rest: &State, run: u8, mutant: Mutant) -> Option<Successor> {
    let turn = state.turn;
    if turn.admits_claim(run, mutant) {
        let attempt = turn.attempt + 1;
        let claimed = rest.with_turn(TurnItem { status: Running, attempt, lease: Lease::Live, ..turn });
        let answering = Delivery::Answering { run, attempt, knows_cancel: false };
        return Some((Action::Claim { run }, claimed.with_delivery(answering)));
    }
    match ClaimRefusal::from_stored(Some(turn.stored()), run.into(), None, NOW) {
        ClaimRefusal::Leased => None,
        ClaimRefusal::Expired if mutant == Mutant::ExpiredClaimIsNotClosed => {
            Some((Action::Drop { run }, rest.clone()))
        }
        ClaimRefusal::Cancelled | ClaimRefusal::Unannounced | ClaimRefusal::Expired => {
            close_or_announce(rest, run, mutant)
        }
        ClaimRefusal::NotFound
        | ClaimRefusal::OtherRun
        | ClaimRefusal::Ended
        | ClaimRefusal::Waiting
        | ClaimRefusal::LeasedByOtherStart => Some((Action::Drop { run }, rest.clone())),
    }
}

/// An attempt that is refused by the fence closes its turn unless another attempt has claimed it.
fn close_after_expired_lease(rest: &State, run: u8, attempt: u8, mutant: Mutant) -> Option<Successor> {
    if rest.turn.attempt != attempt || mutant == Mutant::ExpiredLeaseIsNotClosed {
        return None;
    }
    close_or_announce(rest, run, mutant)
}

/// The actions of an attempt that the fence admits.
fn answer(rest: &State, run: u8, attempt: u8, knows_cancel: bool, mutant: Mutant) -> Vec<Successor> {
    let answering = |knows_cancel| Delivery::Answering { run, attempt, knows_cancel };
    let status = if mutant == Mutant::RenewalOverwritesCancel { Running } else { rest.turn.status };
    let extended = rest.with_turn(TurnItem { status, lease: Lease::Live, ..rest.turn });
    let learns_cancel = knows_cancel || rest.turn.status == Cancelling;
    let mut successors = vec![(Action::ExtendLease { attempt }, extended.with_delivery(answering(learns_cancel)))];

    let status = if knows_cancel { Cancelled } else { Completed };
    for path in [FinishPath::AppSync, FinishPath::AppSyncWithLostResponse, FinishPath::DirectWrite] {
        let mut finished = rest.with_closing_event(run, status);
        finished.turn.is_announced = path != FinishPath::DirectWrite;
        finished.is_active = mutant == Mutant::FinishKeepsConversationBusy;
        let finished = match path {
            FinishPath::AppSync => finished,
            FinishPath::AppSyncWithLostResponse => finished.with_delivery(answering(knows_cancel)),
            FinishPath::DirectWrite => finished.with_delivery(Delivery::Finished { run, attempt }),
        };
        successors.push((Action::Finish { run, attempt, status, path }, finished));
    }
    successors
}

fn cancel(state: &State, read: TurnItem, mutant: Mutant) -> Option<Successor> {
    if !state.client.cancel {
        return None;
    }
    let turn = state.turn;
    let is_running = match mutant {
        Mutant::CancelIgnoresEnd => true,
        Mutant::CancelIgnoresLease => turn.status == Running,
        _ => turn.status == Running && turn.is_leased(),
    };
    let is_unclaimed =
        read.effective_status() == Queued && (turn.is_claimable || mutant == Mutant::CancelIgnoresClaimableUntil);
    let (action, mut cancelled) = if is_running {
        (Action::RequestCancel, state.with_turn(TurnItem { status: Cancelling, ..turn }))
    } else if is_unclaimed {
        (Action::CancelUnclaimed, state.with_closing_event(turn.run, Cancelled))
    } else {
        return None;
    };
    cancelled.client.cancel = false;
    Some((action, cancelled))
}

fn repeat_send(state: &State) -> Option<Successor> {
    if !state.client.repeat_send || state.turn.effective_status() != Queued {
        return None;
    }
    let mut sent = state.clone();
    sent.client.repeat_send = false;
    Some((Action::RepeatSend, sent.with_delivery(Delivery::Waiting { run: state.turn.run })))
}

fn retry(state: &State, read: TurnItem, mutant: Mutant) -> Option<Successor> {
    let is_allowed = read.has_ended() || mutant == Mutant::RetryIgnoresOpenTurn;
    if !state.client.retry || !is_allowed {
        return None;
    }
    let attempt = match mutant {
        Mutant::RetryKeepsAttempt => state.turn.attempt,
        Mutant::RetryResetsAttemptAndFenceIgnoresRun => 0,
        _ => state.turn.attempt + 1,
    };
    let run = if mutant == Mutant::RetryKeepsRun { state.turn.run } else { state.turn.run + 1 };
    let mut reopened = state.with_turn(TurnItem {
        status: Queued,
        run,
        attempt,
        lease: Lease::None,
        is_claimable: true,
        is_announced: false,
    });
    reopened.is_active = true;
    reopened.client.retry = false;
    Some((Action::Retry, reopened.with_delivery(Delivery::Waiting { run })))
}

/// Sends the conversation's next message, which closes a turn that has only effectively ended. The turn is no
/// longer the last one then, so it cannot be retried.
pub fn send_next_message(state: &State, read: TurnItem, mutant: Mutant) -> Option<Successor> {
    let is_allowed = match mutant {
        Mutant::NextMessageTrustsStoredStatus => read.status.is_end(),
        Mutant::NextMessageIgnoresActiveTurn => true,
        _ => read.has_ended(),
    };
    if !state.client.send_next || !is_allowed {
        return None;
    }
    let status = if read.has_ended() { read.effective_status() } else { read.status };
    let mut sent = state.with_turn(TurnItem { status, ..state.turn });
    sent.is_active = false;
    sent.client.send_next = false;
    sent.client.retry = false;
    Some((Action::SendNextMessage, sent))
}

/// The closer of the first run reads the turn and writes some time later.
fn act_as_first_closer(state: &State, mutant: Mutant) -> Option<Successor> {
    let with_closer = |state: &State, closer| State { closers: [closer, state.closers[1]], ..state.clone() };
    match state.closers[0] {
        Closer::Ready => match closing_decision(state.turn, 1, mutant) {
            ClosingDecision::Close(_) => {
                Some((Action::CloserReads { run: 1 }, with_closer(state, Closer::HasRead(state.turn))))
            }
            _ => close_or_announce(state, 1, mutant),
        },
        Closer::HasRead(read) => match close(state, 1, read, mutant) {
            Some(closed) => Some((Action::Close { run: 1 }, with_closer(&closed, Closer::Ready))),
            None => Some((Action::CloserStartsAgain, with_closer(state, Closer::Ready))),
        },
    }
}

/// The action of a closer, and of a handler whose claim is refused.
fn close_or_announce(state: &State, run: u8, mutant: Mutant) -> Option<Successor> {
    match closing_decision(state.turn, run, mutant) {
        ClosingDecision::Close(_) => {
            let closed = close(state, run, state.turn, mutant)?;
            Some((Action::Close { run }, closed))
        }
        ClosingDecision::Announce if mutant == Mutant::CloserRepeatsAnswer => {
            Some((Action::Announce { run }, state.with_closing_event(run, state.turn.status)))
        }
        ClosingDecision::Announce => {
            let turn = TurnItem { is_announced: true, ..state.turn };
            Some((Action::Announce { run }, state.with_turn(turn)))
        }
        ClosingDecision::Wait | ClosingDecision::Nothing => None,
    }
}

/// The state after closing the turn as it was read. `None` if the table refuses or there is nothing to close.
pub fn close(state: &State, run: u8, read: TurnItem, mutant: Mutant) -> Option<State> {
    let ClosingDecision::Close(reason) = closing_decision(read, run, mutant) else { return None };
    let status = match reason {
        EndReason::Stopped(StopReason::Cancelled) if mutant != Mutant::CloserAlwaysFails => Cancelled,
        _ => Failed,
    };
    let is_accepted = state.turn.admits_close(read, mutant) && state.is_active;
    is_accepted.then(|| state.with_closing_event(read.run, status))
}

fn closing_decision(turn: TurnItem, run: u8, mutant: Mutant) -> ClosingDecision {
    let run = if mutant == Mutant::CloserIgnoresRun { turn.run } else { run };
    let lease = if mutant == Mutant::CloserIgnoresLease { Lease::Dead } else { turn.lease };
    let decision = ClosingDecision::for_run(Some(&TurnItem { lease, ..turn }.stored()), run.into(), NOW);
    match decision {
        ClosingDecision::Close(_) if mutant == Mutant::CloserSkipsUnclaimed && turn.status == Queued => {
            ClosingDecision::Nothing
        }
        decision => decision,
    }
}
