//! How to end a turn that no handler works on any more, and the event that keeps its published text.
use api::types::{Citation, ContentBlock, FailureCode, Reasoning, StopReason, TurnStatus};

use crate::{
    claim::StoredTurn,
    failures::Failure,
    mutation::{Author, BlockKind, EndReason},
};

/// The remaining work for a run whose invocations have failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingDecision {
    Nothing,
    /// A handler holds the lease: decide again later.
    Wait,
    /// The turn has ended, but its end has not been published.
    Announce,
    Close(EndReason),
}

impl ClosingDecision {
    /// `turn` is `None` if its conversation has been deleted. `now` is in milliseconds since 1970.
    pub fn for_run(turn: Option<&StoredTurn>, run: u32, now: u64) -> Self {
        let Some(turn) = turn.filter(|turn| turn.run == run) else { return Self::Nothing };
        match turn.status {
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed if turn.announced => Self::Nothing,
            TurnStatus::Completed | TurnStatus::Cancelled | TurnStatus::Failed => Self::Announce,
            // The answers of a person or a client start the next run.
            TurnStatus::Waiting if turn.is_waiting(now) => Self::Nothing,
            TurnStatus::Waiting => Self::Close(EndReason::Failed(Failure::new(FailureCode::PendingExpired))),
            _ if turn.is_leased(now) => Self::Wait,
            TurnStatus::Cancelling => Self::Close(EndReason::Stopped(StopReason::Cancelled)),
            TurnStatus::Running => Self::Close(EndReason::Failed(Failure::new(FailureCode::Interrupted))),
            TurnStatus::Queued => Self::Close(EndReason::Failed(Failure::new(FailureCode::NotStarted))),
        }
    }
}

/// A batch as stored in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBatch {
    pub sequence: u32,
    pub block: u32,
    /// `None` if the update was an attempt's start or a note, or has reasoning.
    pub text: Option<String>,
    /// Reasoning in place of text.
    pub reasoning: Option<String>,
    pub citations: Vec<Citation>,
}

/// The event that closes a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosingEvent {
    pub id: String,
    pub position: u32,
    /// The number of its update within the attempt.
    pub sequence: u32,
    pub author: Author,
    pub content: Vec<ContentBlock>,
    pub reason: EndReason,
}

impl ClosingEvent {
    /// The end of a turn that has waited for answers for too long.
    pub fn of_expired_wait(turn_id: &str, turn: &StoredTurn, reason: EndReason, results: Vec<ContentBlock>) -> Self {
        Self { author: Author::Tools, content: results, ..Self::new(turn_id, turn, reason, &[]) }
    }

    /// `batches` are those of the turn's attempt after its last event, in order of sequence. The newest one
    /// may have been stored without being counted by the turn.
    pub fn new(turn_id: &str, turn: &StoredTurn, reason: EndReason, batches: &[StoredBatch]) -> Self {
        let last_batch_sequence = batches.last().map_or(turn.last_event_sequence, |batch| batch.sequence);
        Self {
            id: format!("{turn_id}-closed-{}", turn.run),
            position: turn.last_position + 1,
            sequence: turn.last_sequence.max(last_batch_sequence) + 1,
            author: Author::Agent,
            content: join_blocks(batches),
            reason,
        }
    }
}

/// One content block for all batches of the same block, in order of the first batch.
fn join_blocks(batches: &[StoredBatch]) -> Vec<ContentBlock> {
    struct Joined {
        block: u32,
        kind: BlockKind,
        text: String,
        citations: Vec<Citation>,
    }
    let mut blocks: Vec<Joined> = Vec::new();
    for batch in batches {
        let (kind, text) = match (&batch.text, &batch.reasoning) {
            (Some(text), _) => (BlockKind::Text, text.clone()),
            (None, Some(reasoning)) => (BlockKind::Reasoning, reasoning.clone()),
            (None, None) => continue,
        };
        match blocks.iter_mut().find(|joined| joined.block == batch.block && joined.kind == kind) {
            Some(joined) => {
                joined.text.push_str(&text);
                joined.citations.extend_from_slice(&batch.citations);
            }
            None => blocks.push(Joined { block: batch.block, kind, text, citations: batch.citations.clone() }),
        }
    }
    let content = blocks.into_iter().map(|Joined { kind, text, citations, .. }| match kind {
        BlockKind::Reasoning => ContentBlock::reasoning(Reasoning { text, ..Reasoning::default() }),
        BlockKind::Text => {
            let citations = (!citations.is_empty()).then_some(citations);
            ContentBlock { citations, ..ContentBlock::text(text) }
        }
    });
    content.collect()
}

#[cfg(test)]
mod tests {
    use TurnStatus::{Cancelled, Cancelling, Completed, Failed, Queued, Running, Waiting};

    use super::*;
    use crate::test_support::CLAIMED_TURN;

    const LEASE_END: u64 = 31_000;

    fn citation(start: u32, end: u32) -> Citation {
        let (source, url, score, page) = (None, None, None, None);
        Citation { number: 1, title: "a.md".into(), source, url, passage: "So.".into(), score, page, start, end }
    }

