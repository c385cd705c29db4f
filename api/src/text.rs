//! Which texts count as blank.

/// Whether a text has no visible character. A model may refuse such a text.
///
/// `isBlank` of `resolvers/shared.js` has the same definition.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_blank_character)
}

/// Whether Java, JavaScript, Python or Rust counts the character as white space. They differ in U+001C to
/// U+001F (Java, Python), U+0085 (Python, Rust), U+00A0 (all but Java), U+180E (Unicode before 6.3) and
/// U+FEFF (JavaScript).
pub fn is_blank_character(character: char) -> bool {
    matches!(
        character,
        '\u{09}'..='\u{0D}'
            | '\u{1C}'..='\u{20}'
            | '\u{85}'
            | '\u{A0}'
            | '\u{1680}'
            | '\u{180E}'
            | '\u{2000}'..='\u{200A}'
            | '\u{2028}'..='\u{2029}'
            | '\u{202F}'
            | '\u{205F}'
            | '\u{3000}'
            | '\u{FEFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_white_space_of_unicode_is_blank() {
        for character in ('\0'..=char::MAX).filter(|character| character.is_whitespace()) {
            assert!(is_blank_character(character), "{character:?}");
        }
    }

    #[test]
    fn only_texts_without_visible_characters_are_blank() {
        for (text, expected) in [("", true), (" \u{1C}\u{FEFF}\n", true), ("\u{FEFF}a", false), ("\u{200D}", false)] {
            assert_eq!(is_blank(text), expected, "{text:?}");
        }
    }
}
