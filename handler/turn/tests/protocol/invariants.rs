//! What the protocol promises.
use api::types::TurnStatus::{self, Cancelled, Cancelling, Completed, Failed, Queued, Running};

use crate::{
    model::{Delivery, World},
    mutants::Mutant,
    steps::{self, Step},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    OneAnswerPerRun,
    NoFinishIsStale,
    RunsAreAnsweredByTheirOwn,
    LiveAttemptsAreLeftAlone,
    CancelledIsNotFailed,
    AnEndIsNeverUndone,
    /// QUEUED and RUNNING take turns when handlers die; CANCELLING and the ends stay.
    StatusesNeverGoBack,
    OnlyAnEndIsReopened,
    /// By a higher attempt: nothing else tells them.
    ReadersSeeAReopening,
    BusyExactlyWhileOpen,
    EveryTurnCanBeClosed,
    /// Lambda repeats or records one that fails, and nothing else would come.
    AnOpenTurnIsOwedADelivery,
    NeverBusyForGood,
}

/// What must hold of every step.
pub fn keep(before: &World, step: Step, after: &World, mutant: Mutant) -> Result<(), Invariant> {
    broken(&[
        (Invariant::NoFinishIsStale, no_finish_is_stale(before, step)),
        (Invariant::RunsAreAnsweredByTheirOwn, is_of_the_run(before, step)),
        (Invariant::LiveAttemptsAreLeftAlone, leaves_live_attempts_alone(before, step)),
        (Invariant::OnlyAnEndIsReopened, step != Step::Reopen || before.turn.has_ended()),
        (Invariant::ReadersSeeAReopening, step != Step::Reopen || is_seen(before, after, mutant)),
        (Invariant::CancelledIsNotFailed, statuses(before, after) != Some((Cancelled, Failed))),
        (Invariant::AnEndIsNeverUndone, statuses(before, after).is_none_or(|(was, is)| !was.is_end() || is == was)),
        (Invariant::StatusesNeverGoBack, statuses(before, after).is_none_or(|(was, is)| rank(is) >= rank(was))),
    ])
}

/// What must hold of a world, whichever step led there.
pub fn hold(world: &World, mutant: Mutant) -> Result<(), Invariant> {
    broken(&[
        (Invariant::OneAnswerPerRun, world.answers.iter().all(|answers| *answers <= 1)),
        (Invariant::BusyExactlyWhileOpen, world.is_active != world.turn.status.is_end()),
        (Invariant::EveryTurnCanBeClosed, can_be_closed(world, mutant)),
        (Invariant::NeverBusyForGood, is_free_in_the_end(world, mutant)),
        (Invariant::AnOpenTurnIsOwedADelivery, world.turn.status.is_end() || is_owed_a_delivery(world)),
    ])
}

fn broken(invariants: &[(Invariant, bool)]) -> Result<(), Invariant> {
    invariants.iter().find(|(_, kept)| !kept).map_or(Ok(()), |(invariant, _)| Err(*invariant))
}

fn no_finish_is_stale(before: &World, step: Step) -> bool {
    match step {
        Step::Finish { run, attempt, .. } => {
            (before.turn.run, before.turn.attempt) == (run, attempt) && !before.turn.status.is_end()
        }
        _ => true,
    }
}

fn is_of_the_run(before: &World, step: Step) -> bool {
    match step {
        Step::Claim { run } | Step::Close { run } => before.turn.run == run,
        _ => true,
    }
}

fn leaves_live_attempts_alone(before: &World, step: Step) -> bool {
    !matches!(step, Step::Claim { .. } | Step::Close { .. }) || !before.turn.is_leased()
}

fn is_seen(before: &World, after: &World, mutant: Mutant) -> bool {
    after.turn.attempt > before.turn.attempt || mutant == Mutant::AttemptsBeginAnewAndFenceIgnoresRun
}

/// What readers were told of a run, and are told now.
fn statuses(before: &World, after: &World) -> Option<(TurnStatus, TurnStatus)> {
    (before.turn.run == after.turn.run).then(|| (before.turn.effective(), after.turn.effective()))
}

fn rank(status: TurnStatus) -> u8 {
    match status {
        Queued | Running => 0,
        Cancelling => 1,
        Completed | Cancelled | Failed => 2,
    }
}

fn can_be_closed(world: &World, mutant: Mutant) -> bool {
    let late = steps::late(world);
    late.turn.status.is_end() || steps::closed(&late, late.turn.run, late.turn, mutant).is_some()
}

fn is_owed_a_delivery(world: &World) -> bool {
    world.deliveries.iter().any(|delivery| match *delivery {
        Delivery::Waiting { run } | Delivery::Answering { run, .. } | Delivery::Finished { run, .. } => {
            run == world.turn.run
        }
    })
}

/// Nobody does anything any more; then the next message is sent.
fn is_free_in_the_end(world: &World, mutant: Mutant) -> bool {
    let mut late = steps::late(world);
    late.may.go_on = true;
    !late.is_active || steps::next_message(&late, late.turn, mutant).is_some_and(|(_, sent)| !sent.is_active)
}
