//! Prints an answer while it streams.
use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{Result, Write},
};

use client::{
    reassembly::TurnEnd,
    schema::{
        Citation, GuardrailIntervention, GuardrailPolicy, GuardrailSource, Reasoning, StopReason, ToolCall, ToolResult,
        ToolStatus, ToolUse, TurnStatus,
    },
};
use jiff::{SpanTotal, Timestamp, Unit};

/// Of longer arguments and results of tools only the beginning is printed.
const PRINTED_TOOL_CHARS: usize = 200;

pub(super) struct Renderer<O> {
    output: O,
    is_terminal: bool,
    is_at_line_start: bool,
    /// The tool calls whose results are not printed.
    open_calls: Vec<ToolUse>,
    /// What the answer cites, by number.
    sources: BTreeMap<u32, Citation>,
    /// Whether reasoning was printed, or announced where it is hidden, since the event before.
    has_reasoned: bool,
    /// The content block of the reasoning that was printed last, until something else is.
    reasoning_block: Option<u32>,
    details: Details,
}

/// What is printed besides the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Details {
    /// The passages of sources.
    pub passages: bool,
    pub reasoning: bool,
}

impl<O: Write> Renderer<O> {
    pub fn new(output: O, is_terminal: bool, details: Details) -> Self {
        Self {
            output,
            is_terminal,
            is_at_line_start: true,
            open_calls: Vec::new(),
            sources: BTreeMap::new(),
            has_reasoned: false,
            reasoning_block: None,
            details,
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub fn prompt(&mut self) -> Result<()> {
        if self.is_terminal {
            write!(self.output, "> ")?;
        }
        self.output.flush()
    }

    pub fn append(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.reasoning_block.take().is_some() {
            self.finish_line()?;
        }
        write!(self.output, "{}", self.sanitize(text))?;
        self.is_at_line_start = text.ends_with('\n');
        self.output.flush()
    }

    /// Prints a part of the reasoning of a content block, or that there is some where it is hidden.
    pub fn append_reasoning(&mut self, block: u32, text: &str) -> Result<()> {
        let is_first = !std::mem::replace(&mut self.has_reasoned, true);
        if !self.details.reasoning {
            return if is_first && self.is_terminal { self.note("Thinking…") } else { Ok(()) };
        }
        if self.reasoning_block.replace(block) != Some(block) {
            self.finish_line()?;
        }
        let text = self.sanitize(text);
        if self.is_terminal {
            write!(self.output, "\x1b[2m{text}\x1b[0m")?;
        } else {
            write!(self.output, "{text}")?;
        }
        self.is_at_line_start = text.ends_with('\n');
        self.output.flush()
    }

    /// Another attempt or an event follows the reasoning that was printed.
    pub fn clear_reasoning(&mut self) {
        self.reasoning_block = None;
    }

    /// Prints the reasoning of a stored event, unless it was printed while it streamed.
    pub fn reasoning(&mut self, blocks: &[Reasoning]) -> Result<()> {
        if self.details.reasoning && !self.has_reasoned {
            for (index, block) in (0..).zip(blocks) {
                if block.text.is_empty() {
                    self.note("The model does not show its reasoning.")?;
                } else {
                    self.append_reasoning(index, &block.text)?;
                }
            }
        }
        self.reasoning_block = None;
        self.has_reasoned = false;
        self.finish_line()
    }

    /// Prints the whole answer again: printed text cannot be taken back.
    pub fn replace(&mut self, text: &str) -> Result<()> {
        self.note("The answer starts again.")?;
        self.append(text)
    }

    /// Prints a line that is no part of an answer.
    pub fn note(&mut self, note: &str) -> Result<()> {
        self.finish_line()?;
        let note = self.sanitize(note);
        if self.is_terminal {
            writeln!(self.output, "\x1b[2m({note})\x1b[0m")
        } else {
            writeln!(self.output, "({note})")
        }?;
        self.output.flush()
    }

    pub fn tool_call(&mut self, call: &ToolUse) -> Result<()> {
        self.open_calls.push(call.clone());
        let name = call.title.as_ref().unwrap_or(&call.name);
        self.note(&format!("Calls {name} with {}", beginning(&call.input)))
    }

    /// Prints a call that a user or a page must answer, with the whole of its arguments.
    pub fn pending_call(&mut self, call: &ToolCall) -> Result<()> {
        let name = call.title.as_ref().unwrap_or(&call.name);
        let need = match call.status {
            ToolStatus::ClientNeeded => "must be answered by a page of your application",
            _ => "needs your approval",
        };
        let input = escape_invisible(self.input_of(call).unwrap_or_default());
        self.note(&format!("{name} {need}. Its arguments: {input}"))
    }

    /// The arguments of a call that has no result yet, as JSON text.
    pub fn input_of(&self, call: &ToolCall) -> Option<&str> {
        self.open_calls.iter().find(|open| open.id == call.id).map(|open| open.input.as_str())
    }

    /// Prints a question that the next line of the input answers.
    pub fn question(&mut self, question: &str) -> Result<()> {
        self.finish_line()?;
        if self.is_terminal {
            write!(self.output, "{question} ")?;
        } else {
            writeln!(self.output, "{question}")?;
        }
        self.output.flush()
    }

    pub fn tool_result(&mut self, result: &ToolResult) -> Result<()> {
        let index = self.open_calls.iter().position(|call| call.id == result.tool_use_id);
        let call = index.map(|index| self.open_calls.remove(index));
        let name = call.map_or_else(|| "A tool".to_owned(), |call| call.title.unwrap_or(call.name));
        let outcome = match result.status {
            ToolStatus::Running => "runs",
            ToolStatus::ApprovalNeeded => "needs an approval",
            ToolStatus::ClientNeeded => "is for a client to run",
            ToolStatus::Succeeded => "succeeded",
            ToolStatus::Failed => "failed",
            ToolStatus::Denied => "was denied",
            ToolStatus::Expired => "has expired",
            ToolStatus::Cancelled => "was cancelled",
            ToolStatus::Unknown => "has no known result",
        };
        let time = tool_seconds(result).map_or_else(String::new, |seconds| format!(" after {seconds:.1} s"));
        let output = result.json.as_ref().or(result.text.as_ref()).map_or("", String::as_str);
        self.note(&format!("{name} {outcome}{time}: {}", beginning(output)))
    }

    /// The sources are printed below the answer.
    pub fn cite(&mut self, citations: Vec<Citation>) {
        self.sources.extend(citations.into_iter().map(|citation| (citation.number, citation)));
    }

    pub fn end(&mut self, end: &TurnEnd) -> Result<()> {
        for (number, citation) in std::mem::take(&mut self.sources) {
            self.note(&format!("[{number}] {}", source_line(&citation)))?;
            if self.details.passages {
                self.note(&citation.passage)?;
            }
        }
        if let Some(note) = end_note(end) {
            self.note(&note)?;
        }
        self.has_reasoned = false;
        self.reasoning_block = None;
        self.finish_line()?;
        self.output.flush()
    }

    fn finish_line(&mut self) -> Result<()> {
        if !self.is_at_line_start {
            writeln!(self.output)?;
            self.is_at_line_start = true;
        }
        Ok(())
    }

    /// Replaces control characters for a terminal, so that a model cannot send it escape sequences.
    fn sanitize<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let is_harmless = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
        if !self.is_terminal || text.chars().all(is_harmless) {
            return text.into();
        }
        let letters = text.chars().filter(|letter| *letter != '\r');
        letters.map(|letter| if is_harmless(letter) { letter } else { char::REPLACEMENT_CHARACTER }).collect()
    }
}

fn beginning(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(PRINTED_TOOL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// JSON text with escapes in place of characters that are not seen or that change the order of others: a user
/// approves what is printed.
fn escape_invisible(json: &str) -> String {
    let is_invisible = |letter| {
        matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\n' | '\t' | '\r' => text.push(' '),
            letter if is_invisible(letter) => text.push_str(&format!("\\u{:04x}", u32::from(letter))),
            other => text.push(other),
        }
    }
    text
}

/// Such as `leave.md, page 2: s3://bucket/leave.md`.
fn source_line(citation: &Citation) -> String {
    let page = citation.page.map_or_else(String::new, |page| format!(", page {page}"));
    let address = citation.url.as_ref().or(citation.source.as_ref());
    let address = address.map_or_else(String::new, |address| format!(": {address}"));
    format!("{}{page}{address}", citation.title)
}

/// How long the tool ran; `None` if it was not run.
fn tool_seconds(result: &ToolResult) -> Option<f64> {
    let started_at: Timestamp = result.started_at.as_ref()?.parse().ok()?;
    let ended_at: Timestamp = result.ended_at.as_ref()?.parse().ok()?;
    (ended_at - started_at).total(SpanTotal::from(Unit::Second)).ok()
}

/// The note for the user about an end; None for the usual one.
fn end_note(end: &TurnEnd) -> Option<String> {
    if end.status == TurnStatus::Failed {
        return Some(match &end.failure {
            Some(failure) if failure.retryable => format!("Failed: {} /retry tries again.", failure.message),
            Some(failure) => format!("Failed: {}", failure.message),
            None => "Failed.".to_owned(),
        });
    }
    if let Some(guardrail) = &end.guardrail {
        return Some(guardrail_note(guardrail));
    }
    // A turn that was cancelled while its handler was dead has no event with a stop reason.
    let is_cancelled = end.status == TurnStatus::Cancelled;
    let stop_reason = end.stop_reason.or(is_cancelled.then_some(StopReason::Cancelled))?;
    let note = match stop_reason {
        StopReason::EndTurn | StopReason::StopSequence => return None,
        StopReason::MaxTokens => "The answer reached its maximum length. /continue continues it.",
        StopReason::ContextWindowExceeded => "The conversation has become too long for the model.",
        StopReason::GuardrailIntervened => "A guardrail stopped the answer.",
        StopReason::ContentFiltered => "A content filter stopped the answer.",
        StopReason::MalformedOutput => "The model produced malformed output.",
        StopReason::Deadline => "The answer ran out of time. /continue continues it.",
        StopReason::Cancelled => "Cancelled. /continue continues the answer.",
        StopReason::MaxSteps => "The answer reached its largest number of steps. /continue continues it.",
        StopReason::NoAnswer => "The model thought and then said nothing. /retry asks it again.",
        StopReason::Other => "The model stopped early.",
    };
    Some(note.to_owned())
}

fn guardrail_note(guardrail: &GuardrailIntervention) -> String {
    let side = match guardrail.source {
        Some(GuardrailSource::Input) => " in the message",
        Some(GuardrailSource::Output) => " in the answer",
        None => "",
    };
    let policies: Vec<_> = guardrail.policies.iter().copied().map(policy_name).collect();
    let cause = if policies.is_empty() { "" } else { " because of its policy: " };
    format!("A guardrail has intervened{side}{cause}{}.", policies.join(", "))
}

fn policy_name(policy: GuardrailPolicy) -> &'static str {
    match policy {
        GuardrailPolicy::Topic => "denied topics",
        GuardrailPolicy::Content => "harmful content",
        GuardrailPolicy::Word => "blocked words",
        GuardrailPolicy::SensitiveInformation => "sensitive information",
        GuardrailPolicy::ContextualGrounding => "grounding in the documents",
        GuardrailPolicy::Other => "one that this version does not know",
    }
}

#[cfg(test)]
mod tests {
    use client::schema::{Failure, FailureCode};

