//! The parts of an answer that cite passages. Markers such as `[2]` or `[1, 3]` are taken out of its text.

/// Longer text in brackets is no marker.
const MAX_MARKER_BYTES: usize = 32;
/// Punctuation after a marker ends the part before it.
const PUNCTUATION: [char; 6] = ['.', ',', ';', ':', '!', '?'];

/// Reads an answer that arrives in pieces. A marker may be cut anywhere.
#[derive(Debug)]
pub struct AnswerParser {
    /// The numbers of markers are from 1 to this.
    passages: usize,
    /// Spaces and a begun marker: what follows decides whether they are text.
    pending: String,
    /// The length of the text so far, in UTF-16 code units.
    length: usize,
    part: String,
    part_start: usize,
    /// The passages that the part cites, in their order.
    cited: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerPiece {
    Text(String),
    /// Follows the text of its part.
    Citation(CitedPart),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CitedPart {
    pub text: String,
    /// The first and the last UTF-16 code unit of the part in the answer. Recorded answers of Bedrock include
    /// the last one.
    pub start: usize,
    pub end: usize,
    /// The numbers of the cited passages, from 1.
    pub passages: Vec<usize>,
}

enum MarkerState {
    /// The marker's length in bytes, and its numbers.
    Complete(usize, Vec<usize>),
    Begun,
    NoMarker,
}

impl AnswerParser {
    pub fn new(passages: usize) -> Self {
        Self { passages, pending: String::new(), length: 0, part: String::new(), part_start: 0, cited: Vec::new() }
    }

    pub fn push(&mut self, piece: &str) -> Vec<AnswerPiece> {
        let mut text = std::mem::take(&mut self.pending);
        text.push_str(piece);
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        loop {
            let visible = rest.trim_start();
            let spaces = &rest[..rest.len() - visible.len()];
            let Some(first) = visible.chars().next() else { break };
            let length = match self.marker(visible) {
                MarkerState::Complete(length, numbers) => {
                    self.cite(numbers);
                    rest = &visible[length..];
                    continue;
                }
                MarkerState::Begun => break,
                MarkerState::NoMarker => text_length(visible, first),
            };
            let text = &visible[..length];
            if spaces.is_empty() && PUNCTUATION.contains(&first) && !self.cited.is_empty() {
                self.add_text("", &text[..first.len_utf8()], &mut pieces);
                rest = &visible[first.len_utf8()..];
                continue;
            }
            self.end_part(&mut pieces);
            self.add_text(spaces, text, &mut pieces);
            rest = &visible[length..];
        }
        self.pending = rest.to_owned();
        pieces
    }

    /// A marker that was only begun is text.
    pub fn finish(mut self) -> Vec<AnswerPiece> {
        let mut pieces = Vec::new();
        let pending = std::mem::take(&mut self.pending);
        let visible = pending.trim();
        if !visible.is_empty() {
            self.end_part(&mut pieces);
            let spaces = &pending[..pending.len() - pending.trim_start().len()];
            self.add_text(spaces, visible, &mut pieces);
        }
        self.end_part(&mut pieces);
        pieces
    }

    /// Numbers that no passage has are dropped. Brackets without any other number are text.
    fn marker(&self, text: &str) -> MarkerState {
        let Some(inner) = text.strip_prefix('[') else { return MarkerState::NoMarker };
        let list = inner.trim_start_matches(|character: char| character.is_ascii_digit() || ", ".contains(character));
        let length = text.len() - list.len() + 1;
        if length > MAX_MARKER_BYTES {
            return MarkerState::NoMarker;
        }
        match list.chars().next() {
            None => MarkerState::Begun,
            Some(']') => {
                let numbers =
                    inner[..inner.len() - list.len()].split(',').filter_map(|number| number.trim().parse().ok());
                let known: Vec<usize> = numbers.filter(|number| (1..=self.passages).contains(number)).collect();
                if known.is_empty() { MarkerState::NoMarker } else { MarkerState::Complete(length, known) }
            }
            Some(_) => MarkerState::NoMarker,
        }
    }

    fn cite(&mut self, numbers: Vec<usize>) {
        for number in numbers {
            if !self.cited.contains(&number) {
                self.cited.push(number);
            }
        }
    }

    fn add_text(&mut self, spaces: &str, text: &str, pieces: &mut Vec<AnswerPiece>) {
        if self.part.is_empty() {
            self.part_start = self.length + utf16_length(spaces);
        } else {
            self.part.push_str(spaces);
        }
        self.part.push_str(text);
        self.length += utf16_length(spaces) + utf16_length(text);
        match pieces.last_mut() {
            Some(AnswerPiece::Text(last)) => *last += &format!("{spaces}{text}"),
            _ => pieces.push(AnswerPiece::Text(format!("{spaces}{text}"))),
        }
    }

    /// Ends the part if it cites a passage. A citation before any text cites nothing.
    fn end_part(&mut self, pieces: &mut Vec<AnswerPiece>) {
        if self.cited.is_empty() {
            return;
        }
        let (text, passages) = (std::mem::take(&mut self.part), std::mem::take(&mut self.cited));
        if !text.is_empty() {
            let (start, end) = (self.part_start, self.length - 1);
            pieces.push(AnswerPiece::Citation(CitedPart { text, start, end, passages }));
        }
    }
}

/// The text up to the next space or bracket, in bytes.
fn text_length(text: &str, first: char) -> usize {
    let rest = &text[first.len_utf8()..];
    let end = rest.find(|character: char| character.is_whitespace() || character == '[').unwrap_or(rest.len());
    first.len_utf8() + end
}

fn utf16_length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&str]) -> (String, Vec<CitedPart>) {
        let mut parser = AnswerParser::new(3);
        let mut parsed: Vec<AnswerPiece> = pieces.iter().flat_map(|piece| parser.push(piece)).collect();
        parsed.extend(parser.finish());
        let (mut text, mut parts) = (String::new(), Vec::new());
        for piece in parsed {
            match piece {
                AnswerPiece::Text(piece) => text += &piece,
                AnswerPiece::Citation(part) => {
                    assert!(text.ends_with(&part.text), "{text:?} {part:?}");
                    parts.push(part);
                }
            }
        }
        (text, parts)
    }

    fn part(text: &str, start: usize, end: usize, passages: &[usize]) -> CitedPart {
        CitedPart { text: text.to_owned(), start, end, passages: passages.to_vec() }
    }

    #[test]
    fn markers_end_the_parts_that_they_cite() {
        for (answer, text, parts) in [
            (
                "25 days [1]. Hotels [2][3] cost",
                "25 days. Hotels cost",
                vec![part("25 days.", 0, 7, &[1]), part("Hotels", 9, 14, &[2, 3])],
            ),
            ("One. [1, 3]\n\nTwo [2, 9].", "One.\n\nTwo.", vec![part("One.", 0, 3, &[1, 3]), part("Two.", 6, 9, &[2])]),
            ("Zoë 👩 [1] x", "Zoë 👩 x", vec![part("Zoë 👩", 0, 5, &[1])]),
            ("[1] One", "One", vec![]),
            ("In [2024] and [a] [1.5] [] [9", "In [2024] and [a] [1.5] [] [9", vec![]),
            ("One [2] [1] ", "One", vec![part("One", 0, 2, &[2, 1])]),
            ("", "", vec![]),
        ] {
            let (parsed, cited) = parse(&[answer]);
            assert_eq!((parsed.trim_start(), cited), (text, parts), "{answer}");
        }
    }

    #[test]
    fn answer_may_be_cut_anywhere() {
        let answer = "Früh [1] um 8. [2, 3]\nDann [x], [12] 👩 [1][2]: Ende.";
        let whole = parse(&[answer]);
        assert_eq!(whole.1.len(), 3);
        for cut in (0..=answer.len()).filter(|cut| answer.is_char_boundary(*cut)) {
            let (head, tail) = answer.split_at(cut);
            assert_eq!(parse(&[head, tail]), whole, "cut at {cut}");
        }
        let characters: Vec<String> = answer.chars().map(String::from).collect();
        let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
        assert_eq!(parse(&characters), whole);
    }
}
