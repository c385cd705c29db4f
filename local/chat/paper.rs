//! How an answer is printed while it grows.
use std::{
    borrow::Cow,
    io::{Result, Write},
};

use client::{
    rule::Ending,
    schema::{StopReason, TurnStatus},
};

pub(super) struct Paper<O> {
    output: O,
    is_terminal: bool,
    line: Line,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Fresh,
    Begun,
}

impl<O: Write> Paper<O> {
    pub fn new(output: O, is_terminal: bool) -> Self {
        Self { output, is_terminal, line: Line::Fresh }
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
        write!(self.output, "{}", self.presentable(text))?;
        self.line = if text.ends_with('\n') { Line::Fresh } else { Line::Begun };
        self.output.flush()
    }

    /// What is printed cannot be taken back: the answer is printed anew below.
    pub fn replace(&mut self, text: &str) -> Result<()> {
        self.note("The answer begins anew.")?;
        self.append(text)
    }

    pub fn note(&mut self, note: &str) -> Result<()> {
        self.finish_line()?;
        let note = self.presentable(note);
        if self.is_terminal {
            writeln!(self.output, "\x1b[2m({note})\x1b[0m")
        } else {
            writeln!(self.output, "({note})")
        }?;
        self.output.flush()
    }

    pub fn end(&mut self, ending: &Ending) -> Result<()> {
        if let Some(remark) = remark(ending) {
            self.note(&remark)?;
        }
        self.finish_line()?;
        self.output.flush()
    }

    fn finish_line(&mut self) -> Result<()> {
        if self.line == Line::Begun {
            writeln!(self.output)?;
            self.line = Line::Fresh;
        }
        Ok(())
    }

    /// A terminal obeys control characters; nothing a model says may command it.
    fn presentable<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let harmless = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
        if !self.is_terminal || text.chars().all(harmless) {
            return text.into();
        }
        let letters = text.chars().filter(|letter| *letter != '\r');
        letters.map(|letter| if harmless(letter) { letter } else { char::REPLACEMENT_CHARACTER }).collect()
    }
}

fn remark(ending: &Ending) -> Option<String> {
    if ending.status == TurnStatus::Failed {
        return Some(match &ending.failure {
            Some(failure) if failure.retryable => format!("Failed: {} /retry asks again.", failure.message),
            Some(failure) => format!("Failed: {}", failure.message),
            None => "Failed.".to_owned(),
        });
    }
    let reason =
        match ending.stop_reason.or((ending.status == TurnStatus::Cancelled).then_some(StopReason::Cancelled))? {
            StopReason::EndTurn | StopReason::StopSequence => return None,
            StopReason::MaxTokens => "The answer reached its longest length. /continue goes on.",
            StopReason::ContextWindowExceeded => "The conversation has grown too long for the model.",
            StopReason::GuardrailIntervened => "A guardrail stopped the answer.",
            StopReason::ContentFiltered => "A content filter stopped the answer.",
            StopReason::MalformedOutput => "The model broke off in disorder.",
            StopReason::Deadline => "The time for the answer ran out. /continue goes on.",
            StopReason::Cancelled => "Cancelled. /continue goes on.",
            StopReason::Other => "The model stopped early.",
        };
    Some(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use client::schema::{Failure, FailureCode};

    use super::*;

    fn printed(is_terminal: bool, write: impl Fn(&mut Paper<&mut Vec<u8>>) -> Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut Paper::new(&mut bytes, is_terminal)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn ending(status: TurnStatus, stop_reason: Option<StopReason>, failure: Option<Failure>) -> Ending {
        Ending { status, stop_reason, failure, usage: None }
    }

    #[test]
    fn pieces_join_and_the_answer_ends_with_a_line() {
        let text = printed(false, |paper| {
            paper.append("Hel")?;
            paper.append("lo")?;
            paper.end(&ending(TurnStatus::Completed, Some(StopReason::EndTurn), None))
        });
        assert_eq!(text, "Hello\n");
    }

    #[test]
    fn an_answer_that_ends_with_a_line_gets_no_second() {
        let text = printed(false, |paper| {
            paper.append("Hello\n")?;
            paper.end(&ending(TurnStatus::Completed, Some(StopReason::EndTurn), None))
        });
        assert_eq!(text, "Hello\n");
    }

    #[test]
    fn a_failure_keeps_the_partial_text_and_says_whether_to_ask_again() {
        let failure =
            Failure { code: FailureCode::Throttled, message: "The model is busy.".to_owned(), retryable: true };
        let text = printed(false, |paper| {
            paper.append("Hel")?;
            paper.end(&ending(TurnStatus::Failed, None, Some(failure.clone())))
        });
        assert_eq!(text, "Hel\n(Failed: The model is busy. /retry asks again.)\n");
    }

    #[test]
    fn a_cancelled_answer_says_so_even_where_nobody_stored_why() {
        let text = printed(false, |paper| {
            paper.append("Hel")?;
            paper.end(&ending(TurnStatus::Cancelled, None, None))
        });
        assert_eq!(text, "Hel\n(Cancelled. /continue goes on.)\n");
    }

    #[test]
    fn a_replaced_answer_is_printed_anew() {
        let text = printed(false, |paper| {
            paper.append("Hel")?;
            paper.replace("")?;
            paper.append("Good day")
        });
        assert_eq!(text, "Hel\n(The answer begins anew.)\nGood day");
    }

    #[test]
    fn only_a_terminal_sees_prompts_and_styles() {
        assert_eq!(printed(false, |paper| paper.prompt()), "");
        assert_eq!(printed(true, |paper| paper.prompt()), "> ");
        assert_eq!(printed(true, |paper| paper.note("Wait.")), "\x1b[2m(Wait.)\x1b[0m\n");
    }

    #[test]
    fn a_terminal_is_not_commanded_by_the_model_and_a_file_gets_every_byte() {
        let text = "a\x1b[2Jb\u{9b}31mc\r\nd\te";
        assert_eq!(printed(true, |paper| paper.append(text)), "a\u{fffd}[2Jb\u{fffd}31mc\nd\te");
        assert_eq!(printed(false, |paper| paper.append(text)), text);
    }
}
