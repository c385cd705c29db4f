//! What a client is told at the end of a run: the text, or a sentence in its place.
use api::{
    json_size::json_size,
    text::is_blank,
    types::{
        Citation, ContentBlock, ConversationEvent, Failure, FailureCode, SenderKind, StopReason, ToolCall, ToolStatus,
        TurnStatus,
    },
};

use super::message::json_len;
use crate::{
    failures::{self, no_text_sentence},
    mutation::{AgentEvent, Author, EndReason, Wait},
};

/// The most bytes of an answer's texts and citations. Later blocks are left out: the client reads the turn.
pub const MAX_ANSWER_BYTES: usize = 1_000_000;

/// The end of a run, or its wait for a person or a client.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// 0 where it is not known.
    pub sequence: u32,
    pub status: TurnStatus,
    /// Never blank.
    pub text: String,
    /// Their places are in the text.
    pub citations: Vec<Citation>,
    pub failure: Option<Failure>,
    /// The tool calls that wait.
    pub pending: Vec<ToolCall>,
    /// Whether blocks are left out.
    pub is_truncated: bool,
}

/// The text of the answer's last step, which may be in several events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepText {
    text: String,
    utf16_len: u32,
    citations: Vec<Citation>,
    /// Of the text and the citations, as JSON.
    bytes: usize,
    is_truncated: bool,
    /// Whether the step's tools have been called: more text belongs to the next step.
    is_over: bool,
}

impl StepText {
    pub fn push_event(&mut self, content: &[ContentBlock]) {
        if self.is_over {
            *self = Self::default();
        }
        for block in content {
            self.push_block(block);
        }
    }

    fn push_block(&mut self, block: &ContentBlock) {
        self.is_over |= block.tool_use.is_some();
        let Some(text) = &block.text else { return };
        let citations = block.citations.as_deref().unwrap_or_default();
        let bytes = json_size(text) + citations.iter().map(json_len).sum::<usize>();
        self.is_truncated |= self.bytes + bytes > MAX_ANSWER_BYTES;
        if self.is_truncated {
            return;
        }
        self.bytes += bytes;
        self.text.push_str(text);
        let offset = self.utf16_len;
        let moved = |citation: &Citation| Citation {
            start: citation.start.saturating_add(offset),
            end: citation.end.saturating_add(offset),
            ..citation.clone()
        };
        self.citations.extend(citations.iter().map(moved));
        self.utf16_len = self.utf16_len.saturating_add(text.encode_utf16().count().try_into().unwrap_or(u32::MAX));
    }
}

impl RunEnd {
    /// `step` has the text of the event, and of those of the same step before it. `None` if the event ends no
    /// run.
    pub fn of_event(sequence: u32, event: &AgentEvent, step: StepText) -> Option<Self> {
        let reason = event.end?.reason;
        let step = match event.author {
            Author::Agent => step,
            Author::Tools => StepText::default(),
        };
        Some(Self::new(sequence, reason.status(), step, EndSentence::of_reason(reason)))
    }

    pub fn of_wait(sequence: u32, wait: &Wait, step: StepText) -> Self {
        let sentence = EndSentence { text: wait_sentence(&wait.calls), failure: None };
        let pending = wait.calls.clone();
        Self { pending, ..Self::new(sequence, TurnStatus::Waiting, step, sentence) }
    }

    /// The end of a turn whose last event is stored. `earlier`: the events of its run before that, ascending
    /// by position. `None` if they cannot be read: then their text is left out.
    pub fn of_stored_events(
        sequence: u32,
        status: TurnStatus,
        earlier: Option<&[ConversationEvent]>,
        event: &ConversationEvent,
    ) -> Self {
        let is_of_attempt = |earlier: &&ConversationEvent| {
            let is_own = (&earlier.turn_id, earlier.attempt) == (&event.turn_id, event.attempt);
            is_own && earlier.superseded != Some(true) && earlier.sender.kind == SenderKind::Agent
        };
        let mut step = StepText::default();
        if event.sender.kind == SenderKind::Agent {
            let texts = earlier.unwrap_or_default().iter().filter(is_of_attempt).chain([event]);
            texts.for_each(|event| step.push_event(&event.content));
            step.is_truncated |= earlier.is_none();
        }
        let sentence = EndSentence::of_stored(status, event.failure.clone(), event.stop_reason);
        Self::new(sequence, status, step, sentence)
    }

