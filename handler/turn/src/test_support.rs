//! Values for unit tests.
use api::types::TurnStatus;

use crate::claim::StoredTurn;

/// A turn claimed at the moment 1,000.
pub const CLAIMED_TURN: StoredTurn = StoredTurn {
    status: TurnStatus::Running,
    run: 1,
    attempt: 1,
    lease_until: Some(31_000),
    claimable_until: 361_000,
    pending_until: None,
    announced: false,
    question_position: 7,
    answer_position: 7,
    run_position: 7,
    last_position: 7,
    last_sequence: 0,
    last_event_sequence: 0,
    claimed_start: None,
};
