//! Titles of conversations.
use super::{
    canned_text::split_tokens,
    request::Transcript,
    script::{Pace, Script, ScriptBuilder},
};

/// The beginning of a system prompt that asks for a title.
const INSTRUCTION: &str = "Write a title";
const TITLE_WORDS: usize = 6;

/// A title from the first words of the first question. None if the request does not ask for a title.
pub(super) fn script(transcript: &Transcript) -> Option<Script> {
    transcript.system_prompt().filter(|prompt| prompt.starts_with(INSTRUCTION))?;
    let question = transcript.questions().first().copied().unwrap_or_default();
    let words: Vec<&str> = question.split_whitespace().take(TITLE_WORDS).collect();
    let words = words.join(" ");
    let title = format!("About: {}", words.trim_end_matches(|letter: char| letter.is_ascii_punctuation()));
    Some(ScriptBuilder::new(Pace::Natural).text(split_tokens(&title)).close_block().finish("end_turn", transcript))
}