    use super::*;

    fn printed(is_terminal: bool, print: impl Fn(&mut Renderer<&mut Vec<u8>>) -> Result<()>) -> String {
        let mut bytes = Vec::new();
        print(&mut Renderer::new(&mut bytes, is_terminal, Details::default())).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn end(status: TurnStatus, stop_reason: Option<StopReason>, failure: Option<Failure>) -> TurnEnd {
        TurnEnd { status, stop_reason, failure, usage: None, guardrail: None }
    }

    #[test]
    fn answer_ends_with_a_newline() {
        let text = printed(false, |renderer| {
            renderer.append("Hel")?;
            renderer.append("lo")?;
            renderer.end(&end(TurnStatus::Completed, Some(StopReason::EndTurn), None))
        });
        assert_eq!(text, "Hello\n");
    }

    #[test]
    fn answer_that_ends_with_a_newline_gets_no_second_one() {
        let text = printed(false, |renderer| {
            renderer.append("Hello\n")?;
            renderer.end(&end(TurnStatus::Completed, Some(StopReason::EndTurn), None))
        });
        assert_eq!(text, "Hello\n");
    }

    #[test]
    fn retryable_failure_keeps_the_text_and_names_retry() {
        let failure =
            Failure { code: Some(FailureCode::Throttled), message: "The model is busy.".to_owned(), retryable: true };
        let text = printed(false, |renderer| {
            renderer.append("Hel")?;
            renderer.end(&end(TurnStatus::Failed, None, Some(failure.clone())))
        });
        assert_eq!(text, "Hel\n(Failed: The model is busy. /retry tries again.)\n");
    }

    #[test]
    fn cancelled_answer_without_stop_reason_is_noted() {
        let text = printed(false, |renderer| {
            renderer.append("Hel")?;
            renderer.end(&end(TurnStatus::Cancelled, None, None))
        });
        assert_eq!(text, "Hel\n(Cancelled. /continue continues the answer.)\n");
    }

    #[test]
    fn replaced_answer_is_printed_again() {
        let text = printed(false, |renderer| {
            renderer.append("Hel")?;
            renderer.replace("")?;
            renderer.append("Good day")
        });
        assert_eq!(text, "Hel\n(The answer starts again.)\nGood day");
    }

    #[test]
    fn tool_calls_and_results_are_notes() {
        let call = ToolUse { id: "id1".into(), name: "look".into(), title: None, input: r#"{"of":"x"}"#.into() };
        let result = ToolResult {
            tool_use_id: "id1".into(),
            status: ToolStatus::Succeeded,
            json: Some("9".repeat(300)),
            text: None,
            truncated: None,
            started_at: Some("2026-11-21T09:00:00.100Z".into()),
            ended_at: Some("2026-11-21T09:00:01.600Z".into()),
        };
        let text = printed(false, |renderer| {
            renderer.append("Let me look.")?;
            renderer.tool_call(&call)?;
            renderer.tool_result(&result)
        });
        let output = "9".repeat(200);
        let expected =
            format!("Let me look.\n(Calls look with {{\"of\":\"x\"}})\n(look succeeded after 1.5 s: {output}…)\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn sources_are_printed_once_below_the_answer() {
        let citation = |number, title: &str, page| Citation {
            number,
            title: title.into(),
            source: Some(format!("s3://docs/{title}")),
            url: None,
            passage: "The passage.".into(),
            score: None,
            page,
            start: 0,
            end: 1,
        };
        let mut bytes = Vec::new();
        let details = Details { passages: true, ..Details::default() };
        let mut renderer = Renderer::new(&mut bytes, false, details);
        renderer.append("So [2], and so [1].").unwrap();
        renderer.cite(vec![citation(2, "b.md", None), citation(1, "a.pdf", Some(3))]);
        renderer.cite(vec![citation(2, "b.md", None)]);
        renderer.end(&end(TurnStatus::Completed, Some(StopReason::EndTurn), None)).unwrap();
        let expected = "So [2], and so [1].\n([1] a.pdf, page 3: s3://docs/a.pdf)\n(The passage.)\n\
                        ([2] b.md: s3://docs/b.md)\n(The passage.)\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn reasoning_is_dim_and_printed_once() {
        let blocks = [Reasoning { text: "Hm. Yes.".to_owned(), ..Reasoning::default() }];
        let print = |is_streamed: bool, details| {
            let mut bytes = Vec::new();
            let mut renderer = Renderer::new(&mut bytes, true, details);
            if is_streamed {
                renderer.append_reasoning(0, "Hm.").unwrap();
                renderer.append_reasoning(0, " Yes.").unwrap();
            }
            renderer.clear_reasoning();
            renderer.reasoning(&blocks).unwrap();
            renderer.append("Because.").unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let details = Details { reasoning: true, ..Details::default() };
        assert_eq!(print(true, details), "\x1b[2mHm.\x1b[0m\x1b[2m Yes.\x1b[0m\nBecause.");
        assert_eq!(print(false, details), "\x1b[2mHm. Yes.\x1b[0m\nBecause.");
        assert_eq!(print(true, Details::default()), "\x1b[2m(Thinking…)\x1b[0m\nBecause.");
        assert_eq!(print(false, Details::default()), "Because.");
    }

    #[test]
    fn intervention_of_a_guardrail_names_its_policies() {
        let policies = vec![GuardrailPolicy::Topic, GuardrailPolicy::Word];
        let guardrail = Some(GuardrailIntervention { source: Some(GuardrailSource::Input), policies });
        let intervened = end(TurnStatus::Completed, Some(StopReason::GuardrailIntervened), None);
        assert_eq!(
            end_note(&TurnEnd { guardrail, ..intervened }).unwrap(),
            "A guardrail has intervened in the message because of its policy: denied topics, blocked words."
        );
    }

    #[test]
    fn pending_call_is_printed_with_all_of_its_arguments() {
        let input = format!(r#"{{"of":"{}"}}"#, "9".repeat(300));
        let call = ToolUse { id: "id1".into(), name: "order".into(), title: None, input: input.clone() };
        let pending = |status| ToolCall { id: "id1".into(), name: "order".into(), title: None, status, note: None };
        let printed = |status| {
            printed(false, |renderer| {
                renderer.open_calls.push(call.clone());
                renderer.pending_call(&pending(status))?;
                renderer.question("Run it? [y/n]")
            })
        };
        let expected = format!("(order needs your approval. Its arguments: {input})\nRun it? [y/n]\n");
        assert_eq!(printed(ToolStatus::ApprovalNeeded), expected);
        assert!(
            printed(ToolStatus::ClientNeeded).starts_with("(order must be answered by a page of your application.")
        );
    }

    #[test]
    fn arguments_to_approve_hide_nothing() {
        assert_eq!(escape_invisible("{\"a\":\n\"x\u{202e}y\u{200b}é\"}"), r#"{"a": "x\u202ey\u200bé"}"#);
    }

    #[test]
    fn prompts_and_styles_are_for_terminals_only() {
        assert_eq!(printed(false, |renderer| renderer.prompt()), "");
        assert_eq!(printed(true, |renderer| renderer.prompt()), "> ");
        assert_eq!(printed(true, |renderer| renderer.note("Wait.")), "\x1b[2m(Wait.)\x1b[0m\n");
    }

    #[test]
    fn control_characters_are_replaced_for_terminals_only() {
        let text = "a\x1b[2Jb\u{9b}31mc\r\nd\te";
        assert_eq!(printed(true, |renderer| renderer.append(text)), "a\u{fffd}[2Jb\u{fffd}31mc\nd\te");
        assert_eq!(printed(false, |renderer| renderer.append(text)), text);
    }
}
