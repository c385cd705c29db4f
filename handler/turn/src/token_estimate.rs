//! What an answer has cost where the model does not say: it does so last, and a stream that is cut never gets there.
use crate::{json_size::json_size, types::TranscriptMessage};

/// About as many bytes as a token has: fewer in code and most languages, more in English prose.
const BYTES_PER_TOKEN: usize = 4;

/// `said`: bytes of the answer.
pub fn estimate_tokens(transcript: &[TranscriptMessage], said: usize) -> u32 {
    let read: usize = transcript.iter().flat_map(|message| &message.texts).map(|text| json_size(text)).sum();
    (read + said).div_ceil(BYTES_PER_TOKEN).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::types::SenderKind;

    #[test]
    fn four_bytes_are_a_token_and_a_rest_is_one_too() {
        let message = |texts: &[&str]| TranscriptMessage {
            side: SenderKind::User,
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        };
        for (transcript, said, expected) in [
            (vec![message(&["Why?"])], 0, 1),
            (vec![message(&["Why?"])], 1, 2),
            (vec![message(&["Why", "not?"]), message(&["\n"])], 3, 3),
            (vec![message(&["\"é\""])], 0, 2),
            (vec![], usize::MAX - 8, u32::MAX),
        ] {
            assert_eq!(estimate_tokens(&transcript, said), expected, "{transcript:?} and {said}");
        }
    }
}
