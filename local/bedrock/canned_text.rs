//! The answers of scripted models, and their division into tokens.
use super::request::{InferenceConfig, Transcript};

pub(super) const INTRODUCTION: &str = "I am Parlance's scripted model, not a real one.";

const EXPLANATION: &str = "I know nothing about it, but each word of this reply reached you by the path that a real \
    model's would: it was streamed in small deltas, gathered into batches, published as mutations, and delivered over \
    your subscription. The finished answer is now kept as an event of this conversation. To speak with a real model \
    instead, start the local server with --bedrock.";

/// About the average of real models.
const TOKEN_CHARACTERS: usize = 6;
const QUOTED_CHARACTERS: usize = 80;

/// An answer that quotes the questions and the system prompt, and says how to make the model call its tools.
pub(super) fn canned_answer(transcript: &Transcript) -> String {
    let questions = match transcript.questions().as_slice() {
        [] => "You have asked nothing in words.".to_owned(),
        [only] => format!("This is your first question: “{}”.", quote(only)),
        [.., before, now] => {
            let (count, before, now) = (transcript.questions().len(), quote(before), quote(now));
            format!("You have now asked {count} questions; the one before was: “{before}”. Now you ask: “{now}”.")
        }
    };
    let instructions = transcript.system_prompt().map(|prompt| format!(" My instructions begin: “{}”.", quote(prompt)));
    let instructions = instructions.unwrap_or_default();
    format!("{INTRODUCTION} {questions}{instructions} {EXPLANATION}{}", tool_hint(transcript))
}

fn tool_hint(transcript: &Transcript) -> String {
    let tools: Vec<_> = transcript.tool_names().collect();
    match tools.first() {
        None => String::new(),
        Some(first) => format!(
            " I have the tools {}. I call one if you write, for example: call {first} with {{}}.",
            tools.join(", ")
        ),
    }
}

/// The tokens of an answer up to the token limit or the first stop sequence, and the stop reason.
pub(super) fn limit_answer(config: &InferenceConfig, text: &str) -> (Vec<String>, &'static str) {
    let sequences = config.stop_sequences.iter().flatten().filter(|sequence| !sequence.is_empty());
    let stop_index = sequences.filter_map(|sequence| text.find(sequence.as_str())).min();
    let (text, reason) = match stop_index {
        Some(index) => (&text[..index], "stop_sequence"),
        None => (text, "end_turn"),
    };
    let limit = config.max_tokens.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
    let mut tokens: Vec<String> = split_tokens(text).into_iter().map(str::to_owned).collect();
    let reason = if tokens.len() > limit { "max_tokens" } else { reason };
    tokens.truncate(limit);
    (tokens, reason)
}

pub(super) fn count_tokens(text: &str) -> usize {
    split_tokens(text).len()
}

/// Words with the blank in front of them; long words are divided.
pub(super) fn split_tokens(text: &str) -> Vec<&str> {
    split(text, |token, next| next == ' ' || token.chars().count() == TOKEN_CHARACTERS)
}

/// Chunks of at most `max_bytes`, divided between any two characters.
pub(super) fn split_bytes(text: &str, max_bytes: usize) -> Vec<&str> {
    split(text, |piece, next| piece.len() + next.len_utf8() > max_bytes)
}

fn split(text: &str, ends_before: impl Fn(&str, char) -> bool) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (index, next) in text.char_indices() {
        if index > start && ends_before(&text[start..index], next) {
            pieces.push(&text[start..index]);
            start = index;
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

fn quote(text: &str) -> String {
    shorten(text, QUOTED_CHARACTERS)
}

/// The words of a text, up to a number of characters.
pub(super) fn shorten(text: &str, max_characters: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= max_characters {
        return words;
    }
    words.chars().take(max_characters).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_and_lose_nothing() {
        assert_eq!(split_tokens("I am Parlance's  own"), ["I", " am", " Parla", "nce's", " ", " own"]);
        assert_eq!(split_tokens(""), Vec::<&str>::new());
    }

    #[test]
    fn chunks_are_divided_between_characters() {
        assert_eq!(split_bytes("añ👩‍👧", 4), ["añ", "👩", "\u{200d}", "👧"]);
    }

    #[test]
    fn answer_ends_at_token_limit_or_before_stop_sequence() {
        let limited = InferenceConfig { max_tokens: Some(2), ..InferenceConfig::default() };
        assert_eq!(limit_answer(&limited, "one two three"), (vec!["one".to_owned(), " two".to_owned()], "max_tokens"));
        let stopped =
            InferenceConfig { stop_sequences: Some(vec![String::new(), "three".into()]), ..InferenceConfig::default() };
        let expected = (vec!["one".to_owned(), " two".to_owned(), " ".to_owned()], "stop_sequence");
        assert_eq!(limit_answer(&stopped, "one two three"), expected);
        assert_eq!(limit_answer(&InferenceConfig::default(), "one"), (vec!["one".to_owned()], "end_turn"));
    }
}
