//! Separates what a model thinks between `<think>` and `</think>` from its text.
const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";
/// A longer white space before the text is text.
const MAX_LEADING_BYTES: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Reasoning(String),
}

/// Tags count at the beginning of an answer alone, so that a text about tags stays as it is.
#[derive(Default)]
pub(super) struct ThinkTags {
    state: State,
    /// What may be a part of a tag, or white space before one. At most `MAX_LEADING_BYTES` and a tag.
    held: String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Beginning,
    Thinking,
    /// As at the beginning, but white space is dropped.
    AfterThinking,
    Text,
}

impl ThinkTags {
    /// Takes the next part of the content, which may be cut anywhere.
    pub fn push(&mut self, content: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.state == State::Text {
            add(&mut pieces, Piece::Text(content.to_owned()));
            return pieces;
        }
        self.held.push_str(content);
        while self.advance(&mut pieces) {}
        pieces
    }

    /// What was held at the end of the content.
    pub fn finish(&mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        let mut pieces = Vec::new();
        match self.state {
            State::Thinking => add(&mut pieces, Piece::Reasoning(held)),
            State::Beginning | State::AfterThinking | State::Text => add(&mut pieces, Piece::Text(held)),
        }
        self.state = State::Text;
        pieces
    }

    /// Whether the state has changed, so that what is held can be looked at again.
    fn advance(&mut self, pieces: &mut Vec<Piece>) -> bool {
        match self.state {
            State::Beginning | State::AfterThinking => self.find_opening(pieces),
            State::Thinking => self.find_closing(pieces),
            State::Text => false,
        }
    }

    fn find_opening(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let start = self.held.trim_start();
        if let Some(rest) = start.strip_prefix(OPENING) {
            self.held = rest.to_owned();
            self.state = State::Thinking;
            return true;
        }
        if OPENING.starts_with(start) && self.held.len() <= MAX_LEADING_BYTES {
            return false;
        }
        let text = if self.state == State::AfterThinking { start.to_owned() } else { std::mem::take(&mut self.held) };
        self.held.clear();
        self.state = State::Text;
        add(pieces, Piece::Text(text));
        false
    }

    fn find_closing(&mut self, pieces: &mut Vec<Piece>) -> bool {
        if let Some((reasoning, rest)) = self.held.split_once(CLOSING) {
            add(pieces, Piece::Reasoning(reasoning.to_owned()));
            self.held = rest.to_owned();
            self.state = State::AfterThinking;
            return true;
        }
        let rest = self.held.split_off(self.held.len() - possible_tag_bytes(&self.held, CLOSING));
        add(pieces, Piece::Reasoning(std::mem::replace(&mut self.held, rest)));
        false
    }
}

/// How many bytes at the end of a text may be the beginning of a tag.
fn possible_tag_bytes(text: &str, tag: &str) -> usize {
    (1..tag.len()).rev().find(|length| text.ends_with(&tag[..*length])).unwrap_or_default()
}

fn add(pieces: &mut Vec<Piece>, piece: Piece) {
    let (Piece::Text(text) | Piece::Reasoning(text)) = &piece;
    if !text.is_empty() {
        pieces.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reasoning and the text of a content that arrives in pieces of this many characters.
    fn split(content: &str, length: usize) -> (String, String) {
        let characters: Vec<char> = content.chars().collect();
        let mut tags = ThinkTags::default();
        let mut pieces: Vec<Piece> =
            characters.chunks(length).flat_map(|chunk| tags.push(&String::from_iter(chunk))).collect();
        pieces.extend(tags.finish());
        let (mut reasoning, mut text) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Text(piece) => text += &piece,
                Piece::Reasoning(piece) => reasoning += &piece,
            }
        }
        (reasoning, text)
    }

    #[test]
    fn tags_are_found_wherever_the_content_is_cut() {
        for (content, reasoning, text) in [
            ("<think>Hm.</think>Yes.", "Hm.", "Yes."),
            ("\n <think>\nA < b </thin </think>\n\n Yes <think>", "\nA < b </thin ", "Yes <think>"),
            ("<think></think>", "", ""),
            ("<think>a</think><think>b</think>c", "ab", "c"),
            ("Yes <think>no</think>", "", "Yes <think>no</think>"),
            (" <thin air>", "", " <thin air>"),
            ("<thi", "", "<thi"),
            ("<think>cut </thi", "cut </thi", ""),
            ("<think>🦀</think>🦀", "🦀", "🦀"),
            ("", "", ""),
        ] {
            for length in 1..=content.chars().count().max(1) {
                assert_eq!(split(content, length), (reasoning.to_owned(), text.to_owned()), "{content} by {length}");
            }
        }
    }

    #[test]
    fn white_space_is_held_up_to_a_limit() {
        let mut tags = ThinkTags::default();
        assert_eq!(tags.push(&" ".repeat(MAX_LEADING_BYTES)), []);
        assert_eq!(tags.push(" "), [Piece::Text(" ".repeat(MAX_LEADING_BYTES + 1))]);
        assert_eq!(tags.push("<think>"), [Piece::Text("<think>".into())]);
    }
}