    /// The end of a turn with all its events, or its wait for `pending`.
    pub fn of_events(
        status: TurnStatus,
        events: &[ConversationEvent],
        pending: Vec<ToolCall>,
        failure: Option<Failure>,
    ) -> Self {
        let mut step = StepText::default();
        for event in events {
            match event.sender.kind {
                SenderKind::Agent => step.push_event(&event.content),
                SenderKind::Tool | SenderKind::User => step = StepText::default(),
            }
        }
        let sentence = match status {
            TurnStatus::Waiting => EndSentence { text: wait_sentence(&pending), failure: None },
            _ => EndSentence::of_stored(status, failure, events.last().and_then(|event| event.stop_reason)),
        };
        Self { pending, ..Self::new(0, status, step, sentence) }
    }

    fn new(sequence: u32, status: TurnStatus, step: StepText, sentence: EndSentence) -> Self {
        let StepText { text, citations, is_truncated, .. } = step;
        let EndSentence { text: in_place_of_text, failure } = sentence;
        let text = if is_blank(&text) { in_place_of_text } else { text };
        Self { sequence, status, text, citations, failure, pending: Vec::new(), is_truncated }
    }
}

/// What stands in place of a text that is blank.
struct EndSentence {
    text: String,
    failure: Option<Failure>,
}

impl EndSentence {
    fn of_reason(reason: EndReason) -> Self {
        match reason {
            EndReason::Failed(failure) => Self { text: failure.message.to_owned(), failure: Some(failure.into()) },
            EndReason::Stopped(reason) => Self { text: no_text_sentence(reason).to_owned(), failure: None },
        }
    }

    fn of_stored(status: TurnStatus, failure: Option<Failure>, reason: Option<StopReason>) -> Self {
        match (failure, status) {
            (Some(failure), _) => Self { text: failure.message.clone(), failure: Some(failure) },
            (None, TurnStatus::Failed) => {
                Self::of_reason(EndReason::Failed(failures::Failure::new(FailureCode::Internal)))
            }
            (None, TurnStatus::Cancelled) => Self::of_reason(EndReason::Stopped(StopReason::Cancelled)),
            (None, _) => Self::of_reason(EndReason::Stopped(reason.unwrap_or(StopReason::Other))),
        }
    }
}

