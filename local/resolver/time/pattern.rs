//! Reads a pattern of Java's `DateTimeFormatter`: letters that stand for fields, quoted texts, and the rest as it is.

/// A pattern of Java's `DateTimeFormatter`, in its parts.
pub struct Pattern(pub Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// A letter and how often it stands in a row.
    Field(char, usize),
}

/// Java's widest number.
const MOST_IN_A_ROW: usize = 19;
/// Letters with a meaning here. Java knows more: weeks, optional sections and padding.
const LETTERS: &str = "GuyMLdDEaHhKkmsSAnNQqVzOXxZ";

impl Pattern {
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (part, length) = match first {
                '\'' => quoted(rest).ok_or_else(|| format!("a quote in the pattern {text:?} is not closed"))?,
                letter if LETTERS.contains(letter) => {
                    let count = rest.chars().take_while(|next| *next == letter).count();
                    if count > MOST_IN_A_ROW {
                        return Err(format!(
                            "a pattern has at most {MOST_IN_A_ROW} letters {letter} in a row, not {count}"
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

/// The text between quotes, and how long it is with them; two quotes in a row are one.
fn quoted(text: &str) -> Option<(Part, usize)> {
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
