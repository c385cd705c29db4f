//! The actions of the model: everything that can happen next in a state.
use super::{
    mutants::Mutant,
    state::{APPROVED_CALL, Answer, Attempt, CALLS, Claim, LocalCall, Outcome, State, Status},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    ExpireLease,
    ExpireWait,
    /// A delivery claims the turn.
    ClaimTurn,
    StoreStep {
        attempt: u8,
    },
    ClaimCall {
        attempt: u8,
        call: usize,
    },
    ClaimCallWithLostResponse {
        attempt: u8,
        call: usize,
    },
    /// The fence refuses the claim, and the call has no result.
    StopAtClaim {
        attempt: u8,
        call: usize,
    },
    /// The tool takes effect.
    Send {
        attempt: u8,
        call: usize,
    },
    Return {
        attempt: u8,
        call: usize,
    },
    /// The response is lost, or the time is over.
    LoseResponse {
        attempt: u8,
        call: usize,
    },
    StoreOutcome {
        attempt: u8,
        call: usize,
    },
    /// A publish tells the attempt that the turn is being cancelled. Its tools are stopped.
    LearnCancel {
        attempt: u8,
    },
    StoreResults {
        attempt: u8,
    },
    Wait {
        attempt: u8,
    },
    Finish {
        attempt: u8,
    },
    /// The fence refuses a write of an attempt.
    Stop {
        attempt: u8,
    },
    Answer {
        call: usize,
        answer: Answer,
    },
    RequestCancel,
    CancelWait,
    SendNextMessage,
    Continue,
    /// The turn of a dead attempt, or a wait that is over.
    Close,
}

type Successor = (Action, State);

pub fn successors(state: &State, mutant: Mutant) -> Vec<Successor> {
    let mut successors = expirations(state);
    successors.extend(claim_turn(state, mutant));
    for attempt in &state.attempts {
        successors.extend(act(state, *attempt, mutant));
    }
    successors.extend(answers(state, mutant));
    successors.extend(end_by_others(state, mutant));
    successors
}

fn expirations(state: &State) -> Vec<Successor> {
    let mut successors = Vec::new();
    if state.turn.is_leased {
        let mut expired = state.clone();
        expired.turn.is_leased = false;
        successors.push((Action::ExpireLease, expired));
    }
    if state.turn.status == Status::Waiting && !state.turn.is_wait_over {
        let mut expired = state.clone();
        expired.turn.is_wait_over = true;
        successors.push((Action::ExpireWait, expired));
    }
    successors
}

/// A delivery claims the turn, and loads the calls without results.
fn claim_turn(state: &State, mutant: Mutant) -> Option<Successor> {
    let is_claimable = matches!(state.turn.status, Status::Queued | Status::Running) && !state.turn.is_leased;
    if state.deliveries == 0 || !is_claimable {
        return None;
    }
    let mut claimed = state.clone();
    claimed.deliveries -= 1;
    claimed.turn.status = Status::Running;
    claimed.turn.attempt += 1;
    claimed.turn.is_leased = true;
    let calls = std::array::from_fn(|call| load_call(state, call, mutant));
    let attempt = Attempt { run: claimed.turn.run, number: claimed.turn.attempt, calls, knows_cancel: false };
    Some((Action::ClaimTurn, claimed.with_attempt(attempt)))
}

fn load_call(state: &State, call: usize, mutant: Mutant) -> LocalCall {
    let stored = state.calls[call];
    if stored.result.is_some() && mutant != Mutant::CallsWithResultsAreLoaded {
        return LocalCall::Stored;
    }
    let needs_answer = call == APPROVED_CALL && mutant != Mutant::PendingCallIsSent;
    match stored.answer {
        _ if !needs_answer => LocalCall::Ready,
        None => LocalCall::Pending,
        Some(Answer::Denied) if mutant != Mutant::DenialCountsAsApproval => LocalCall::Done(Outcome::Denied),
        Some(_) => LocalCall::Ready,
    }
}

/// Whether the attempt owns the turn. A turn that is being cancelled needs a live lease.
fn admits(state: &State, attempt: Attempt) -> bool {
    let is_own = (state.turn.run, state.turn.attempt) == (attempt.run, attempt.number);
    let is_open = match state.turn.status {
        Status::Running => true,
        Status::Cancelling => state.turn.is_leased,
        Status::Queued | Status::Waiting | Status::Ended | Status::Closed => false,
    };
    is_own && is_open
}

