//! What could be missing from the protocol, one at a time, and the invariant that would be broken then.
use crate::invariants::Invariant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    None,
    ClaimIgnoresRun,
    ClaimIgnoresStatus,
    ClaimIgnoresLease,
    ClaimIgnoresTime,
    /// Alone it breaks nothing: attempts never begin anew.
    FenceIgnoresRun,
    FenceIgnoresAttempt,
    FenceIgnoresStatus,
    FenceIgnoresTime,
    /// While the turn can be claimed, whoever is asked to stop may go on under a dead lease.
    FenceLetsTheCancelledGoOn,
    RenewalForgetsTheCancel,
    FinishKeepsTheConversationBusy,
    CloserRepeatsTheAnswer,
    CloserIgnoresRun,
    CloserIgnoresLease,
    CloserAlwaysFails,
    CloserLeavesTheUnclaimed,
    ClosingIgnoresWhatWasRead,
    ClosingIgnoresRenewal,
    TooLateIsLeftOpen,
    OversleptIsLeftOpen,
    CancelIgnoresLease,
    CancelIgnoresTime,
    CancelIgnoresEnd,
    RetryIgnoresTheOpenTurn,
    RetryKeepsRun,
    RetryKeepsAttempt,
    AttemptsBeginAnewAndFenceIgnoresRun,
    NextMessageTrustsTheStoredStatus,
    NextMessageIgnoresTheActiveTurn,
}

impl Mutant {
    pub fn fence_ignores_run(self) -> bool {
        matches!(self, Self::FenceIgnoresRun | Self::AttemptsBeginAnewAndFenceIgnoresRun)
    }
}

pub const TABLE: &[(Mutant, Invariant)] = &[
    (Mutant::ClaimIgnoresRun, Invariant::RunsAreAnsweredByTheirOwn),
    (Mutant::ClaimIgnoresStatus, Invariant::AnEndIsNeverUndone),
    (Mutant::ClaimIgnoresLease, Invariant::LiveAttemptsAreLeftAlone),
    (Mutant::ClaimIgnoresTime, Invariant::AnEndIsNeverUndone),
    (Mutant::FenceIgnoresAttempt, Invariant::NoFinishIsStale),
    (Mutant::FenceIgnoresStatus, Invariant::NoFinishIsStale),
    (Mutant::FenceIgnoresTime, Invariant::AnEndIsNeverUndone),
    (Mutant::FenceLetsTheCancelledGoOn, Invariant::AnEndIsNeverUndone),
    (Mutant::RenewalForgetsTheCancel, Invariant::StatusesNeverGoBack),
    (Mutant::CloserRepeatsTheAnswer, Invariant::OneAnswerPerRun),
    (Mutant::FinishKeepsTheConversationBusy, Invariant::BusyExactlyWhileOpen),
    (Mutant::CloserIgnoresRun, Invariant::RunsAreAnsweredByTheirOwn),
    (Mutant::CloserIgnoresLease, Invariant::LiveAttemptsAreLeftAlone),
    (Mutant::CloserAlwaysFails, Invariant::CancelledIsNotFailed),
    (Mutant::CloserLeavesTheUnclaimed, Invariant::EveryTurnCanBeClosed),
    (Mutant::ClosingIgnoresWhatWasRead, Invariant::LiveAttemptsAreLeftAlone),
    (Mutant::ClosingIgnoresRenewal, Invariant::LiveAttemptsAreLeftAlone),
    (Mutant::TooLateIsLeftOpen, Invariant::AnOpenTurnIsOwedADelivery),
    (Mutant::OversleptIsLeftOpen, Invariant::AnOpenTurnIsOwedADelivery),
    (Mutant::CancelIgnoresLease, Invariant::AnEndIsNeverUndone),
    (Mutant::CancelIgnoresTime, Invariant::AnEndIsNeverUndone),
    (Mutant::CancelIgnoresEnd, Invariant::AnEndIsNeverUndone),
    (Mutant::RetryIgnoresTheOpenTurn, Invariant::OnlyAnEndIsReopened),
    (Mutant::RetryKeepsRun, Invariant::AnEndIsNeverUndone),
    (Mutant::RetryKeepsAttempt, Invariant::ReadersSeeAReopening),
    (Mutant::AttemptsBeginAnewAndFenceIgnoresRun, Invariant::NoFinishIsStale),
    (Mutant::NextMessageTrustsTheStoredStatus, Invariant::NeverBusyForGood),
    (Mutant::NextMessageIgnoresTheActiveTurn, Invariant::BusyExactlyWhileOpen),
];
