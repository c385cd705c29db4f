//! The effective status of a turn: what its stored status means once a lease or the time to claim it has
//! expired.
use api::types::TurnStatus;

use crate::claim::StoredTurn;

/// The status that readers see at `now`, in milliseconds since 1970.
///
/// An end is final. RUNNING may read as QUEUED until the turn is claimed again, and WAITING reads as FAILED
/// once the time to answer is over.
pub fn effective_status(turn: &StoredTurn, now: u64) -> TurnStatus {
    match turn.status {
        TurnStatus::Waiting if turn.is_waiting(now) => TurnStatus::Waiting,
        TurnStatus::Waiting => TurnStatus::Failed,
        status if status.is_end() || turn.is_leased(now) => status,
        TurnStatus::Cancelling => TurnStatus::Cancelled,
        _ if turn.claimable_until > now => TurnStatus::Queued,
        _ => TurnStatus::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{claim::ClaimRefusal, closing_decision::ClosingDecision, test_support::CLAIMED_TURN};

    /// A row of the table that the resolvers are tested against as well.
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        status: TurnStatus,
        lease_until: Option<u64>,
        claimable_until: u64,
        pending_until: Option<u64>,
        now: u64,
        effective: TurnStatus,
        claimable: bool,
    }

    impl Case {
        fn turn(&self) -> StoredTurn {
            StoredTurn {
                status: self.status,
                lease_until: self.lease_until,
                claimable_until: self.claimable_until,
                pending_until: self.pending_until,
                ..CLAIMED_TURN
            }
        }
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("../../../tests/effective-status.json")).unwrap()
    }

    #[test]
    fn every_case_has_its_effective_status() {
        let cases = cases();
        let waiting_cases = cases.iter().filter(|case| case.status == TurnStatus::Waiting).count();
        assert_eq!((cases.len(), waiting_cases), (6 * 4 * 3 + 16, 16));
        for case in cases {
            assert_eq!(effective_status(&case.turn(), case.now), case.effective, "{case:?}");
        }
    }

    #[test]
    fn claim_refusal_agrees_with_effective_status() {
        for case in cases().into_iter().filter(|case| !case.claimable) {
            let expected = match case.effective {
                _ if case.status.is_end() => ClaimRefusal::Unannounced,
                TurnStatus::Cancelled => ClaimRefusal::Cancelled,
                TurnStatus::Waiting => ClaimRefusal::Waiting,
                TurnStatus::Failed => ClaimRefusal::Expired,
                _ => ClaimRefusal::Leased,
            };
            assert_eq!(ClaimRefusal::from_stored(Some(case.turn()), 1, None, case.now), expected, "{case:?}");
        }
    }

    /// The closer ends an unleased turn at once, even while it could still be claimed: no delivery is left to
    /// claim it.
    #[test]
    fn closing_agrees_with_effective_status() {
        for case in cases() {
            let decision = ClosingDecision::for_run(Some(&case.turn()), 1, case.now);
            let is_leased = case.lease_until.is_some_and(|until| until > case.now);
            match decision {
                ClosingDecision::Announce => assert!(case.status.is_end(), "{case:?}"),
                ClosingDecision::Wait => assert!(is_leased && !case.status.is_end(), "{case:?}"),
                ClosingDecision::Nothing => assert_eq!(case.effective, TurnStatus::Waiting, "{case:?}"),
                ClosingDecision::Close(_) if is_leased => assert_eq!(case.status, TurnStatus::Waiting, "{case:?}"),
                ClosingDecision::Close(reason) if case.effective == TurnStatus::Queued => {
                    assert_eq!(reason.status(), TurnStatus::Failed, "{case:?}");
                }
                ClosingDecision::Close(reason) => assert_eq!(reason.status(), case.effective, "{case:?}"),
            }
        }
    }
}
