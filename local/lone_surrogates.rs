//! An encoding of lone surrogates, which JSON and JavaScript strings can hold and Rust strings cannot.
//!
//! Between the request and the resolvers, characters of the last private use plane stand for lone surrogates.
//! A real character of that range follows the escape character, so that no text has the encoding of another.
use std::borrow::Cow;

use serde_json::Value;

/// The first code point of the private use plane that holds the placeholders.
const PLACEHOLDER_PLANE: u32 = 0x10_0000;
/// Precedes a real character that would otherwise be read as a placeholder or as this escape.
const ESCAPE: char = '\u{10ffff}';

/// The first byte in UTF-8 of every character of the last private use plane, and of no other.
const PLACEHOLDER_PLANE_BYTE: u8 = 0xf4;

/// Whether a text has characters of the last private use plane. Without them, a text is its own encoding.
pub fn has_private_use_plane(text: &str) -> bool {
    text.as_bytes().contains(&PLACEHOLDER_PLANE_BYTE)
}

/// Appends a character of a text to its encoding.
pub fn push_character(encoded: &mut String, character: char) {
    if character == ESCAPE || surrogate_of(character).is_some() {
        encoded.push(ESCAPE);
    }
    encoded.push(character);
}

/// Appends a lone surrogate, from U+D800 to U+DFFF, to the encoding of a text.
pub fn push_surrogate(encoded: &mut String, surrogate: u32) {
    encoded.extend(char::from_u32(PLACEHOLDER_PLANE + surrogate));
}

/// The encoding of a text without lone surrogates.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    text.chars().for_each(|character| push_character(&mut encoded, character));
    encoded
}

/// Decodes the texts of a JSON document, with lone surrogates as escapes.
pub fn decode_json(json: &str) -> String {
    decode(json, |decoded, surrogate| decoded.push_str(&format!("\\u{surrogate:04x}")))
}

/// Decodes a text, with a question mark for each lone surrogate, as Java encodes it.
pub fn decode_lossy(text: &str) -> Cow<'_, str> {
    if has_private_use_plane(text) { decode(text, |decoded, _| decoded.push('?')).into() } else { text.into() }
}

/// Decodes all texts of a value as `decode_lossy` does.
pub fn decode_value_lossy(value: &Value) -> Value {
    match value {
        Value::String(text) => decode_lossy(text).into(),
        Value::Array(items) => items.iter().map(decode_value_lossy).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members.map(|(name, member)| (decode_lossy(name).into_owned(), decode_value_lossy(member))).collect()
        }
        other => other.clone(),
    }
}

fn decode(text: &str, push_surrogate: impl Fn(&mut String, u32)) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match surrogate_of(character) {
            Some(surrogate) => push_surrogate(&mut decoded, surrogate),
            None if character == ESCAPE => decoded.extend(characters.next()),
            None => decoded.push(character),
        }
    }
    decoded
}

/// The surrogate that a placeholder stands for; `None` for any other character.
fn surrogate_of(character: char) -> Option<u32> {
    u32::from(character).checked_sub(PLACEHOLDER_PLANE).filter(|code| (0xD800..=0xDFFF).contains(code))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The encoding of UTF-16 code units.
    fn encode_units(units: &[u16]) -> String {
        let mut encoded = String::new();
        for unit in char::decode_utf16(units.iter().copied()) {
            match unit {
                Ok(character) => push_character(&mut encoded, character),
                Err(lone) => push_surrogate(&mut encoded, lone.unpaired_surrogate().into()),
            }
        }
        encoded
    }

    #[test]
    fn encoding_is_injective() {
        let mut rng = fastrand::Rng::with_seed(5);
        // Surrogates of which many pairs are placeholders, the escape character or its neighbours.
        let units = [0x41, 0xD800, 0xDBF6, 0xDBF7, 0xDBFF, 0xDC00, 0xDFFF, 0xDBF5];
        let mut texts = std::collections::HashMap::new();
        for _ in 0..20_000 {
            let text: Vec<u16> = (0..rng.usize(0..6)).map(|_| units[rng.usize(0..units.len())]).collect();
            let encoded = encode_units(&text);
            let json = serde_json::to_string(&encoded).unwrap();
            let lossy = String::from_utf16_lossy(&text).replace('\u{fffd}', "?");
            assert_eq!(decode_lossy(&encoded), lossy, "{text:x?}");
            assert_eq!(decode_json(&json).contains("\\ud"), lossy.contains('?'), "{text:x?}");
            let previous = texts.insert(encoded, text.clone());
            assert!(previous.is_none_or(|previous| previous == text), "{text:x?}");
        }
    }

    #[test]
    fn every_private_use_character_survives() {
        for code in (0x10_D000..=0x10_FFFF).chain([0x41, 0xE000, 0xF_FFFD]) {
            let text = char::from_u32(code).unwrap().to_string();
            assert_eq!(decode_lossy(&encode(&text)), text);
            assert_eq!(decode_json(&encode(&text)), text);
        }
    }

    #[test]
    fn texts_of_a_value_are_decoded() {
        let encoded = encode_units(&[0x61, 0xD83D, 0x62]);
        let value = json!({ &encoded: [encoded, 7, null, encode("\u{10d800}")] });
        assert_eq!(decode_value_lossy(&value), json!({ "a?b": ["a?b", 7, null, "\u{10d800}"] }));
    }
}