fn act(state: &State, attempt: Attempt, mutant: Mutant) -> Vec<Successor> {
    let number = attempt.number;
    let is_admitted = admits(state, attempt);
    let mut successors = Vec::new();
    if !is_admitted {
        successors.push((Action::Stop { attempt: number }, state.without_attempt(number)));
    }
    if !state.is_step_stored {
        if is_admitted {
            let mut stored = state.clone();
            stored.is_step_stored = true;
            stored.turn.is_leased = true;
            successors.push((Action::StoreStep { attempt: number }, stored));
        }
        return successors;
    }
    for call in 0..CALLS {
        successors.extend(run_call(state, attempt, call, is_admitted, mutant));
    }
    if is_admitted && state.turn.status == Status::Cancelling && !attempt.knows_cancel {
        let mut knowing = Attempt { knows_cancel: true, ..attempt };
        for call in &mut knowing.calls {
            if !matches!(call, LocalCall::Stored | LocalCall::Done(_)) {
                *call = LocalCall::Done(Outcome::Cancelled);
            }
        }
        successors.push((Action::LearnCancel { attempt: number }, state.with_attempt(knowing)));
    }
    successors.extend(store(state, attempt, is_admitted, mutant));
    successors
}

fn run_call(state: &State, attempt: Attempt, call: usize, is_admitted: bool, mutant: Mutant) -> Vec<Successor> {
    let number = attempt.number;
    let with_local = |state: &State, local| {
        let mut attempt = attempt;
        attempt.calls[call] = local;
        state.with_attempt(attempt)
    };
    match attempt.calls[call] {
        LocalCall::Ready if call == APPROVED_CALL && mutant == Mutant::ApprovedCallIsNotClaimed => {
            vec![(Action::ClaimCall { attempt: number, call }, with_local(state, LocalCall::Claimed))]
        }
        LocalCall::Ready => claim_call(state, attempt, call, is_admitted, mutant),
        LocalCall::Claimed => {
            let mut sent = with_local(state, LocalCall::Sent);
            sent.calls[call].effects += 1;
            vec![(Action::Send { attempt: number, call }, sent)]
        }
        LocalCall::Sent => {
            let without_response = match mutant {
                Mutant::LostCallIsSentAgain => LocalCall::Claimed,
                _ => LocalCall::Done(Outcome::Unknown),
            };
            vec![
                (Action::Return { attempt: number, call }, with_local(state, LocalCall::Done(Outcome::Succeeded))),
                (Action::LoseResponse { attempt: number, call }, with_local(state, without_response)),
            ]
        }
        LocalCall::Done(Outcome::Succeeded) => match state.calls[call].claim {
            Some(claim) if claim.attempt == number && !claim.has_outcome => {
                let mut stored = state.clone();
                stored.calls[call].claim = Some(Claim { has_outcome: true, ..claim });
                vec![(Action::StoreOutcome { attempt: number, call }, stored)]
            }
            _ => Vec::new(),
        },
        LocalCall::Stored | LocalCall::Pending | LocalCall::Done(_) => Vec::new(),
    }
}

/// One transaction: the fence without a cancel, and the claim where there is none.
fn claim_call(state: &State, attempt: Attempt, call: usize, is_admitted: bool, mutant: Mutant) -> Vec<Successor> {
    let number = attempt.number;
    let with_local = |state: &State, local| {
        let mut attempt = attempt;
        attempt.calls[call] = local;
        state.with_attempt(attempt)
    };
    if !is_admitted || state.turn.status != Status::Running {
        return vec![(Action::StopAtClaim { attempt: number, call }, state.clone())];
    }
    let action = Action::ClaimCall { attempt: number, call };
    let own = Claim { attempt: number, has_outcome: false };
    match state.calls[call].claim {
        Some(claim) if claim.attempt == number => vec![(action, with_local(state, LocalCall::Claimed))],
        Some(_) if mutant == Mutant::ClaimedCallIsSent => vec![(action, with_local(state, LocalCall::Claimed))],
        Some(claim) if mutant != Mutant::ClaimIsUnconditional => {
            let is_known = claim.has_outcome || mutant == Mutant::ClaimedCallCountsAsSucceeded;
            let outcome = if is_known { Outcome::Succeeded } else { Outcome::Unknown };
            vec![(action, with_local(state, LocalCall::Done(outcome)))]
        }
        _ => {
            let mut claimed = state.clone();
            claimed.calls[call].claim = Some(own);
            let response_lost = Action::ClaimCallWithLostResponse { attempt: number, call };
            vec![(action, with_local(&claimed, LocalCall::Claimed)), (response_lost, claimed)]
        }
    }
}

