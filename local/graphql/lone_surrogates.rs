//! Halves of surrogate pairs: JSON can escape them, JavaScript keeps them, and Rust's strings cannot hold them. Between
//! a request that has any and its resolvers they travel as characters of the last private use plane.
use std::borrow::Cow;

use serde_json::Value;

const PLANE: u32 = 0x10_0000;
const ESCAPE_BYTES: usize = 6;

/// JSON text with each lone half carried by a private character.
pub fn carried(json: &str) -> Cow<'_, str> {
    if !json.contains(r"\ud") && !json.contains(r"\uD") {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        text.push_str(before);
        let (carrier, length) = match (half(escape), half(escape.get(ESCAPE_BYTES..).unwrap_or_default())) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (None, 2 * ESCAPE_BYTES),
            (Some(code), _) => (char::from_u32(PLANE + code), ESCAPE_BYTES),
            (None, _) => (None, escape.char_indices().nth(2).map_or(escape.len(), |(index, _)| index)),
        };
        let (written, after) = escape.split_at(length);
        match carrier {
            Some(carrier) => text.push(carrier),
            None => text.push_str(written),
        }
        rest = after;
    }
    text.push_str(rest);
    text.into()
}

/// What is left of a value once Java has written it: a question mark for each half.
pub fn lost(value: &Value) -> Value {
    let written: String = value.to_string().chars().map(|letter| carrier(letter).map_or(letter, |_| '?')).collect();
    serde_json::from_str(&written).unwrap_or_default()
}

/// JSON text with the halves as escapes again.
pub fn restored(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, character| {
        match carrier(character) {
            Some(code) => text.push_str(&format!("\\u{code:04x}")),
            None => text.push(character),
        }
        text
    })
}

/// The surrogate that a character stands for.
fn carrier(character: char) -> Option<u32> {
    u32::from(character).checked_sub(PLANE).filter(|code| (0xD800..=0xDFFF).contains(code))
}

/// The surrogate that an escape at the start of the text stands for.
fn half(text: &str) -> Option<u32> {
    let code = u32::from_str_radix(text.strip_prefix(r"\u")?.get(..4)?, 16).ok()?;
    (0xD800..=0xDFFF).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_halves_travel_and_come_back() {
        let cases = [r#""a\ud83d b""#, r#""\udc00\ud800""#, r#""\ud83d\ud83d\ude00""#, r#""\\\ud800""#];
        for json in cases {
            let carried = carried(json);
            assert!(serde_json::from_str::<String>(&carried).is_ok(), "{json}");
            let again = restored(&carried);
            assert_eq!(again, json);
        }
    }

    #[test]
    fn what_java_writes_of_a_half_is_a_question_mark() {
        let given: Value = serde_json::from_str(&carried(r#"{"text":"a\ud83d b"}"#)).unwrap();
        assert_eq!(lost(&given), serde_json::json!({ "text": "a? b" }));
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for json in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""\\ud8""#, r#""\n\u00e9é\"""#, "{}", "\\", "\\é"] {
            assert!(carried(json) == json, "{json}");
        }
    }
}
