//! Answers that are returned to their caller and not stored: what comes of the updates that an attempt would
//! publish.
use std::time::Instant;

use api::{
    json_size::fitting_prefix,
    text::is_blank,
    types::{FailureCode, InferenceSettings, StopReason},
};
use serde::Serialize;

use crate::{
    deadlines::Deadlines,
    failures::{Failure, no_text_sentence},
    knowledge::{Filter, RetrievalRequest},
    model_settings::{refused_by_model, without},
    mutation::{EndReason, Update},
    request::OneShotRequest,
    tool::{Caller, Tool, ToolEffect},
};

/// The largest text of an answer, in JSON-escaped bytes. AppSync drops updates over 240 KB without an error.
pub const MAX_TEXT_BYTES: usize = 200_000;

/// What Bedrock answers where it finds nothing (recorded from AWS).
const NOTHING_FOUND: &str = "Sorry, I am unable to assist you with this request.";

/// A question that Bedrock itself answers from the passages that it finds.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationRequest {
    /// Its query is the question.
    pub search: RetrievalRequest,
    /// An id or an ARN.
    pub model_id: String,
    pub inference: InferenceSettings,
}

/// The answer to a [`GenerationRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedAnswer {
    pub text: String,
    pub reason: StopReason,
}

/// Why a [`GenerationRequest`] has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationError {
    /// The request may succeed if it is repeated. Otherwise the answer fails with this code.
    Temporary(FailureCode),
    /// A repeated request would fail as well, or may be billed twice.
    Refused(FailureCode),
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OneShotAnswer {
    /// Not blank.
    Text(String),
    Failure(OneShotFailure),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OneShotFailure {
    pub code: OneShotCode,
    /// A sentence for people.
    pub message: &'static str,
    /// Whether the same question may be answered later.
    pub retryable: bool,
}

/// What a program branches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneShotCode {
    /// The answer failed, as one in a conversation can.
    Failed(FailureCode),
    Stopped(StopCode),
}

/// Why an answer that did not fail has no text to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StopCode {
    Deadline,
    MaxTokens,
    MaxSteps,
    /// A content filter or a guardrail has withheld the answer.
    ContentFiltered,
    NoText,
}

impl GenerationRequest {
    /// `None` for a question that the agent's model answers: always where a guardrail assesses the answer.
    pub fn from_question(request: &OneShotRequest) -> Option<Self> {
        let OneShotRequest { agent, text, .. } = request;
        let knowledge =
            agent.knowledge.as_ref().filter(|_| request.retrieve_and_generate && agent.guardrail.is_none())?;
        let settings = agent.inference.clone().unwrap_or_default();
        Some(Self {
            search: knowledge.request(text, &Caller::default()),
            model_id: agent.model_id.clone(),
            inference: without(&settings, &refused_by_model(&agent.model_id, &settings)),
        })
    }

    /// The answer that needs no request.
    pub fn answer_without_documents(&self) -> Option<GeneratedAnswer> {
        let finds_nothing = self.search.filter == Filter::Nothing;
        finds_nothing.then(|| GeneratedAnswer { text: NOTHING_FOUND.to_owned(), reason: StopReason::EndTurn })
    }
}

impl GenerationError {
    /// Until when the request may be repeated. A database that wakes up is waited for as long as possible.
    pub fn repeat_until(self, deadlines: &Deadlines) -> Option<Instant> {
        match self {
            Self::Temporary(FailureCode::KnowledgeUnavailable) => Some(deadlines.stop_model_at),
            Self::Temporary(_) => Some(deadlines.retry_model_until),
            Self::Refused(_) => None,
        }
    }

    pub fn code(self) -> FailureCode {
        let (Self::Temporary(code) | Self::Refused(code)) = self;
        code
    }
}

/// Whether the tool may be called without a person and without a record of the call.
pub fn is_allowed_tool(tool: &Tool) -> bool {
    tool.effect == ToolEffect::Read && tool.pending_status().is_none()
}

