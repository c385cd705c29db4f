//! What a turn's status means at a moment: a handler that is dead has left what it last wrote.
use crate::claim::StoredTurn;
use api::types::TurnStatus;

/// `now`: milliseconds since 1970. An end is never undone; RUNNING may read as QUEUED until the turn is claimed again.
pub fn effective(turn: &StoredTurn, now: u64) -> TurnStatus {
    match turn.status {
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
    use crate::{
        claim::{ClaimRefusal, EXAMPLE},
        closing_decision::{ClosingDecision, decide},
    };

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        status: TurnStatus,
        lease_until: Option<u64>,
        claimable_until: u64,
        now: u64,
        effective: TurnStatus,
        claimable: bool,
    }

    impl Case {
        fn turn(&self) -> StoredTurn {
            let Self { status, lease_until, claimable_until, .. } = *self;
            StoredTurn { status, lease_until, claimable_until, ..EXAMPLE }
        }
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("../../../tests/effective-status.json")).unwrap()
    }

    #[test]
    fn every_case_reads_as_the_table_says() {
        let cases = cases();
        assert_eq!(cases.len(), 6 * 4 * 3);
        for case in cases {
            assert_eq!(effective(&case.turn(), case.now), case.effective, "{case:?}");
        }
    }

    /// Whoever cannot claim a turn does with it as readers are told.
    #[test]
    fn a_refused_claim_reads_every_case_alike() {
        for case in cases().into_iter().filter(|case| !case.claimable) {
            let expected = match case.effective {
                _ if case.status.is_end() => ClaimRefusal::Unannounced,
                TurnStatus::Cancelled => ClaimRefusal::Cancelled,
                TurnStatus::Failed => ClaimRefusal::TooLate,
                _ => ClaimRefusal::Leased,
            };
            assert_eq!(ClaimRefusal::of(Some(case.turn()), 1, case.now), expected, "{case:?}");
        }
    }

    /// Whoever closes a turn whose order nobody will carry out does not wait until it can no longer be claimed.
    #[test]
    fn a_closing_ends_every_case_as_readers_are_told() {
        for case in cases() {
            let decision = decide(Some(&case.turn()), 1, case.now);
            let is_leased = case.lease_until.is_some_and(|until| until > case.now);
            match decision {
                ClosingDecision::Announce => assert!(case.status.is_end(), "{case:?}"),
                ClosingDecision::Later => assert!(is_leased && !case.status.is_end(), "{case:?}"),
                ClosingDecision::Close(_) if is_leased => panic!("{case:?}"),
                ClosingDecision::Close(why) if case.effective == TurnStatus::Queued => {
                    assert_eq!(why.status(), TurnStatus::Failed, "{case:?}");
                }
                ClosingDecision::Close(why) => assert_eq!(why.status(), case.effective, "{case:?}"),
                ClosingDecision::Nothing => panic!("{case:?}"),
            }
        }
    }
}
