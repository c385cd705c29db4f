//! Placeholders for lone surrogates, which Rust strings cannot hold.
//!
//! JSON can escape lone surrogates, and JavaScript strings can hold them.
//! Between the request and the resolvers, characters of the last private use plane stand for lone surrogates.
use std::borrow::Cow;

use serde_json::Value;

/// The first code point of the private use plane that holds the placeholders.
const PLACEHOLDER_PLANE: u32 = 0x10_0000;
/// The length of `\uXXXX`.
const ESCAPE_BYTES: usize = 6;

/// Replaces each escaped lone surrogate of a JSON text by its placeholder.
pub fn encode(json: &str) -> Cow<'_, str> {
    if !json.contains(r"\ud") && !json.contains(r"\uD") {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(backslash) = rest.find('\\') {
        let (before, escape) = rest.split_at(backslash);
        text.push_str(before);
        let next_escape = escape.get(ESCAPE_BYTES..).unwrap_or_default();
        let (placeholder, length) = match (escaped_surrogate(escape), escaped_surrogate(next_escape)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (None, 2 * ESCAPE_BYTES),
            (Some(surrogate), _) => (char::from_u32(PLACEHOLDER_PLANE + surrogate), ESCAPE_BYTES),
            (None, _) => (None, escape.char_indices().nth(2).map_or(escape.len(), |(index, _)| index)),
        };
        let (unchanged, after) = escape.split_at(length);
        match placeholder {
            Some(placeholder) => text.push(placeholder),
            None => text.push_str(unchanged),
        }
        rest = after;
    }
    text.push_str(rest);
    text.into()
}

/// Replaces each placeholder of a JSON text by the escape that it stands for.
pub fn decode(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, character| {
        match surrogate_of(character) {
            Some(surrogate) => text.push_str(&format!("\\u{surrogate:04x}")),
            None => text.push(character),
        }
        text
    })
}

/// Replaces each placeholder by a question mark, as Java does when it encodes a lone surrogate.
pub fn replace_with_question_marks(value: &Value) -> Value {
    let replace = |character| surrogate_of(character).map_or(character, |_| '?');
    let text: String = value.to_string().chars().map(replace).collect();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The surrogate that a placeholder stands for; `None` for any other character.
fn surrogate_of(character: char) -> Option<u32> {
    u32::from(character).checked_sub(PLACEHOLDER_PLANE).filter(|code| (0xD800..=0xDFFF).contains(code))
}

/// The surrogate whose escape the text begins with.
fn escaped_surrogate(text: &str) -> Option<u32> {
    let code = u32::from_str_radix(text.strip_prefix(r"\u")?.get(..4)?, 16).ok()?;
    (0xD800..=0xDFFF).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_survive_encoding_and_decoding() {
        let cases = [r#""a\ud83d b""#, r#""\udc00\ud800""#, r#""\ud83d\ud83d\ude00""#, r#""\\\ud800""#];
        for json in cases {
            let encoded = encode(json);
            assert!(serde_json::from_str::<String>(&encoded).is_ok(), "{json}");
            assert_eq!(decode(&encoded), json);
        }
    }

    #[test]
    fn java_replaces_a_lone_surrogate_by_a_question_mark() {
        let value: Value = serde_json::from_str(&encode(r#"{"text":"a\ud83d b"}"#)).unwrap();
        assert_eq!(replace_with_question_marks(&value), serde_json::json!({ "text": "a? b" }));
    }

    #[test]
    fn text_without_lone_surrogates_is_unchanged() {
        for json in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""\\ud8""#, r#""\n\u00e9é\"""#, "{}", "\\", "\\é"] {
            assert!(encode(json) == json, "{json}");
        }
    }
}
