//! What the protocol promises.
use api::types::TurnStatus::{self, Cancelled, Cancelling, Completed, Failed, Queued, Running};

use crate::{
    steps::{self, Step},
    weakness::Weakness,
    world::{Delivery, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
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
pub fn keep(before: &World, step: Step, after: &World, weakness: Weakness) -> Result<(), Law> {
    broken(&[
        (Law::NoFinishIsStale, no_finish_is_stale(before, step)),
        (Law::RunsAreAnsweredByTheirOwn, is_of_the_run(before, step)),
        (Law::LiveAttemptsAreLeftAlone, leaves_live_attempts_alone(before, step)),
        (Law::OnlyAnEndIsReopened, step != Step::Reopen || before.turn.has_ended()),
        (Law::ReadersSeeAReopening, step != Step::Reopen || is_seen(before, after, weakness)),
        (Law::CancelledIsNotFailed, statuses(before, after) != Some((Cancelled, Failed))),
        (Law::AnEndIsNeverUndone, statuses(before, after).is_none_or(|(was, is)| !was.is_end() || is == was)),
        (Law::StatusesNeverGoBack, statuses(before, after).is_none_or(|(was, is)| rank(is) >= rank(was))),
    ])
}

/// What must hold of a world, whichever step led there.
pub fn hold(world: &World, weakness: Weakness) -> Result<(), Law> {
    broken(&[
        (Law::OneAnswerPerRun, world.answers.iter().all(|answers| *answers <= 1)),
        (Law::BusyExactlyWhileOpen, world.is_active != world.turn.status.is_end()),
        (Law::EveryTurnCanBeClosed, can_be_closed(world, weakness)),
        (Law::NeverBusyForGood, is_free_in_the_end(world, weakness)),
        (Law::AnOpenTurnIsOwedADelivery, world.turn.status.is_end() || is_owed_a_delivery(world)),
    ])
}

fn broken(laws: &[(Law, bool)]) -> Result<(), Law> {
    laws.iter().find(|(_, kept)| !kept).map_or(Ok(()), |(law, _)| Err(*law))
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

fn is_seen(before: &World, after: &World, weakness: Weakness) -> bool {
    after.turn.attempt > before.turn.attempt || weakness == Weakness::AttemptsBeginAnewAndFenceIgnoresRun
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

fn can_be_closed(world: &World, weakness: Weakness) -> bool {
    let late = steps::late(world);
    late.turn.status.is_end() || steps::closed(&late, late.turn.run, late.turn, weakness).is_some()
}

fn is_owed_a_delivery(world: &World) -> bool {
    world.deliveries.iter().any(|delivery| match *delivery {
        Delivery::Waiting { run } | Delivery::Answering { run, .. } | Delivery::Finished { run, .. } => {
            run == world.turn.run
        }
    })
}

/// Nobody does anything any more; then the next message is sent.
fn is_free_in_the_end(world: &World, weakness: Weakness) -> bool {
    let mut late = steps::late(world);
    late.may.go_on = true;
    !late.is_active || steps::next_message(&late, late.turn, weakness).is_some_and(|(_, sent)| !sent.is_active)
}
