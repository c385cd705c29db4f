//! Ending a turn that nobody works on any more, so that what its dead attempt said is kept.
use crate::{claim::StoredTurn, failures::Failure, mutation::EndReason};
use api::types::{ContentBlock, FailureCode, StopReason, TurnStatus};

/// What is left to do for a turn whose order nobody will carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingDecision {
    Nothing,
    /// Somebody is answering, or was a moment ago: look again later.
    Later,
    /// It has ended, and nobody has told the subscribers.
    Announce,
    Close(EndReason),
}

/// `turn`: None when its conversation has been deleted. `run`: of the order. `now`: milliseconds since 1970.
pub fn decide(turn: Option<&StoredTurn>, run: u32, now: u64) -> ClosingDecision {
    let Some(turn) = turn.filter(|turn| turn.run == run) else { return ClosingDecision::Nothing };
    match turn.status {
        TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed if turn.announced => {
            ClosingDecision::Nothing
        }
        TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => ClosingDecision::Announce,
        _ if turn.is_leased(now) => ClosingDecision::Later,
        TurnStatus::Cancelling => ClosingDecision::Close(EndReason::Stopped(StopReason::Cancelled)),
        TurnStatus::Running => ClosingDecision::Close(EndReason::Failed(Failure::new(FailureCode::Interrupted))),
        TurnStatus::Queued => ClosingDecision::Close(EndReason::Failed(Failure::new(FailureCode::NotStarted))),
    }
}

/// A batch as the table has it; one without text was a beginning or a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    pub sequence: u32,
    pub block: u32,
    pub text: Option<String>,
}

/// The event that closes a turn, and its number among the attempt's updates.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosingEvent {
    pub id: String,
    pub position: u32,
    pub sequence: u32,
    pub content: Vec<ContentBlock>,
    pub why: EndReason,
}

impl ClosingEvent {
    /// `batches`: of the turn's attempt, after its last event's sequence, ascending. One may have been stored although
    /// the turn does not count it yet.
    pub fn new(turn_id: &str, turn: &StoredTurn, why: EndReason, batches: &[StoredBatch]) -> Self {
        let last = batches.last().map_or(turn.last_event_sequence, |batch| batch.sequence);
        Self {
            id: format!("{turn_id}-closed-{}", turn.run),
            position: turn.last_position + 1,
            sequence: turn.last_sequence.max(last) + 1,
            content: said(batches),
            why,
        }
    }
}

/// The text of each content block, joined.
fn said(batches: &[StoredBatch]) -> Vec<ContentBlock> {
    let texts: Vec<_> = batches.iter().filter_map(|batch| Some((batch.block, batch.text.as_deref()?))).collect();
    let blocks = texts.chunk_by(|(one, _), (next, _)| one == next);
    blocks.map(|block| ContentBlock::text(block.iter().map(|(_, text)| *text).collect::<String>())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::EXAMPLE;
    use TurnStatus::*;

    const DEAD: u64 = 31_000;

    #[test]
    fn an_order_that_is_not_the_turns_last_closes_nothing() {
        assert_eq!(decide(None, 1, DEAD), ClosingDecision::Nothing);
        for run in [1, 3] {
            assert_eq!(decide(Some(&StoredTurn { run: 2, ..EXAMPLE }), run, DEAD), ClosingDecision::Nothing);
        }
    }

    #[test]
    fn a_living_handler_is_left_alone() {
        for status in [Queued, Running, Cancelling] {
            assert_eq!(decide(Some(&StoredTurn { status, ..EXAMPLE }), 1, DEAD - 1), ClosingDecision::Later);
        }
    }

    #[test]
    fn an_end_is_announced_once_and_never_changed() {
        for status in [Completed, Cancelled, Failed] {
            for now in [DEAD - 1, DEAD] {
                let ended = StoredTurn { status, ..EXAMPLE };
                assert_eq!(decide(Some(&ended), 1, now), ClosingDecision::Announce);
                assert_eq!(decide(Some(&StoredTurn { announced: true, ..ended }), 1, now), ClosingDecision::Nothing);
            }
        }
    }

    #[test]
    fn a_dead_turn_is_closed_as_it_was_left_however_long_it_could_still_be_claimed() {
        for claimable_until in [0, u64::MAX] {
            let left = |status| StoredTurn { status, claimable_until, ..EXAMPLE };
            let why = |status| decide(Some(&left(status)), 1, DEAD);
            assert_eq!(why(Cancelling), ClosingDecision::Close(EndReason::Stopped(StopReason::Cancelled)));
            assert_eq!(why(Running), ClosingDecision::Close(EndReason::Failed(Failure::new(FailureCode::Interrupted))));
            let unclaimed = StoredTurn { lease_until: None, ..left(Queued) };
            let not_started = ClosingDecision::Close(EndReason::Failed(Failure::new(FailureCode::NotStarted)));
            assert_eq!(decide(Some(&unclaimed), 1, 0), not_started);
        }
    }

    #[test]
    fn a_closing_event_keeps_what_no_event_holds_and_takes_the_next_numbers() {
        let batch = |sequence, block, text: &str| StoredBatch { sequence, block, text: Some(text.into()) };
        let note = StoredBatch { sequence: 3, block: 0, text: None };
        let batches = [batch(2, 0, "So\r\n"), note, batch(4, 0, "be it."), batch(5, 2, "👩‍👩‍👧")];
        let turn = StoredTurn { run: 3, last_position: 9, last_sequence: 4, ..EXAMPLE };
        let event = ClosingEvent::new("t1", &turn, EndReason::Stopped(StopReason::Cancelled), &batches);
        assert_eq!((event.id.as_str(), event.position, event.sequence), ("t1-closed-3", 10, 6));
        assert_eq!(event.content, [ContentBlock::text("So\r\nbe it."), ContentBlock::text("👩‍👩‍👧")]);
    }

    #[test]
    fn a_turn_that_said_nothing_is_closed_with_an_empty_event() {
        let turn = StoredTurn { last_sequence: 7, ..EXAMPLE };
        let event = ClosingEvent::new("t1", &turn, EndReason::Failed(Failure::new(FailureCode::NotStarted)), &[]);
        assert_eq!((event.sequence, event.content), (8, Vec::new()));
    }
}