    fn failed(code: FailureCode) -> EndReason {
        EndReason::Failed(Failure::new(code))
    }

    #[test]
    fn other_run_or_missing_turn_is_not_closed() {
        assert_eq!(ClosingDecision::for_run(None, 1, LEASE_END), ClosingDecision::Nothing);
        let turn = StoredTurn { run: 2, ..CLAIMED_TURN };
        for run in [1, 3] {
            assert_eq!(ClosingDecision::for_run(Some(&turn), run, LEASE_END), ClosingDecision::Nothing);
        }
    }

    #[test]
    fn leased_turn_waits() {
        for status in [Queued, Running, Cancelling] {
            let turn = StoredTurn { status, ..CLAIMED_TURN };
            assert_eq!(ClosingDecision::for_run(Some(&turn), 1, LEASE_END - 1), ClosingDecision::Wait);
        }
    }

    #[test]
    fn ended_turn_is_announced_once() {
        for status in [Completed, Cancelled, Failed] {
            for now in [LEASE_END - 1, LEASE_END] {
                let ended = StoredTurn { status, ..CLAIMED_TURN };
                assert_eq!(ClosingDecision::for_run(Some(&ended), 1, now), ClosingDecision::Announce);
                let announced = StoredTurn { announced: true, ..ended };
                assert_eq!(ClosingDecision::for_run(Some(&announced), 1, now), ClosingDecision::Nothing);
            }
        }
    }

    #[test]
    fn unleased_turn_is_closed_even_while_claimable() {
        for claimable_until in [0, u64::MAX] {
            let decision = |status| {
                let turn = StoredTurn { status, claimable_until, ..CLAIMED_TURN };
                ClosingDecision::for_run(Some(&turn), 1, LEASE_END)
            };
            assert_eq!(decision(Cancelling), ClosingDecision::Close(EndReason::Stopped(StopReason::Cancelled)));
            assert_eq!(decision(Running), ClosingDecision::Close(failed(FailureCode::Interrupted)));
            let unclaimed = StoredTurn { status: Queued, lease_until: None, claimable_until, ..CLAIMED_TURN };
            let not_started = ClosingDecision::Close(failed(FailureCode::NotStarted));
            assert_eq!(ClosingDecision::for_run(Some(&unclaimed), 1, 0), not_started);
        }
    }

    #[test]
    fn waiting_turn_is_closed_once_it_has_expired() {
        let turn = StoredTurn { status: Waiting, lease_until: None, pending_until: Some(LEASE_END), ..CLAIMED_TURN };
        assert_eq!(ClosingDecision::for_run(Some(&turn), 1, LEASE_END - 1), ClosingDecision::Nothing);
        let reason = failed(FailureCode::PendingExpired);
        assert_eq!(ClosingDecision::for_run(Some(&turn), 1, LEASE_END), ClosingDecision::Close(reason));
        let event = ClosingEvent::of_expired_wait("t1", &turn, reason, vec![ContentBlock::text("a")]);
        assert_eq!((event.author, event.position, event.sequence), (Author::Tools, 8, 1));
        assert_eq!(event.content, [ContentBlock::text("a")]);
    }

    #[test]
    fn closing_event_keeps_batch_text_and_takes_the_next_numbers() {
        let batch = |sequence, block, text: &str| StoredBatch {
            sequence,
            block,
            text: Some(text.into()),
            reasoning: None,
            citations: Vec::new(),
        };
        let thought = StoredBatch { text: None, reasoning: Some("Hm.".into()), ..batch(2, 1, "") };
        let note = StoredBatch { sequence: 3, block: 0, text: None, reasoning: None, citations: Vec::new() };
        let citations = vec![citation(0, 3), citation(4, 10)];
        let cited = StoredBatch { citations: vec![citations[1].clone()], ..batch(4, 0, "be it.") };
        let first = StoredBatch { citations: vec![citations[0].clone()], ..batch(2, 0, "So\r\n") };
        let batches = [first, thought, note, cited, batch(5, 2, "👩‍👩‍👧")];
        let turn = StoredTurn { run: 3, last_position: 9, last_sequence: 4, ..CLAIMED_TURN };
        let event = ClosingEvent::new("t1", &turn, EndReason::Stopped(StopReason::Cancelled), &batches);
        assert_eq!((event.id.as_str(), event.position, event.sequence), ("t1-closed-3", 10, 6));
        let text = ContentBlock { citations: Some(citations), ..ContentBlock::text("So\r\nbe it.") };
        let reasoning = ContentBlock::reasoning(Reasoning { text: "Hm.".into(), ..Reasoning::default() });
        assert_eq!(event.content, [text, reasoning, ContentBlock::text("👩‍👩‍👧")]);
    }

    #[test]
    fn closing_event_without_batches_is_empty() {
        let turn = StoredTurn { last_sequence: 7, ..CLAIMED_TURN };
        let event = ClosingEvent::new("t1", &turn, failed(FailureCode::NotStarted), &[]);
        assert_eq!((event.sequence, event.content), (8, Vec::new()));
    }
}
