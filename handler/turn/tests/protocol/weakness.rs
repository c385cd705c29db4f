//! What could be missing from the protocol, one at a time, and the law that would be broken then.
use crate::laws::Law;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
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

impl Weakness {
    pub fn fence_ignores_run(self) -> bool {
        matches!(self, Self::FenceIgnoresRun | Self::AttemptsBeginAnewAndFenceIgnoresRun)
    }
}

pub const TABLE: &[(Weakness, Law)] = &[
    (Weakness::ClaimIgnoresRun, Law::RunsAreAnsweredByTheirOwn),
    (Weakness::ClaimIgnoresStatus, Law::AnEndIsNeverUndone),
    (Weakness::ClaimIgnoresLease, Law::LiveAttemptsAreLeftAlone),
    (Weakness::ClaimIgnoresTime, Law::AnEndIsNeverUndone),
    (Weakness::FenceIgnoresAttempt, Law::NoFinishIsStale),
    (Weakness::FenceIgnoresStatus, Law::NoFinishIsStale),
    (Weakness::FenceIgnoresTime, Law::AnEndIsNeverUndone),
    (Weakness::FenceLetsTheCancelledGoOn, Law::AnEndIsNeverUndone),
    (Weakness::RenewalForgetsTheCancel, Law::StatusesNeverGoBack),
    (Weakness::CloserRepeatsTheAnswer, Law::OneAnswerPerRun),
    (Weakness::FinishKeepsTheConversationBusy, Law::BusyExactlyWhileOpen),
    (Weakness::CloserIgnoresRun, Law::RunsAreAnsweredByTheirOwn),
    (Weakness::CloserIgnoresLease, Law::LiveAttemptsAreLeftAlone),
    (Weakness::CloserAlwaysFails, Law::CancelledIsNotFailed),
    (Weakness::CloserLeavesTheUnclaimed, Law::EveryTurnCanBeClosed),
    (Weakness::ClosingIgnoresWhatWasRead, Law::LiveAttemptsAreLeftAlone),
    (Weakness::ClosingIgnoresRenewal, Law::LiveAttemptsAreLeftAlone),
    (Weakness::TooLateIsLeftOpen, Law::AnOpenTurnIsOwedADelivery),
    (Weakness::OversleptIsLeftOpen, Law::AnOpenTurnIsOwedADelivery),
    (Weakness::CancelIgnoresLease, Law::AnEndIsNeverUndone),
    (Weakness::CancelIgnoresTime, Law::AnEndIsNeverUndone),
    (Weakness::CancelIgnoresEnd, Law::AnEndIsNeverUndone),
    (Weakness::RetryIgnoresTheOpenTurn, Law::OnlyAnEndIsReopened),
    (Weakness::RetryKeepsRun, Law::AnEndIsNeverUndone),
    (Weakness::RetryKeepsAttempt, Law::ReadersSeeAReopening),
    (Weakness::AttemptsBeginAnewAndFenceIgnoresRun, Law::NoFinishIsStale),
    (Weakness::NextMessageTrustsTheStoredStatus, Law::NeverBusyForGood),
    (Weakness::NextMessageIgnoresTheActiveTurn, Law::BusyExactlyWhileOpen),
];
