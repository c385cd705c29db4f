//! Parses a pattern of Java's `DateTimeFormatter` into fields and literal text.

/// The parts of a pattern.
pub struct Pattern(pub Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// A letter and the number of its repetitions.
    Field(char, usize),
}

/// Java's limit on the width of a number.
const MAX_REPETITIONS: usize = 19;
/// The supported letters. Java has more, for weeks, optional sections and padding.
const LETTERS: &str = "GuyMLdDEaHhKkmsSAnNQqVzOXxZ";

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (part, length) = match first {
                '\'' => parse_quoted(rest).ok_or_else(|| format!("a quote in the pattern {text:?} is not closed"))?,
                letter if LETTERS.contains(letter) => {
                    let count = rest.chars().take_while(|next| *next == letter).count();
                    if count > MAX_REPETITIONS {
                        return Err(format!(
                            "a pattern has at most {MAX_REPETITIONS} letters {letter} in a row, not {count}"
                        ));
                    }
                    (Part::Field(letter, count), count)
                }
                letter if letter.is_ascii_alphabetic() || "[]{}#".contains(letter) => {
                    return Err(format!("the pattern {text:?} has a {letter}, which is not supported here"));
                }
                other => (Part::Literal(other.to_string()), other.len_utf8()),
            };
            parts.push(part);
            rest = &rest[length..];
        }
        Ok(Pattern(parts))
    }
}

/// The text between quotes, and its length in bytes with the quotes. Two quotes in a row are one quote.
fn parse_quoted(text: &str) -> Option<(Part, usize)> {
    let mut literal = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        match (character, characters.peek()) {
            ('\'', Some((_, '\''))) => {
                characters.next();
                literal.push('\'');
            }
            ('\'', _) if literal.is_empty() && at == 1 => return Some((Part::Literal("'".into()), 2)),
            ('\'', _) => return Some((Part::Literal(literal), at + 1)),
            _ => literal.push(character),
        }
    }
    None
}
