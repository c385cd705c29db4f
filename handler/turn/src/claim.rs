//! Claims: the right of one attempt to answer a turn, and why a claim is refused.
use api::types::TurnStatus;
use serde::Deserialize;

/// Identifies one run of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunId {
    pub conversation_id: String,
    pub turn_id: String,
    pub run: u32,
}

impl RunId {
    /// The claim of the turn's last attempt.
    pub fn last_claim(&self, turn: &StoredTurn) -> Claim {
        Claim {
            conversation_id: self.conversation_id.clone(),
            turn_id: self.turn_id.clone(),
            run: self.run,
            attempt: turn.attempt,
            last_position: turn.last_position,
        }
    }
}

/// Identifies an attempt. Every update and write of the attempt carries it, and the table refuses those of
/// others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub conversation_id: String,
    pub turn_id: String,
    pub run: u32,
    /// From 1 over all runs of the turn.
    pub attempt: u32,
    /// The position of the turn's newest event. The attempt's first event takes the next position.
    pub last_position: u32,
}

/// A turn as stored in the table. Times are milliseconds since 1970; positions are numbers of events in the
/// conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTurn {
    pub status: TurnStatus,
    pub run: u32,
    pub attempt: u32,
    /// `None` until the run is claimed.
    pub lease_until: Option<u64>,
    pub claimable_until: u64,
    /// Until when the pending calls of a WAITING turn can be answered.
    pub pending_until: Option<u64>,
    /// Whether the turn's end has been published to subscribers.
    pub announced: bool,
    pub question_position: u32,
    /// The answer's events come after this position.
    pub answer_position: u32,
    /// The answer's events up to this position are kept, whatever attempt stored them: they are of earlier
    /// runs, or of steps with tool calls. Later ones belong to the run's last attempt.
    pub run_position: u32,
    pub last_position: u32,
    /// The sequence of the attempt's newest update.
    pub last_sequence: u32,
    /// The sequence of the attempt's newest event, or 0. The text of later batches is in no event yet.
    pub last_event_sequence: u32,
    /// `TurnRequest::started_at` of the invocation that claimed the turn last.
    pub claimed_start: Option<u64>,
}

impl StoredTurn {
    /// Whether a handler owns the turn. `now` is in milliseconds since 1970.
    pub fn is_leased(&self, now: u64) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    /// Whether tool calls wait for a person or a client. `now` is in milliseconds since 1970.
    pub fn is_waiting(&self, now: u64) -> bool {
        self.status == TurnStatus::Waiting && self.pending_until.is_some_and(|until| until > now)
    }
}

/// Why a turn cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// An attempt holds the lease, or held it a moment ago. This invocation may be the one that has to
    /// replace it.
    Leased,
    /// An attempt that another start of the run began holds the lease. Lambda retries that invocation, not
    /// this one.
    LeasedByOtherStart,
    /// The turn does not exist: its conversation has been deleted.
    NotFound,
    /// The turn is at another run.
    OtherRun,
    /// The turn has ended, and its end has been announced.
    Ended,
    /// The turn has ended, and its end has not been announced.
    Unannounced,
    /// The turn is CANCELLING without a live lease, so no handler is left to end it.
    Cancelled,
    /// The attempt has ended with tool calls that wait for a person or a client.
    Waiting,
    /// The time to claim the turn, or to answer its tool calls, is over.
    Expired,
}

impl ClaimRefusal {
    /// Why the table refused a claim for `run`, given the turn it holds. `now` and `started_at`, that of the
    /// refused request, are in milliseconds since 1970.
    pub fn from_stored(turn: Option<StoredTurn>, run: u32, started_at: Option<u64>, now: u64) -> Self {
        let Some(turn) = turn else { return Self::NotFound };
        if turn.run != run {
            return Self::OtherRun;
        }
        match turn.status {
            status if status.is_end() && turn.announced => Self::Ended,
            status if status.is_end() => Self::Unannounced,
            TurnStatus::Waiting if turn.is_waiting(now) => Self::Waiting,
            TurnStatus::Waiting => Self::Expired,
            _ if turn.is_leased(now) && is_other_start(turn.claimed_start, started_at) => Self::LeasedByOtherStart,
            _ if turn.is_leased(now) => Self::Leased,
            TurnStatus::Cancelling => Self::Cancelled,
            _ if turn.claimable_until <= now => Self::Expired,
            _ => Self::Leased,
        }
    }
}

