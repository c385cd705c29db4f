//! The title of a conversation, made of its first question.
use api::{
    text::is_blank,
    types::{ConversationEvent, SenderKind, StopReason},
};

use crate::{
    model::{Guardrail, ModelRequest, PromptCaching, Role, TranscriptBlock, TranscriptMessage},
    model_settings::short_answer,
    mutation::EndReason,
};

const INSTRUCTIONS: &str = "Write a title for a conversation that begins with the message of the user: at most six \
    words, in the language of the message. Do not answer the message. Write the title alone, without quotes and \
    without a full stop.";
/// The longest title that a model may write, in tokens, without what it thinks.
const MAX_TOKENS: u32 = 40;
/// Of a longer message the model gets the beginning, in characters.
const MAX_QUESTION_CHARACTERS: usize = 2000;
/// The longest title, in UTF-16 code units. An API with a limit of 200 takes it in any language.
pub const MAX_TITLE_UNITS: usize = 80;

/// Whether the answer is the first one of the conversation. `history`: the events before its question.
pub fn is_first_answer(history: &[ConversationEvent], is_history_cut: bool) -> bool {
    let is_answer = |event: &ConversationEvent| {
        event.sender.kind == SenderKind::Agent && event.texts().any(|text| !is_blank(text)) && event.failure.is_none()
    };
    !is_history_cut && !history.iter().any(is_answer)
}

/// Whether the conversation may get its title of a turn that has ended so. The message of a turn that a
/// guardrail has stopped is not shown again.
pub fn is_titled_after(end: EndReason) -> bool {
    match end {
        EndReason::Stopped(StopReason::Cancelled | StopReason::GuardrailIntervened | StopReason::ContentFiltered) => {
            false
        }
        EndReason::Stopped(_) => true,
        EndReason::Failed(_) => false,
    }
}

/// Asks a model for a title.
pub fn title_request(model_id: &str, question: &str, guardrail: Option<Guardrail>) -> ModelRequest {
    let text: String = question.chars().take(MAX_QUESTION_CHARACTERS).collect();
    ModelRequest {
        model_id: model_id.to_owned(),
        system_prompt: Some(INSTRUCTIONS.to_owned()),
        inference: short_answer(model_id, MAX_TOKENS),
        transcript: vec![TranscriptMessage { role: Role::User, content: vec![TranscriptBlock::Text(text)] }],
        prompt_caching: PromptCaching::Off,
        guardrail,
        ..ModelRequest::default()
    }
}

/// The title that a model has written: its first line, without quotes. `None` if there is nothing to use.
pub fn written_title(text: &str) -> Option<String> {
    let line = text.lines().find(|line| !is_blank(line))?;
    let line = line.trim().trim_start_matches(['#', '*']).trim_end_matches('*');
    first_words(line.trim_matches(|letter: char| letter.is_whitespace() || "\"'“”„«»`.".contains(letter)))
}

/// The first words of a text, cut at a word. `None` for a blank text.
pub fn first_words(text: &str) -> Option<String> {
    let mut title = String::new();
    let mut units = 0;
    for word in text.split_whitespace() {
        let length = word.encode_utf16().count();
        let space = usize::from(!title.is_empty());
        // Room for the mark of what is left out.
        if units + space + length > MAX_TITLE_UNITS - 1 {
            if title.is_empty() {
                title = beginning(word);
            }
            return Some(title + "…");
        }
        if space > 0 {
            title.push(' ');
        }
        title.push_str(word);
        units += space + length;
    }
    (!is_blank(&title)).then_some(title)
}

/// As much of a long word as fits.
fn beginning(word: &str) -> String {
    let mut units = 0;
    let fits = |letter: &char| {
        units += letter.len_utf16();
        units < MAX_TITLE_UNITS
    };
    word.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_is_the_first_line_without_quotes() {
        for (text, expected) in [
            ("Battery life of the W2", Some("Battery life of the W2")),
            ("\n \"Battery life of the W2.\"\nIt is long.", Some("Battery life of the W2")),
            ("**Akkulaufzeit**", Some("Akkulaufzeit")),
            ("# Title", Some("Title")),
            ("„Akku“", Some("Akku")),
            (" \n\t", None),
            ("\"\"", None),
        ] {
            assert_eq!(written_title(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn model_that_may_think_has_room_for_it() {
        for (model_id, expected) in [("amazon.nova-micro-v1:0", 40), ("openai.gpt-oss-20b-1:0", 1_040)] {
            let request = title_request(model_id, "How long does it last?", None);
            assert_eq!(request.inference.max_tokens, Some(expected), "{model_id}");
        }
    }

    #[test]
    fn first_words_are_cut_at_a_word() {
        assert_eq!(first_words("How  long\ndoes it\tlast?").as_deref(), Some("How long does it last?"));
        let words = "word ".repeat(40);
        let title = first_words(&words).unwrap();
        assert_eq!(title, format!("{}…", ["word"; 15].join(" ") + " word").replace("…", "…"));
        assert!(title.encode_utf16().count() <= MAX_TITLE_UNITS);
        let long = first_words(&"😀".repeat(100)).unwrap();
        assert_eq!((long.encode_utf16().count(), long.chars().count()), (79, 40));
        assert_eq!(first_words(" \u{3000}\n"), None);
    }

    #[test]
    fn stopped_and_failed_answers_give_no_title() {
        for (reason, expected) in [
            (StopReason::EndTurn, true),
            (StopReason::MaxTokens, true),
            (StopReason::Cancelled, false),
            (StopReason::GuardrailIntervened, false),
        ] {
            assert_eq!(is_titled_after(EndReason::Stopped(reason)), expected, "{reason:?}");
        }
    }
}
