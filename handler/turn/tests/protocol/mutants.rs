//! Mutants of the protocol, each with one rule missing, and the invariant that each must break.
use crate::invariants::Invariant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The protocol as it is.
    None,
    ClaimIgnoresRun,
    ClaimIgnoresStatus,
    ClaimIgnoresLease,
    ClaimIgnoresClaimableUntil,
    /// Breaks nothing by itself, because attempts never start again from 1.
    FenceIgnoresRun,
    FenceIgnoresAttempt,
    FenceIgnoresStatus,
    FenceIgnoresTime,
    /// A cancelled attempt may continue under a dead lease while the turn is claimable.
    FenceIgnoresCancelUnderDeadLease,
    RenewalOverwritesCancel,
    FinishKeepsConversationBusy,
    CloserRepeatsAnswer,
    CloserIgnoresRun,
    CloserIgnoresLease,
    CloserAlwaysFails,
    CloserSkipsUnclaimed,
    CloseWriteIsUnconditional,
    CloseWriteIgnoresRenewal,
    ExpiredClaimIsNotClosed,
    ExpiredLeaseIsNotClosed,
    CancelIgnoresLease,
    CancelIgnoresClaimableUntil,
    CancelIgnoresEnd,
    RetryIgnoresOpenTurn,
    RetryKeepsRun,
    RetryKeepsAttempt,
    RetryResetsAttemptAndFenceIgnoresRun,
    NextMessageTrustsStoredStatus,
    NextMessageIgnoresActiveTurn,
}

impl Mutant {
    pub fn fence_ignores_run(self) -> bool {
        matches!(self, Self::FenceIgnoresRun | Self::RetryResetsAttemptAndFenceIgnoresRun)
    }
}

pub const EXPECTED_VIOLATIONS: &[(Mutant, Invariant)] = &[
    (Mutant::ClaimIgnoresRun, Invariant::DeliveriesTouchOnlyTheirRun),
    (Mutant::ClaimIgnoresStatus, Invariant::EndIsFinal),
    (Mutant::ClaimIgnoresLease, Invariant::LiveLeaseIsRespected),
    (Mutant::ClaimIgnoresClaimableUntil, Invariant::EndIsFinal),
    (Mutant::FenceIgnoresAttempt, Invariant::OnlyTheLastAttemptFinishes),
    (Mutant::FenceIgnoresStatus, Invariant::OnlyTheLastAttemptFinishes),
    (Mutant::FenceIgnoresTime, Invariant::EndIsFinal),
    (Mutant::FenceIgnoresCancelUnderDeadLease, Invariant::EndIsFinal),
    (Mutant::RenewalOverwritesCancel, Invariant::StatusNeverGoesBack),
    (Mutant::CloserRepeatsAnswer, Invariant::AtMostOneAnswerPerRun),
    (Mutant::FinishKeepsConversationBusy, Invariant::ConversationIsBusyExactlyWhileTurnIsOpen),
    (Mutant::CloserIgnoresRun, Invariant::DeliveriesTouchOnlyTheirRun),
    (Mutant::CloserIgnoresLease, Invariant::LiveLeaseIsRespected),
    (Mutant::CloserAlwaysFails, Invariant::CancelledNeverBecomesFailed),
    (Mutant::CloserSkipsUnclaimed, Invariant::EveryTurnCanBeClosed),
    (Mutant::CloseWriteIsUnconditional, Invariant::LiveLeaseIsRespected),
    (Mutant::CloseWriteIgnoresRenewal, Invariant::LiveLeaseIsRespected),
    (Mutant::ExpiredClaimIsNotClosed, Invariant::OpenTurnHasADelivery),
    (Mutant::ExpiredLeaseIsNotClosed, Invariant::OpenTurnHasADelivery),
    (Mutant::CancelIgnoresLease, Invariant::EndIsFinal),
    (Mutant::CancelIgnoresClaimableUntil, Invariant::EndIsFinal),
    (Mutant::CancelIgnoresEnd, Invariant::EndIsFinal),
    (Mutant::RetryIgnoresOpenTurn, Invariant::OnlyAnEndIsReopened),
    (Mutant::RetryKeepsRun, Invariant::EndIsFinal),
    (Mutant::RetryKeepsAttempt, Invariant::ReopeningRaisesTheAttempt),
    (Mutant::RetryResetsAttemptAndFenceIgnoresRun, Invariant::OnlyTheLastAttemptFinishes),
    (Mutant::NextMessageTrustsStoredStatus, Invariant::NeverBusyForever),
    (Mutant::NextMessageIgnoresActiveTurn, Invariant::ConversationIsBusyExactlyWhileTurnIsOpen),
];
