//! What the stand-in says.
use super::request::{Inference, Transcript};

pub(super) const STAND_IN: &str = "I am Parlance's scripted stand-in, not a real model.";

const EXPLANATION: &str = "I know nothing about it, but each word of this reply reached you by the path that a real \
    model's would: it was streamed in small deltas, gathered into batches, published as mutations, and delivered over \
    your subscription. The finished answer is now kept as an event of this conversation. To speak with a real model \
    instead, start the laptop edition with --bedrock.";

/// The characters of a token, as models have them on average or a little more.
const TOKEN_CHARACTERS: usize = 6;
const QUOTED_CHARACTERS: usize = 80;

/// An answer that shows what the stand-in was given.
pub(super) fn answer(transcript: &Transcript) -> String {
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
    format!("{STAND_IN} {questions}{instructions} {EXPLANATION}")
}

/// As much of an answer as the request allows, in pieces as a model streams them, and why it ends there.
pub(super) fn within(inference: &Inference, text: &str) -> (Vec<String>, &'static str) {
    let sequences = inference.stop_sequences.iter().flatten().filter(|sequence| !sequence.is_empty());
    let stop = sequences.filter_map(|sequence| text.find(sequence.as_str())).min();
    let (text, reason) = match stop {
        Some(at) => (&text[..at], "stop_sequence"),
        None => (text, "end_turn"),
    };
    let limit = inference.max_tokens.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
    let mut pieces: Vec<String> = pieces(text).into_iter().map(str::to_owned).collect();
    let reason = if pieces.len() > limit { "max_tokens" } else { reason };
    pieces.truncate(limit);
    (pieces, reason)
}

pub(super) fn tokens(text: &str) -> usize {
    pieces(text).len()
}

/// Words with the blank before them, long ones broken.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    split(text, |piece, next| next == ' ' || piece.chars().count() == TOKEN_CHARACTERS)
}

/// Pieces of at most so many bytes, broken between any two characters.
pub(super) fn chunks(text: &str, bytes: usize) -> Vec<&str> {
    split(text, |piece, next| piece.len() + next.len_utf8() > bytes)
}

fn split(text: &str, ends_before: impl Fn(&str, char) -> bool) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, next) in text.char_indices() {
        if at > start && ends_before(&text[start..at], next) {
            pieces.push(&text[start..at]);
            start = at;
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

fn quote(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= QUOTED_CHARACTERS {
        return words;
    }
    words.chars().take(QUOTED_CHARACTERS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_words_and_lose_nothing() {
        assert_eq!(pieces("I am Parlance's  own"), ["I", " am", " Parla", "nce's", " ", " own"]);
        assert_eq!(pieces(""), Vec::<&str>::new());
    }

    #[test]
    fn chunks_break_between_characters_only() {
        assert_eq!(chunks("añ👩‍👧", 4), ["añ", "👩", "\u{200d}", "👧"]);
    }

    #[test]
    fn an_answer_ends_at_the_token_limit_or_before_a_stop_sequence() {
        let limited = Inference { max_tokens: Some(2), ..Inference::default() };
        assert_eq!(within(&limited, "one two three"), (vec!["one".to_owned(), " two".to_owned()], "max_tokens"));
        let stopped = Inference { stop_sequences: Some(vec![String::new(), "three".into()]), ..Inference::default() };
        let expected = (vec!["one".to_owned(), " two".to_owned(), " ".to_owned()], "stop_sequence");
        assert_eq!(within(&stopped, "one two three"), expected);
        assert_eq!(within(&Inference::default(), "one"), (vec!["one".to_owned()], "end_turn"));
    }
}
