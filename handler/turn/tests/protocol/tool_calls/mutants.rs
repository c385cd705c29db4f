//! Mutants of the protocol of tool calls, each with one rule missing, and the invariant that each must break.
use super::invariants::Invariant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The protocol as it is.
    None,
    ClaimIsUnconditional,
    /// A call that another attempt has claimed is sent again.
    ClaimedCallIsSent,
    /// A call that another attempt has claimed counts as succeeded without a stored outcome.
    ClaimedCallCountsAsSucceeded,
    /// A call without a response is sent again.
    LostCallIsSentAgain,
    /// Approved calls are run without a claim.
    ApprovedCallIsNotClaimed,
    PendingCallIsSent,
    DenialCountsAsApproval,
    /// A second answer replaces the first.
    AnswerIsUnconditional,
    /// An attempt that does not own the turn stores its results.
    ResultsIgnoreFence,
    /// A later attempt runs the calls that have results, too.
    CallsWithResultsAreLoaded,
    FinishIgnoresPendingCalls,
    CancelOfWaitDropsResults,
    NextMessageDropsResults,
}

pub const EXPECTED_VIOLATIONS: &[(Mutant, Invariant)] = &[
    (Mutant::ClaimIsUnconditional, Invariant::AtMostOneEffectPerCall),
    (Mutant::ClaimedCallIsSent, Invariant::AtMostOneEffectPerCall),
    (Mutant::ClaimedCallCountsAsSucceeded, Invariant::ResultTellsTheEffect),
    (Mutant::LostCallIsSentAgain, Invariant::AtMostOneEffectPerCall),
    (Mutant::ApprovedCallIsNotClaimed, Invariant::AtMostOneEffectPerCall),
    (Mutant::PendingCallIsSent, Invariant::EffectNeedsItsApproval),
    (Mutant::DenialCountsAsApproval, Invariant::EffectNeedsItsApproval),
    (Mutant::AnswerIsUnconditional, Invariant::AnswersAreFinal),
    (Mutant::ResultsIgnoreFence, Invariant::AtMostOneResultPerCall),
    (Mutant::CallsWithResultsAreLoaded, Invariant::AtMostOneResultPerCall),
    (Mutant::FinishIgnoresPendingCalls, Invariant::EndedStepHasAllResults),
    (Mutant::CancelOfWaitDropsResults, Invariant::EndedStepHasAllResults),
    (Mutant::NextMessageDropsResults, Invariant::EndedStepHasAllResults),
];
