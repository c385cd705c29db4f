//! The invariants of the protocol.
use api::types::TurnStatus::{self, Cancelled, Cancelling, Completed, Failed, Queued, Running, Waiting};

use crate::{
    actions::{self, Action},
    mutants::Mutant,
    state::{Delivery, State},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    AtMostOneAnswerPerRun,
    OnlyTheLastAttemptFinishes,
    DeliveriesTouchOnlyTheirRun,
    LiveLeaseIsRespected,
    CancelledNeverBecomesFailed,
    EndIsFinal,
    /// QUEUED and RUNNING may alternate when handlers die. CANCELLING and the ends stay.
    StatusNeverGoesBack,
    OnlyAnEndIsReopened,
    /// Readers recognize a new run only by a higher attempt.
    ReopeningRaisesTheAttempt,
    ConversationIsBusyExactlyWhileTurnIsOpen,
    EveryTurnCanBeClosed,
    /// Lambda repeats or records a failed invocation; nothing else would continue the turn.
    OpenTurnHasADelivery,
    NeverBusyForever,
}

/// Checks the invariants of a single transition.
pub fn check_transition(before: &State, action: Action, after: &State, mutant: Mutant) -> Result<(), Invariant> {
    first_broken(&[
        (Invariant::OnlyTheLastAttemptFinishes, is_finish_by_last_attempt(before, action)),
        (Invariant::DeliveriesTouchOnlyTheirRun, is_of_current_run(before, action)),
        (Invariant::LiveLeaseIsRespected, respects_live_lease(before, action)),
        (Invariant::OnlyAnEndIsReopened, action != Action::Retry || before.turn.has_ended()),
        (Invariant::ReopeningRaisesTheAttempt, action != Action::Retry || raises_attempt(before, after, mutant)),
        (Invariant::CancelledNeverBecomesFailed, run_statuses(before, after) != Some((Cancelled, Failed))),
        (Invariant::EndIsFinal, keeps_end(before, after)),
        (Invariant::StatusNeverGoesBack, keeps_status_order(before, after)),
    ])
}

/// Checks the invariants of a state, however it was reached.
pub fn check_state(state: &State, mutant: Mutant) -> Result<(), Invariant> {
    let is_ended = state.turn.status.is_end();
    first_broken(&[
        (Invariant::AtMostOneAnswerPerRun, state.answers.iter().all(|answers| *answers <= 1)),
        (Invariant::ConversationIsBusyExactlyWhileTurnIsOpen, state.is_active != is_ended),
        (Invariant::EveryTurnCanBeClosed, can_be_closed(state, mutant)),
        (Invariant::NeverBusyForever, accepts_next_message_eventually(state, mutant)),
        (Invariant::OpenTurnHasADelivery, is_ended || has_delivery_of_current_run(state)),
    ])
}

fn first_broken(checks: &[(Invariant, bool)]) -> Result<(), Invariant> {
    match checks.iter().find(|(_, holds)| !holds) {
        Some((invariant, _)) => Err(*invariant),
        None => Ok(()),
    }
}

fn is_finish_by_last_attempt(before: &State, action: Action) -> bool {
    let Action::Finish { run, attempt, .. } = action else { return true };
    (before.turn.run, before.turn.attempt) == (run, attempt) && !before.turn.status.is_end()
}

fn is_of_current_run(before: &State, action: Action) -> bool {
    match action {
        Action::Claim { run } | Action::Close { run } => before.turn.run == run,
        _ => true,
    }
}

fn respects_live_lease(before: &State, action: Action) -> bool {
    match action {
        Action::Claim { .. } | Action::Close { .. } => !before.turn.is_leased(),
        _ => true,
    }
}

fn raises_attempt(before: &State, after: &State, mutant: Mutant) -> bool {
    // This mutant breaks another invariant.
    after.turn.attempt > before.turn.attempt || mutant == Mutant::RetryResetsAttemptAndFenceIgnoresRun
}

fn keeps_end(before: &State, after: &State) -> bool {
    match run_statuses(before, after) {
        Some((before, after)) => !before.is_end() || after == before,
        None => true,
    }
}

fn keeps_status_order(before: &State, after: &State) -> bool {
    match run_statuses(before, after) {
        Some((before, after)) => status_order(after) >= status_order(before),
        None => true,
    }
}

/// The effective statuses before and after, if both are of the same run.
fn run_statuses(before: &State, after: &State) -> Option<(TurnStatus, TurnStatus)> {
    let is_same_run = before.turn.run == after.turn.run;
    is_same_run.then(|| (before.turn.effective_status(), after.turn.effective_status()))
}

fn status_order(status: TurnStatus) -> u8 {
    match status {
        Queued | Running | Waiting => 0,
        Cancelling => 1,
        Completed | Cancelled | Failed => 2,
    }
}

fn can_be_closed(state: &State, mutant: Mutant) -> bool {
    let late = actions::with_all_deadlines_passed(state);
    late.turn.status.is_end() || actions::close(&late, late.turn.run, late.turn, mutant).is_some()
}

fn has_delivery_of_current_run(state: &State) -> bool {
    state.deliveries.iter().any(|delivery| match *delivery {
        Delivery::Waiting { run } | Delivery::Answering { run, .. } | Delivery::Finished { run, .. } => {
            run == state.turn.run
        }
    })
}

/// Whether the next message is accepted once every process has stopped and every deadline has passed.
fn accepts_next_message_eventually(state: &State, mutant: Mutant) -> bool {
    let mut late = actions::with_all_deadlines_passed(state);
    late.client.send_next = true;
    if !late.is_active {
        return true;
    }
    actions::send_next_message(&late, late.turn, mutant).is_some_and(|(_, sent)| !sent.is_active)
}
