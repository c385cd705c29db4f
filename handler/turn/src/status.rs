//! What a turn's status means at a moment: a handler that is dead has left what it last wrote.
use crate::{claim::StoredTurn, words::TurnStatus};

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
    use crate::claim::EXAMPLE;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        status: TurnStatus,
        lease_until: Option<u64>,
        claimable_until: u64,
        now: u64,
        effective: TurnStatus,
    }

    #[test]
    fn every_case_reads_as_the_table_says() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/effective-status.json")).unwrap();
        assert_eq!(cases.len(), 6 * 4 * 3);
        for case in cases {
            let Case { status, lease_until, claimable_until, now, .. } = case;
            let turn = StoredTurn { status, lease_until, claimable_until, ..EXAMPLE };
            assert_eq!(effective(&turn, now), case.effective, "{case:?}");
        }
    }
}