/// The text after the last tool call, gathered from an attempt's updates.
#[derive(Debug, Default)]
pub struct AnswerText {
    text: String,
    size: usize,
}

impl AnswerText {
    pub fn on_update(&mut self, update: &Update) {
        let Update::Event(event) = update else { return };
        for block in &event.content {
            if let Some(text) = &block.text {
                self.push(text);
            }
            if block.tool_use.is_some() {
                *self = Self::default();
            }
        }
    }

    /// What the caller gets of an answer that ended so. A text that a filter has cut or replaced is not the
    /// model's answer, which the caller could not see in a text alone.
    pub fn into_answer(self, end: EndReason) -> OneShotAnswer {
        let reason = match end {
            EndReason::Failed(failure) => return OneShotAnswer::Failure(failure.into()),
            EndReason::Stopped(reason) => reason,
        };
        let is_withheld = matches!(reason, StopReason::ContentFiltered | StopReason::GuardrailIntervened);
        if is_withheld || is_blank(&self.text) {
            return OneShotAnswer::Failure(OneShotFailure::of_stop(reason));
        }
        OneShotAnswer::Text(self.text)
    }

    /// Leaves out what is beyond the largest size.
    pub fn push(&mut self, text: &str) {
        let fit = fitting_prefix(text, MAX_TEXT_BYTES - self.size);
        self.text.push_str(&text[..fit.cut]);
        self.size += fit.size;
        if fit.cut < text.len() {
            // A shorter character that follows must not be appended.
            self.size = MAX_TEXT_BYTES;
        }
    }
}

impl OneShotFailure {
    fn of_stop(reason: StopReason) -> Self {
        let (code, retryable) = match reason {
            StopReason::Deadline => (StopCode::Deadline, true),
            StopReason::MaxTokens | StopReason::ContextWindowExceeded => (StopCode::MaxTokens, false),
            StopReason::MaxSteps => (StopCode::MaxSteps, false),
            StopReason::ContentFiltered | StopReason::GuardrailIntervened => (StopCode::ContentFiltered, false),
            StopReason::EndTurn
            | StopReason::StopSequence
            | StopReason::MalformedOutput
            | StopReason::Cancelled
            | StopReason::NoAnswer
            | StopReason::Other => (StopCode::NoText, true),
        };
        let message = match reason {
            StopReason::Deadline => {
                "There was no answer in time. Ask again, or ask in a conversation, where there is more time."
            }
            StopReason::Cancelled => no_text_sentence(StopReason::Other),
            reason => no_text_sentence(reason),
        };
        Self { code: OneShotCode::Stopped(code), message, retryable }
    }
}

