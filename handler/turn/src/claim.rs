//! The right to answer a turn, and why it may be refused.
use crate::words::TurnStatus;

/// Carried by everything an attempt publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub conversation_id: String,
    pub turn_id: String,
    pub run: u32,
    /// From 1 over all runs of the turn.
    pub attempt: u32,
    /// Of the turn's newest event: the next one follows it.
    pub last_position: u32,
}

/// A turn as the table has it, as far as a claim depends on it. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTurn {
    pub status: TurnStatus,
    pub run: u32,
    pub lease_until: Option<u64>,
    pub claimable_until: u64,
}

/// Why a turn could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody is answering, or was a moment ago: look again later.
    Leased,
    /// Its conversation has been deleted.
    Gone,
    /// A newer run has been ordered.
    OtherRun,
    Ended,
    Cancelled,
    /// Nobody may begin it any more; whoever reads it sees it failed.
    TooLate,
}

impl Refusal {
    /// Reads the refusal off the turn that a claim for `run` met.
    pub fn of(turn: Option<StoredTurn>, run: u32, now: u64) -> Self {
        let Some(turn) = turn else { return Self::Gone };
        if turn.run != run {
            return Self::OtherRun;
        }
        match turn.status {
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => Self::Ended,
            _ if turn.lease_until.is_some_and(|until| until > now) => Self::Leased,
            TurnStatus::Cancelling => Self::Cancelled,
            TurnStatus::Queued | TurnStatus::Running if turn.claimable_until <= now => Self::TooLate,
            TurnStatus::Queued | TurnStatus::Running => Self::Leased,
        }
    }

    /// Whether a later delivery of the same order may succeed.
    pub fn is_worth_another_look(self) -> bool {
        self == Self::Leased
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TurnStatus::*;

    const NOW: u64 = 1_000;

    #[test]
    fn a_refused_claim_says_why() {
        let turn = |status, run, lease_until, claimable_until| {
            Refusal::of(Some(StoredTurn { status, run, lease_until, claimable_until }), 2, NOW)
        };
        let (live, dead, open, past) = (Some(1_001), Some(1_000), 1_001, 1_000);
        for (refusal, expected) in [
            (Refusal::of(None, 2, NOW), Refusal::Gone),
            (turn(Queued, 3, None, open), Refusal::OtherRun),
            (turn(Running, 1, live, open), Refusal::OtherRun),
            (turn(Completed, 2, live, open), Refusal::Ended),
            (turn(Cancelled, 2, None, past), Refusal::Ended),
            (turn(Failed, 2, dead, past), Refusal::Ended),
            (turn(Running, 2, live, open), Refusal::Leased),
            (turn(Running, 2, live, past), Refusal::Leased),
            (turn(Cancelling, 2, live, open), Refusal::Leased),
            (turn(Cancelling, 2, dead, open), Refusal::Cancelled),
            (turn(Running, 2, dead, past), Refusal::TooLate),
            (turn(Queued, 2, None, past), Refusal::TooLate),
            (turn(Queued, 2, None, open), Refusal::Leased),
        ] {
            assert_eq!(refusal, expected);
        }
    }

    #[test]
    fn only_a_live_lease_is_worth_another_look() {
        let others = [Refusal::Gone, Refusal::OtherRun, Refusal::Ended, Refusal::Cancelled, Refusal::TooLate];
        assert!(Refusal::Leased.is_worth_another_look());
        assert!(others.into_iter().all(|refusal| !refusal.is_worth_another_look()));
    }
}