/// Stores the results once no call runs; then waits for the others, or finishes.
fn store(state: &State, attempt: Attempt, is_admitted: bool, mutant: Mutant) -> Vec<Successor> {
    let number = attempt.number;
    let is_settled = |call: &LocalCall| matches!(call, LocalCall::Stored | LocalCall::Pending | LocalCall::Done(_));
    let is_fenced = is_admitted || mutant == Mutant::ResultsIgnoreFence;
    if !is_fenced || !attempt.calls.iter().all(is_settled) {
        return Vec::new();
    }
    if attempt.calls.iter().any(|call| matches!(call, LocalCall::Done(_))) {
        let (mut stored, mut after) = (state.clone(), attempt);
        for call in 0..CALLS {
            if let LocalCall::Done(outcome) = attempt.calls[call] {
                stored.store_result(call, outcome);
                after.calls[call] = LocalCall::Stored;
            }
        }
        return vec![(Action::StoreResults { attempt: number }, stored.with_attempt(after))];
    }
    let is_pending = attempt.calls.contains(&LocalCall::Pending) && mutant != Mutant::FinishIgnoresPendingCalls;
    let mut next = state.without_attempt(number);
    if !is_pending {
        next.turn.status = Status::Ended;
        return vec![(Action::Finish { attempt: number }, next)];
    }
    // A turn that is being cancelled does not begin to wait: the attempt learns of the cancel.
    if state.turn.status != Status::Running {
        return Vec::new();
    }
    next.turn.status = Status::Waiting;
    next.turn.is_leased = false;
    vec![(Action::Wait { attempt: number }, next)]
}

/// Two devices answer, in any order. The last answer queues the next run.
fn answers(state: &State, mutant: Mutant) -> Vec<Successor> {
    let stored = state.calls[APPROVED_CALL];
    let is_waiting = state.turn.status == Status::Waiting && !state.turn.is_wait_over;
    let is_free = stored.answer.is_none() && stored.result.is_none() && is_waiting;
    let is_replaced = mutant == Mutant::AnswerIsUnconditional && stored.answer.is_some();
    let can_start_run = state.turn.run < state.max_runs;
    if state.answers_left == 0 || !(is_free && can_start_run || is_replaced) {
        return Vec::new();
    }
    let answer = |answer| {
        let mut answered = state.clone();
        answered.answers_left -= 1;
        answered.calls[APPROVED_CALL].answer = Some(answer);
        let next = if is_free { answered.with_next_run() } else { answered };
        (Action::Answer { call: APPROVED_CALL, answer }, next)
    };
    [Answer::Approved, Answer::Denied].map(answer).into()
}

/// A cancel, a continue, the next message and the closer.
fn end_by_others(state: &State, mutant: Mutant) -> Vec<Successor> {
    let mut successors = Vec::new();
    let status = state.turn.status;
    let is_dead = matches!(status, Status::Running | Status::Cancelling) && !state.turn.is_leased;
    if state.can_cancel && status == Status::Running && state.turn.is_leased {
        let mut cancelled = state.clone();
        cancelled.can_cancel = false;
        cancelled.turn.status = Status::Cancelling;
        successors.push((Action::RequestCancel, cancelled));
    }
    if state.can_cancel && status == Status::Waiting {
        let mut cancelled = state.clone();
        cancelled.can_cancel = false;
        match mutant {
            Mutant::CancelOfWaitDropsResults => cancelled.turn.status = Status::Ended,
            _ => cancelled.end_with_results(Outcome::Cancelled),
        }
        successors.push((Action::CancelWait, cancelled));
    }
    if state.can_send_next && (status == Status::Waiting || status.is_end()) {
        let mut sent = state.clone();
        (sent.can_send_next, sent.can_continue) = (false, false);
        match status {
            Status::Waiting if mutant == Mutant::NextMessageDropsResults => sent.turn.status = Status::Ended,
            Status::Waiting if state.turn.is_wait_over => sent.end_with_results(Outcome::Expired),
            Status::Waiting => sent.end_with_results(Outcome::Denied),
            _ => {}
        }
        successors.push((Action::SendNextMessage, sent));
    }
    if state.can_continue && status.is_end() && state.turn.run < state.max_runs {
        let mut continued = state.clone();
        continued.can_continue = false;
        successors.push((Action::Continue, continued.with_next_run()));
    }
    if is_dead || status == Status::Waiting && state.turn.is_wait_over {
        let mut closed = state.clone();
        closed.turn.status = Status::Closed;
        if status == Status::Waiting {
            closed.end_with_results(Outcome::Expired);
        }
        successors.push((Action::Close, closed));
    }
    successors
}
