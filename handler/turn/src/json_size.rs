//! Sizes as they travel: JSON-escaped UTF-8.

/// Bytes of the longest beginning of `text` that takes at most `room` escaped bytes, never splitting a character; and
/// how many escaped bytes it takes.
pub fn fitting_prefix(text: &str, room: usize) -> (usize, usize) {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        let size = escaped_char(character);
        if taken + size > room {
            return (at, taken);
        }
        taken += size;
    }
    (text.len(), taken)
}

/// Where the longest end of `text` begins that takes at most `room` escaped bytes; and how many it takes.
pub fn fitting_suffix(text: &str, room: usize) -> (usize, usize) {
    let (mut from, mut taken) = (text.len(), 0);
    for (at, character) in text.char_indices().rev() {
        let size = escaped_char(character);
        if taken + size > room {
            break;
        }
        (from, taken) = (at, taken + size);
    }
    (from, taken)
}

/// Bytes that `text` takes between the quotes of a JSON string.
pub fn json_size(text: &str) -> usize {
    text.chars().map(escaped_char).sum()
}

fn escaped_char(character: char) -> usize {
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
    fn every_character_counts_as_much_as_serde_json_writes() {
        for character in ('\0'..='\u{2100}').chain(['\u{ffff}', '👩', '\u{10ffff}']) {
            let written = serde_json::to_string(&character).unwrap();
            assert_eq!(escaped_char(character), written.len() - 2, "{character:?}");
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        for (text, room, expected) in [
            ("", 5, (0, 0)),
            ("abc", 2, (2, 2)),
            ("aé", 2, (1, 1)),
            ("👩‍👩", 6, (4, 4)),
            ("\n\n", 3, (1, 2)),
            ("é", 9, (2, 2)),
        ] {
            assert_eq!(fitting_prefix(text, room), expected, "{text:?} in {room}");
        }
    }

    #[test]
    fn an_end_never_splits_a_character() {
        for (text, room, expected) in [
            ("", 5, (0, 0)),
            ("abc", 2, (1, 2)),
            ("éa", 2, (2, 1)),
            ("👩‍👩", 6, (7, 4)),
            ("\n\n", 3, (1, 2)),
            ("é", 9, (0, 2)),
            ("é", 0, (2, 0)),
        ] {
            assert_eq!(fitting_suffix(text, room), expected, "{text:?} in {room}");
        }
    }
}