fn is_other_start(claimed_start: Option<u64>, started_at: Option<u64>) -> bool {
    matches!((claimed_start, started_at), (Some(claimed), Some(started)) if claimed != started)
}

#[cfg(test)]
mod tests {
    use TurnStatus::{Cancelled, Cancelling, Completed, Failed, Queued, Running, Waiting};

    use super::*;
    use crate::test_support::CLAIMED_TURN;

    const NOW: u64 = 1_000;
    const RUN: u32 = 2;

    #[test]
    fn refusal_follows_from_the_stored_turn() {
        let refusal = |status, run, lease_until, claimable_until| {
            let turn = StoredTurn { status, run, lease_until, claimable_until, ..CLAIMED_TURN };
            ClaimRefusal::from_stored(Some(turn), RUN, None, NOW)
        };
        let live_lease = Some(NOW + 1);
        let dead_lease = Some(NOW);
        let claimable = NOW + 1;
        let expired = NOW;
        for (refusal, expected) in [
            (ClaimRefusal::from_stored(None, RUN, None, NOW), ClaimRefusal::NotFound),
            (refusal(Queued, 3, None, claimable), ClaimRefusal::OtherRun),
            (refusal(Running, 1, live_lease, claimable), ClaimRefusal::OtherRun),
            (refusal(Completed, 2, live_lease, claimable), ClaimRefusal::Unannounced),
            (refusal(Cancelled, 2, None, expired), ClaimRefusal::Unannounced),
            (refusal(Failed, 2, dead_lease, expired), ClaimRefusal::Unannounced),
            (refusal(Running, 2, live_lease, claimable), ClaimRefusal::Leased),
            (refusal(Running, 2, live_lease, expired), ClaimRefusal::Leased),
            (refusal(Cancelling, 2, live_lease, claimable), ClaimRefusal::Leased),
            (refusal(Cancelling, 2, dead_lease, claimable), ClaimRefusal::Cancelled),
            (refusal(Running, 2, dead_lease, expired), ClaimRefusal::Expired),
            (refusal(Queued, 2, None, expired), ClaimRefusal::Expired),
            (refusal(Queued, 2, None, claimable), ClaimRefusal::Leased),
        ] {
            assert_eq!(refusal, expected);
        }
    }

    #[test]
    fn waiting_turn_is_refused_until_it_has_expired() {
        for (pending_until, expected) in
            [(Some(NOW + 1), ClaimRefusal::Waiting), (Some(NOW), ClaimRefusal::Expired), (None, ClaimRefusal::Expired)]
        {
            let turn = StoredTurn { status: Waiting, run: RUN, lease_until: None, pending_until, ..CLAIMED_TURN };
            assert_eq!(ClaimRefusal::from_stored(Some(turn), RUN, None, NOW), expected);
        }
    }

    #[test]
    fn live_lease_of_another_start_is_distinguished() {
        let leased_by =
            |claimed_start| StoredTurn { run: RUN, lease_until: Some(NOW + 1), claimed_start, ..CLAIMED_TURN };
        for (claimed_start, started_at, expected) in [
            (Some(5), Some(5), ClaimRefusal::Leased),
            (Some(5), Some(6), ClaimRefusal::LeasedByOtherStart),
            (Some(5), None, ClaimRefusal::Leased),
            (None, Some(6), ClaimRefusal::Leased),
        ] {
            let refusal = ClaimRefusal::from_stored(Some(leased_by(claimed_start)), RUN, started_at, NOW);
            assert_eq!(refusal, expected);
        }
    }

    #[test]
    fn announced_end_is_refused_as_ended() {
        for status in [Completed, Cancelled, Failed] {
            let turn = StoredTurn { status, run: RUN, announced: true, ..CLAIMED_TURN };
            assert_eq!(ClaimRefusal::from_stored(Some(turn), RUN, None, NOW), ClaimRefusal::Ended);
        }
    }
}
