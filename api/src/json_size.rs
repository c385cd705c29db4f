//! Sizes of text in a JSON document: bytes of JSON-escaped UTF-8, without the quotes.

/// A part of a text that fits into a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Where the text is cut: the end of a prefix, or the start of a suffix. Always between two characters.
    pub cut: usize,
    /// The JSON size of the part.
    pub size: usize,
}

/// The longest prefix of `text` with a JSON size of at most `limit`.
pub fn fitting_prefix(text: &str, limit: usize) -> Fit {
    let mut size = 0;
    for (index, character) in text.char_indices() {
        let character_size = json_char_size(character);
        if size + character_size > limit {
            return Fit { cut: index, size };
        }
        size += character_size;
    }
    Fit { cut: text.len(), size }
}

/// The longest suffix of `text` with a JSON size of at most `limit`.
pub fn fitting_suffix(text: &str, limit: usize) -> Fit {
    let mut fit = Fit { cut: text.len(), size: 0 };
    for (index, character) in text.char_indices().rev() {
        let size = fit.size + json_char_size(character);
        if size > limit {
            break;
        }
        fit = Fit { cut: index, size };
    }
    fit
}

/// Of a whole text.
pub fn json_size(text: &str) -> usize {
    text.chars().map(json_char_size).sum()
}

fn json_char_size(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{9}' | '\u{a}' | '\u{c}' | '\u{d}' => 2,
        '\0'..'\u{20}' => 6,
        _ => character.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sizes_are_those_of_serde_json() {
        for character in ('\0'..='\u{2100}').chain(['\u{ffff}', '👩', '\u{10ffff}']) {
            let written = serde_json::to_string(&character).unwrap();
            assert_eq!(json_char_size(character), written.len() - 2, "{character:?}");
        }
    }

    #[test]
    fn prefix_never_splits_a_character() {
        for (text, limit, cut, size) in
            [("", 5, 0, 0), ("abc", 2, 2, 2), ("aé", 2, 1, 1), ("👩‍👩", 6, 4, 4), ("\n\n", 3, 1, 2), ("é", 9, 2, 2)]
        {
            assert_eq!(fitting_prefix(text, limit), Fit { cut, size }, "{text:?} in {limit}");
        }
    }

    #[test]
    fn suffix_never_splits_a_character() {
        for (text, limit, cut, size) in [
            ("", 5, 0, 0),
            ("abc", 2, 1, 2),
            ("éa", 2, 2, 1),
            ("👩‍👩", 6, 7, 4),
            ("\n\n", 3, 1, 2),
            ("é", 9, 0, 2),
            ("é", 0, 2, 0),
        ] {
            assert_eq!(fitting_suffix(text, limit), Fit { cut, size }, "{text:?} in {limit}");
        }
    }
}
