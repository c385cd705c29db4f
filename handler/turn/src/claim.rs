//! The right to answer a turn, and why it may be refused.
use serde::Deserialize;

use crate::request::TurnRequest;
use api::types::TurnStatus;

/// An order to answer a turn, as far as claiming and closing need to know it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunId {
    pub conversation_id: String,
    pub turn_id: String,
    pub run: u32,
}

impl RunId {
    pub fn from_request(request: &TurnRequest) -> Self {
        let TurnRequest { conversation_id, turn_id, run, .. } = request;
        Self { conversation_id: conversation_id.clone(), turn_id: turn_id.clone(), run: *run }
    }

    /// The claim of the attempt that the turn counts last.
    pub fn claim(&self, turn: &StoredTurn) -> Claim {
        let Self { conversation_id, turn_id, run } = self.clone();
        Claim { conversation_id, turn_id, run, attempt: turn.attempt, last_position: turn.last_position }
    }
}

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

/// A turn as the table has it. Times are milliseconds since 1970, positions are those of its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTurn {
    pub status: TurnStatus,
    pub run: u32,
    pub attempt: u32,
    /// None until the run has been claimed.
    pub lease_until: Option<u64>,
    pub claimable_until: u64,
    /// Whether subscribers have been told of its end.
    pub announced: bool,
    pub question_position: u32,
    /// The answer follows it.
    pub answer_position: u32,
    /// What the current run has said follows it.
    pub run_position: u32,
    pub last_position: u32,
    /// Of the attempt's newest update.
    pub last_sequence: u32,
    /// Of the attempt's newest event, or 0: the batches after it are text that no event holds.
    pub last_event_sequence: u32,
}

impl StoredTurn {
    pub fn is_leased(&self, now: u64) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }
}

/// Why a turn could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// Somebody is answering, or was a moment ago: look again later.
    Leased,
    /// Its conversation has been deleted.
    Gone,
    /// A newer run has been ordered.
    OtherRun,
    /// It has ended, and subscribers know.
    Ended,
    /// It has ended, and nobody has told the subscribers.
    Unannounced,
    /// Its user has cancelled it, and whoever was to end it is dead.
    Cancelled,
    /// Nobody may begin it any more.
    TooLate,
}

impl ClaimRefusal {
    /// Reads the refusal off the turn that a claim for `run` met.
    pub fn of(turn: Option<StoredTurn>, run: u32, now: u64) -> Self {
        let Some(turn) = turn else { return Self::Gone };
        if turn.run != run {
            return Self::OtherRun;
        }
        match turn.status {
            status if status.is_end() && turn.announced => Self::Ended,
            status if status.is_end() => Self::Unannounced,
            _ if turn.is_leased(now) => Self::Leased,
            TurnStatus::Cancelling => Self::Cancelled,
            _ if turn.claimable_until <= now => Self::TooLate,
            _ => Self::Leased,
        }
    }
}

/// A turn that has just been claimed.
#[cfg(test)]
pub(crate) const EXAMPLE: StoredTurn = StoredTurn {
    status: TurnStatus::Running,
    run: 1,
    attempt: 1,
    lease_until: Some(31_000),
    claimable_until: 361_000,
    announced: false,
    question_position: 7,
    answer_position: 7,
    run_position: 7,
    last_position: 7,
    last_sequence: 0,
    last_event_sequence: 0,
};

#[cfg(test)]
mod tests {
    use super::*;
    use TurnStatus::*;

    const NOW: u64 = 1_000;

    #[test]
    fn a_refused_claim_says_why() {
        let stored = |status, run, lease_until, claimable_until| StoredTurn {
            status,
            run,
            lease_until,
            claimable_until,
            ..EXAMPLE
        };
        let turn =
            |status, run, lease, claimable| ClaimRefusal::of(Some(stored(status, run, lease, claimable)), 2, NOW);
        let announced =
            |status| ClaimRefusal::of(Some(StoredTurn { announced: true, ..stored(status, 2, None, NOW) }), 2, NOW);
        let (live, dead, open, past) = (Some(1_001), Some(1_000), 1_001, 1_000);
        for (refusal, expected) in [
            (ClaimRefusal::of(None, 2, NOW), ClaimRefusal::Gone),
            (turn(Queued, 3, None, open), ClaimRefusal::OtherRun),
            (turn(Running, 1, live, open), ClaimRefusal::OtherRun),
            (turn(Completed, 2, live, open), ClaimRefusal::Unannounced),
            (turn(Cancelled, 2, None, past), ClaimRefusal::Unannounced),
            (turn(Failed, 2, dead, past), ClaimRefusal::Unannounced),
            (announced(Completed), ClaimRefusal::Ended),
            (announced(Cancelled), ClaimRefusal::Ended),
            (announced(Failed), ClaimRefusal::Ended),
            (turn(Running, 2, live, open), ClaimRefusal::Leased),
            (turn(Running, 2, live, past), ClaimRefusal::Leased),
            (turn(Cancelling, 2, live, open), ClaimRefusal::Leased),
            (turn(Cancelling, 2, dead, open), ClaimRefusal::Cancelled),
            (turn(Running, 2, dead, past), ClaimRefusal::TooLate),
            (turn(Queued, 2, None, past), ClaimRefusal::TooLate),
            (turn(Queued, 2, None, open), ClaimRefusal::Leased),
        ] {
            assert_eq!(refusal, expected);
        }
    }
}
