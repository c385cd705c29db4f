//! An estimate of an answer's tokens, for streams that end before the model reports its usage.
use crate::{model::TranscriptMessage, transcript_size::transcript_size};

/// A typical value: code and most languages have fewer bytes per token, English prose has more.
const BYTES_PER_TOKEN: usize = 4;

pub fn estimate_tokens(transcript: &[TranscriptMessage], answer_bytes: usize) -> u32 {
    (transcript_size(transcript) + answer_bytes).div_ceil(BYTES_PER_TOKEN).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, TranscriptBlock};

    #[test]
    fn four_bytes_are_a_token_rounded_up() {
        let message = |texts: &[&str]| TranscriptMessage {
            role: Role::User,
            content: texts.iter().map(|text| TranscriptBlock::Text((*text).to_owned())).collect(),
        };
        for (transcript, answer_bytes, expected) in [
            (vec![message(&["Why?"])], 0, 1),
            (vec![message(&["Why?"])], 1, 2),
            (vec![message(&["Why", "not?"]), message(&["\n"])], 3, 3),
            (vec![message(&["\"é\""])], 0, 2),
            (vec![], usize::MAX - 8, u32::MAX),
        ] {
            assert_eq!(estimate_tokens(&transcript, answer_bytes), expected, "{transcript:?} and {answer_bytes}");
        }
    }
}
