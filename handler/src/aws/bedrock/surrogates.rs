//! Joins surrogate pairs that the model cut between two deltas.
//!
//! JSON can escape half of a surrogate pair, which UTF-8 cannot hold and the SDK does not parse. Models send
//! such halves where a token ends within a character. The text is WTF-8 here: UTF-8 that may hold halves.

/// Turns the deltas of a stream into text, one after the other.
#[derive(Debug, Default)]
pub struct SurrogateJoiner {
    /// A first half that ended the last delta, with its content block.
    pending: Option<(u32, u16)>,
}

impl SurrogateJoiner {
    /// The text of a delta. A first half at its end is held back until the next delta. A half without its
    /// other half becomes U+FFFD.
    pub fn join(&mut self, block: u32, wtf8: &[u8]) -> String {
        let mut text = String::with_capacity(wtf8.len());
        let mut first_half = match self.pending.take() {
            Some((pending_block, half)) if pending_block == block => Some(half),
            Some(_) | None => None,
        };
        let mut rest = wtf8;
        while let Some(start) = rest.windows(3).position(is_surrogate) {
            let (before, at) = rest.split_at(start);
            push_utf8(&mut text, &mut first_half, before);
            push_half(&mut text, &mut first_half, decode(at));
            rest = &at[3..];
        }
        push_utf8(&mut text, &mut first_half, rest);
        self.pending = first_half.map(|half| (block, half));
        text
    }

    /// The end of text of the pending half's block, because something else than a delta of that block
    /// follows.
    pub fn flush(&mut self) -> Option<(u32, String)> {
        let (block, _) = self.pending.take()?;
        Some((block, char::REPLACEMENT_CHARACTER.to_string()))
    }

    pub fn has_pending_half(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a half of another block is pending.
    pub fn awaits_other_block(&self, block: u32) -> bool {
        self.pending.is_some_and(|(pending_block, _)| pending_block != block)
    }
}

/// U+D800 to U+DFFF: ED A0 80 to ED BF BF.
fn is_surrogate(bytes: &[u8]) -> bool {
    matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf])
}

fn decode(surrogate: &[u8]) -> u16 {
    0xd000 | (u16::from(surrogate[1] & 0x3f) << 6) | u16::from(surrogate[2] & 0x3f)
}

fn push_utf8(text: &mut String, first_half: &mut Option<u16>, utf8: &[u8]) {
    if utf8.is_empty() {
        return;
    }
    if first_half.take().is_some() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text.push_str(&String::from_utf8_lossy(utf8));
}

fn push_half(text: &mut String, first_half: &mut Option<u16>, half: u16) {
    let is_first = half < 0xdc00;
    match (first_half.take(), is_first) {
        (None, true) => *first_half = Some(half),
        (Some(_), true) => {
            text.push(char::REPLACEMENT_CHARACTER);
            *first_half = Some(half);
        }
        (Some(first), false) => text.extend(char::decode_utf16([first, half]).flatten()),
        (None, false) => text.push(char::REPLACEMENT_CHARACTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_HALF: &[u8] = b"\xed\xa0\xbd";
    const SECOND_HALF: &[u8] = b"\xed\xb8\x80";

    /// The text of these deltas of one block, and of what is pending after them.
    fn join(deltas: &[&[u8]]) -> String {
        let mut joiner = SurrogateJoiner::default();
        let mut text: String = deltas.iter().map(|delta| joiner.join(0, delta)).collect();
        text.extend(joiner.flush().map(|(_, replacement)| replacement));
        text
    }

    #[test]
    fn pair_is_joined_wherever_it_is_cut() {
        for deltas in [
            vec![[b"a", FIRST_HALF, SECOND_HALF, b"b"].concat()],
            vec![[b"a", FIRST_HALF].concat(), [SECOND_HALF, b"b"].concat()],
            vec![b"a".to_vec(), FIRST_HALF.to_vec(), SECOND_HALF.to_vec(), b"b".to_vec()],
        ] {
            let deltas: Vec<&[u8]> = deltas.iter().map(Vec::as_slice).collect();
            assert_eq!(join(&deltas), "a\u{1f600}b");
        }
    }

    #[test]
    fn half_without_its_other_half_is_replaced() {
        for (deltas, expected) in [
            (vec![[b"a", FIRST_HALF, b"b"].concat()], "a\u{fffd}b"),
            (vec![[b"a", SECOND_HALF, b"b"].concat()], "a\u{fffd}b"),
            (vec![[FIRST_HALF, FIRST_HALF].concat(), SECOND_HALF.to_vec()], "\u{fffd}\u{1f600}"),
            (vec![FIRST_HALF.to_vec(), b"b".to_vec()], "\u{fffd}b"),
            (vec![FIRST_HALF.to_vec()], "\u{fffd}"),
        ] {
            let deltas: Vec<&[u8]> = deltas.iter().map(Vec::as_slice).collect();
            assert_eq!(join(&deltas), expected);
        }
    }

    #[test]
    fn plain_text_and_invalid_bytes_pass() {
        assert_eq!(join(&["é\u{d7ff}\u{e000}👩‍👩‍👧".as_bytes()]), "é\u{d7ff}\u{e000}👩‍👩‍👧");
        assert_eq!(join(&[b"a\xffb\xed"]), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn pending_half_belongs_to_its_block() {
        let mut joiner = SurrogateJoiner::default();
        assert_eq!(joiner.join(3, FIRST_HALF), "");
        assert!(joiner.awaits_other_block(4) && !joiner.awaits_other_block(3));
        assert_eq!(joiner.flush(), Some((3, "\u{fffd}".to_owned())));
        assert_eq!(joiner.flush(), None);
    }
}