impl From<Failure> for OneShotFailure {
    fn from(Failure { code, message, retryable, .. }: Failure) -> Self {
        Self { code: OneShotCode::Failed(code), message, retryable }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use api::types::{ContentBlock, ToolUse};
    use serde_json::json;

    use super::*;
    use crate::{
        mutation::{AgentEvent, Author, Batch, BlockKind},
        request::Agent,
        tool::{LambdaTool, ToolApproval, ToolTarget, True},
    };

    fn event(author: Author, content: Vec<ContentBlock>) -> Update {
        let agent = json!({ "id": "default", "version": 0, "modelId": "any", "contextBytes": 10_000 });
        let agent: Agent = serde_json::from_value(agent).unwrap();
        Update::Event(AgentEvent {
            id: "e".into(),
            position: 2,
            agent: Arc::new(agent),
            author,
            content,
            step_usage: None,
            model_id: "any".into(),
            guardrail: None,
            end: None,
        })
    }

    fn texts(texts: &[&str]) -> Update {
        event(Author::Agent, texts.iter().map(|text| ContentBlock::text((*text).to_owned())).collect())
    }

    fn text_then_call(text: &str) -> Update {
        let call = ToolUse { id: "a".into(), name: "look".into(), title: None, input: "{}".into() };
        event(Author::Agent, vec![ContentBlock::text(text.to_owned()), ContentBlock::tool_use(call)])
    }

    fn answer(updates: &[Update], reason: StopReason) -> OneShotAnswer {
        let mut text = AnswerText::default();
        for update in updates {
            text.on_update(update);
        }
        text.into_answer(EndReason::Stopped(reason))
    }

    fn text(text: &str) -> OneShotAnswer {
        OneShotAnswer::Text(text.to_owned())
    }

    fn stop_code(answer: &OneShotAnswer) -> Option<StopCode> {
        match answer {
            OneShotAnswer::Failure(OneShotFailure { code: OneShotCode::Stopped(code), .. }) => Some(*code),
            _ => None,
        }
    }

    #[test]
    fn text_of_all_events_is_joined_and_batches_are_not_counted_twice() {
        let batch = Update::Batch(Batch { block: 0, kind: BlockKind::Text, text: "So ".into(), citations: Vec::new() });
        let updates = [batch, texts(&["So ", "be"]), texts(&[" it."])];
        assert_eq!(answer(&updates, StopReason::EndTurn), text("So be it."));
    }

    #[test]
    fn text_before_the_last_tool_call_is_left_out() {
        let updates = [texts(&["I am "]), text_then_call("looking."), event(Author::Tools, Vec::new()), texts(&["7"])];
        assert_eq!(answer(&updates, StopReason::EndTurn), text("7"));
        let code = stop_code(&answer(&updates[..3], StopReason::MaxSteps));
        assert_eq!(code, Some(StopCode::MaxSteps));
    }

    #[test]
    fn cut_answer_keeps_its_text() {
        for reason in [
            StopReason::MaxTokens,
            StopReason::Deadline,
            StopReason::StopSequence,
            StopReason::ContextWindowExceeded,
            StopReason::MalformedOutput,
            StopReason::Other,
        ] {
            assert_eq!(answer(&[texts(&["So be"])], reason), text("So be"), "{reason:?}");
        }
    }

    #[test]
    fn stop_without_a_text_is_a_failure() {
        for (reason, code) in [
            (StopReason::EndTurn, StopCode::NoText),
            (StopReason::Deadline, StopCode::Deadline),
            (StopReason::MaxTokens, StopCode::MaxTokens),
            (StopReason::MaxSteps, StopCode::MaxSteps),
            (StopReason::ContentFiltered, StopCode::ContentFiltered),
            (StopReason::GuardrailIntervened, StopCode::ContentFiltered),
        ] {
            assert_eq!(stop_code(&answer(&[texts(&[" \n\u{FEFF}"])], reason)), Some(code), "{reason:?}");
        }
    }

    #[test]
    fn filtered_text_is_not_returned() {
        for reason in [StopReason::ContentFiltered, StopReason::GuardrailIntervened] {
            let answer = answer(&[texts(&["Sorry, I cannot say that."])], reason);
            assert_eq!(stop_code(&answer), Some(StopCode::ContentFiltered), "{reason:?}");
        }
    }

    #[test]
    fn failure_is_that_of_a_turn_and_its_text_is_not_returned() {
        let mut cut = AnswerText::default();
        cut.on_update(&texts(&["So be"]));
        let answer = cut.into_answer(EndReason::Failed(Failure::new(FailureCode::ModelUnavailable)));
        let expected = json!({ "failure": {
            "code": "MODEL_UNAVAILABLE",
            "message": "The model could not be reached, or broke off. Try again.",
            "retryable": true,
        } });
        assert_eq!(serde_json::to_value(answer).unwrap(), expected);
    }

    #[test]
    fn answer_is_written_for_the_resolver() {
        assert_eq!(serde_json::to_value(text("So.")).unwrap(), json!({ "text": "So." }));
        let stopped = serde_json::to_value(answer(&[], StopReason::Deadline)).unwrap();
        assert_eq!((&stopped["failure"]["code"], &stopped["failure"]["retryable"]), (&"DEADLINE".into(), &true.into()));
    }

    #[test]
    fn longest_text_is_cut_between_characters() {
        let half = "é".repeat(MAX_TEXT_BYTES / 4);
        let updates = [texts(&[&half]), texts(&[&half[2..], "a"]), texts(&["👩", "b"])];
        let OneShotAnswer::Text(found) = answer(&updates, StopReason::EndTurn) else { panic!("there is a text") };
        assert_eq!(found.len(), MAX_TEXT_BYTES - 1, "the emoji has no room, and nothing follows it");
        assert!(found.ends_with("éa"));
    }

    #[test]
    fn question_is_generated_from_the_knowledge_of_the_agent_as_nobody() {
        let request = |retrieve_and_generate: bool, filter: Option<&str>, has_knowledge: bool| {
            let mut agent = json!({
                "id": "default", "version": 0, "modelId": "anthropic.claude-sonnet-5", "contextBytes": 10_000,
                "inference": { "maxTokens": 9, "temperature": 0.5 },
            });
            if has_knowledge {
                agent["knowledge"] =
                    json!({ "knowledgeBaseId": "KB00000001", "mode": "TOOL", "results": 3, "filter": filter });
            }
            let request: OneShotRequest = serde_json::from_value(json!({
                "conversationId": "c", "turnId": "t", "agent": agent, "text": "Why?",
                "retrieveAndGenerate": retrieve_and_generate,
            }))
            .unwrap();
            GenerationRequest::from_question(&request)
        };
        let found = request(true, None, true).unwrap();
        assert_eq!((found.search.query.as_str(), found.search.results), ("Why?", 3));
        assert_eq!((found.inference.max_tokens, found.inference.temperature), (Some(9), None));
        assert_eq!(found.answer_without_documents(), None);
        assert_eq!(request(false, None, true), None);
        assert_eq!(request(true, None, false), None);
        let of_caller = r#"{"equals":{"key":"owner","value":"$caller.id"}}"#;
        let answer = request(true, Some(of_caller), true).unwrap().answer_without_documents().unwrap();
        assert_eq!((answer.text.as_str(), answer.reason), (NOTHING_FOUND, StopReason::EndTurn));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
    fn database_that_wakes_up_is_waited_for_longer_than_a_busy_model() {
        let deadlines = Deadlines::of_one_shot(Instant::now(), Duration::from_secs(24));
        for (error, expected) in [
            (GenerationError::Temporary(FailureCode::KnowledgeUnavailable), Some(deadlines.stop_model_at)),
            (GenerationError::Temporary(FailureCode::Throttled), Some(deadlines.retry_model_until)),
            (GenerationError::Refused(FailureCode::ModelRefused), None),
        ] {
            assert_eq!(error.repeat_until(&deadlines), expected, "{error:?}");
        }
    }

    #[test]
    fn tools_that_only_read_and_need_nobody_are_allowed() {
        let lambda = || ToolTarget::Lambda(LambdaTool { function_arn: "arn".into() });
        let is_allowed = |effect, approval, target| {
            let tool = Tool {
                name: "look".into(),
                title: None,
                description: "Looks.".into(),
                input_schema: r#"{"type":"object"}"#.into(),
                effect,
                approval,
                target,
            };
            is_allowed_tool(&tool)
        };
        assert!(is_allowed(ToolEffect::Read, None, lambda()));
        assert!(is_allowed(ToolEffect::Read, Some(ToolApproval::Never), ToolTarget::Handler(True)));
        assert!(!is_allowed(ToolEffect::Read, Some(ToolApproval::Always), lambda()));
        assert!(!is_allowed(ToolEffect::Read, Some(ToolApproval::Never), ToolTarget::Client(True)));
        assert!(!is_allowed(ToolEffect::Write, Some(ToolApproval::Never), lambda()));
    }
}