/// One sentence for the calls that wait for an approval, and one for those that a client runs.
fn wait_sentence(calls: &[ToolCall]) -> String {
    let sentence = |status: ToolStatus, waits_for: &str| {
        let mut names: Vec<&str> = Vec::new();
        for call in calls.iter().filter(|call| call.status == status) {
            let name = call.title.as_deref().unwrap_or(&call.name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match names.split_last() {
            None => None,
            Some((only, [])) => Some(format!("The tool {only} waits for {waits_for}.")),
            Some((last, others)) => Some(format!("The tools {} and {last} wait for {waits_for}.", others.join(", "))),
        }
    };
    let approvals = sentence(ToolStatus::ApprovalNeeded, "an approval");
    let clients = sentence(ToolStatus::ClientNeeded, "your application");
    let sentences: Vec<String> = approvals.into_iter().chain(clients).collect();
    if sentences.is_empty() { "A tool waits for an answer.".to_owned() } else { sentences.join(" ") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::types::{Sender, ToolUse};
    use serde_json::json;

    use super::*;
    use crate::{mutation::AnswerEnd, request::Agent};

    fn agent() -> Arc<Agent> {
        let agent = json!({ "id": "default", "version": 0, "modelId": "any", "contextBytes": 10_000 });
        Arc::new(serde_json::from_value(agent).unwrap())
    }

    fn citation(start: u32, end: u32) -> Citation {
        let (source, url, score, page) = (None, None, None, None);
        Citation { number: 1, title: "a.md".into(), source, url, passage: "So.".into(), score, page, start, end }
    }

    fn call_block() -> ContentBlock {
        ContentBlock::tool_use(ToolUse { id: "a".into(), name: "look".into(), title: None, input: "{}".into() })
    }

    fn step(events: &[Vec<ContentBlock>]) -> StepText {
        let mut step = StepText::default();
        events.iter().for_each(|content| step.push_event(content));
        step
    }

    fn end_of(reason: EndReason, author: Author, texts: &[&str]) -> RunEnd {
        let content: Vec<_> = texts.iter().map(|text| ContentBlock::text(*text)).collect();
        let event = AgentEvent {
            id: "e".into(),
            position: 8,
            agent: agent(),
            author,
            content: content.clone(),
            step_usage: None,
            model_id: "any".into(),
            guardrail: None,
            end: Some(AnswerEnd { reason, usage: None }),
        };
        RunEnd::of_event(5, &event, step(&[content])).unwrap()
    }

    fn call(name: &str, title: Option<&str>, status: ToolStatus) -> ToolCall {
        ToolCall { id: "a".into(), name: name.into(), title: title.map(str::to_owned), status, note: None }
    }

    fn stored(content: Vec<ContentBlock>, kind: SenderKind) -> ConversationEvent {
        ConversationEvent {
            id: "e".into(),
            conversation_id: "c1".into(),
            position: 8,
            turn_id: Some("t1".into()),
            attempt: Some(1),
            sender: Sender { kind, id: None, name: None },
            content,
            text: None,
            stop_reason: None,
            usage: None,
            failure: None,
            superseded: None,
            replaces_turn_id: None,
            answer_position: None,
            model_id: None,
            guardrail: None,
            created_at: "2026-11-21T09:00:00.000Z".into(),
        }
    }

    #[test]
    fn text_is_that_of_the_last_step() {
        let first = vec![ContentBlock::text("I look."), call_block()];
        let cited = ContentBlock { citations: Some(vec![citation(0, 2)]), ..ContentBlock::text("é👩 ") };
        let step = step(&[first, vec![cited.clone()], vec![ContentBlock::text("So "), cited]]);
        assert_eq!(step.text, "é👩 So é👩 ");
        assert_eq!(step.citations, [citation(0, 2), citation(7, 9)], "places are in the whole text");
    }

    #[test]
    fn text_beyond_the_bound_is_left_out() {
        let quarter = vec![ContentBlock::text("\"".repeat(MAX_ANSWER_BYTES / 8))];
        let mut step = step(&[quarter.clone(), quarter.clone(), quarter.clone(), quarter]);
        assert_eq!((step.text.len(), step.is_truncated), (MAX_ANSWER_BYTES / 2, false));
        step.push_event(&[ContentBlock::text("x"), ContentBlock::text("")]);
        assert_eq!((step.text.len(), step.is_truncated), (MAX_ANSWER_BYTES / 2, true));
    }

    #[test]
    fn blank_text_is_replaced_by_what_happened() {
        for (reason, expected) in [
            (StopReason::Cancelled, "The answer was stopped."),
            (StopReason::Deadline, "There was no answer in time. Ask again."),
            (StopReason::MaxTokens, "The model has used up its tokens before its answer."),
            (StopReason::MaxSteps, "The model has called tools for as often as it may, without an answer."),
            (StopReason::GuardrailIntervened, "A filter has withheld the answer."),
            (StopReason::EndTurn, "The model has answered without a text. Try again."),
        ] {
            for texts in [&[][..], &["", " \n\u{FEFF}"][..]] {
                let end = end_of(EndReason::Stopped(reason), Author::Agent, texts);
                assert_eq!((end.text.as_str(), end.failure), (expected, None), "{reason:?}");
            }
            assert_eq!(end_of(EndReason::Stopped(reason), Author::Agent, &["So", "."]).text, "So.");
        }
        let failed = EndReason::Failed(failures::Failure::new(FailureCode::Throttled));
        let end = end_of(failed, Author::Tools, &["a result"]);
        assert_eq!(end.text, "The model is too busy right now. Try again later.");
        assert_eq!((end.status, end.sequence), (TurnStatus::Failed, 5));
        let end = end_of(failed, Author::Agent, &["So far."]);
        assert_eq!(end.text, "So far.");
        assert!(end.failure.is_some_and(|failure| failure.retryable && failure.code == Some(FailureCode::Throttled)));
    }

    #[test]
    fn event_inside_of_a_run_is_no_end() {
        let event = AgentEvent {
            id: "e".into(),
            position: 8,
            agent: agent(),
            author: Author::Agent,
            content: Vec::new(),
            step_usage: None,
            model_id: "any".into(),
            guardrail: None,
            end: None,
        };
        assert_eq!(RunEnd::of_event(1, &event, StepText::default()), None);
    }

    #[test]
    fn wait_names_the_tools() {
        use ToolStatus::{ApprovalNeeded, ClientNeeded};
        for (calls, expected) in [
            (vec![call("order", Some("Order"), ApprovalNeeded)], "The tool Order waits for an approval."),
            (vec![call("page", None, ClientNeeded)], "The tool page waits for your application."),
            (
                vec![call("a", None, ApprovalNeeded), call("a", None, ApprovalNeeded), call("b", None, ApprovalNeeded)],
                "The tools a and b wait for an approval.",
            ),
            (
                vec![call("a", None, ApprovalNeeded), call("p", None, ClientNeeded), call("b", None, ClientNeeded)],
                "The tool a waits for an approval. The tools p and b wait for your application.",
            ),
            (Vec::new(), "A tool waits for an answer."),
        ] {
            let wait = Wait { calls: calls.clone(), position: 8, agent: agent(), asked_by: None };
            let end = RunEnd::of_wait(3, &wait, StepText::default());
            assert_eq!((end.text.as_str(), end.status, end.pending), (expected, TurnStatus::Waiting, calls));
            let end = RunEnd::of_wait(3, &wait, step(&[vec![ContentBlock::text("I order."), call_block()]]));
            assert_eq!(end.text, "I order.");
        }
    }

    #[test]
    fn stored_event_is_read_as_it_was_published() {
        let text = vec![ContentBlock::text("So "), ContentBlock::text("far.")];
        let failure = Failure { code: None, message: "Not today.".into(), retryable: true };
        let failed = ConversationEvent { failure: Some(failure.clone()), ..stored(Vec::new(), SenderKind::Agent) };
        let end = RunEnd::of_stored_events(4, TurnStatus::Failed, Some(&[]), &failed);
        assert_eq!((end.text.as_str(), end.failure, end.sequence), ("Not today.", Some(failure), 4));
        for (status, event, expected) in [
            (TurnStatus::Cancelled, stored(text.clone(), SenderKind::Agent), "So far."),
            (TurnStatus::Cancelled, stored(text, SenderKind::Tool), "The answer was stopped."),
            (TurnStatus::Failed, stored(Vec::new(), SenderKind::Agent), "Something went wrong on our side. Try again."),
            (
                TurnStatus::Completed,
                stored(Vec::new(), SenderKind::Agent),
                "The model has answered without a text. Try again.",
            ),
        ] {
            let end = RunEnd::of_stored_events(4, status, Some(&[]), &event);
            assert_eq!((end.text.as_str(), end.status), (expected, status));
        }
    }
    #[test]
    fn stored_text_is_that_of_the_last_step_of_the_last_attempt() {
        let agent = |text: &str| stored(vec![ContentBlock::text(text)], SenderKind::Agent);
        let calls = stored(vec![ContentBlock::text("I look."), call_block()], SenderKind::Agent);
        let earlier = [
            calls,
            stored(vec![ContentBlock::text("a result")], SenderKind::Tool),
            ConversationEvent { superseded: Some(true), ..agent("superseded ") },
            ConversationEvent { attempt: Some(0), ..agent("of another attempt ") },
            ConversationEvent { turn_id: Some("t2".into()), ..agent("of another turn ") },
            agent("So "),
            agent("be "),
        ];
        for (earlier, event, expected) in [
            (Some(&earlier[..]), agent("it."), ("So be it.", false)),
            (None, agent("it."), ("it.", true)),
            (Some(&earlier[..1]), stored(Vec::new(), SenderKind::Agent), ("The answer was stopped.", false)),
            (Some(&earlier[..]), stored(Vec::new(), SenderKind::Tool), ("The answer was stopped.", false)),
        ] {
            let end = RunEnd::of_stored_events(4, TurnStatus::Cancelled, earlier, &event);
            assert_eq!((end.text.as_str(), end.is_truncated), expected);
        }
    }
}
