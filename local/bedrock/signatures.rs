//! Signatures of scripted reasoning. They depend on every character, as Anthropic's do, and on the model, and
//! are the same at each start of the server.
use std::fmt::Display;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::model_family::name;

/// About as long as recorded signatures, which have 900 characters in base64.
const SIGNATURE_HASHES: usize = 21;
const REDACTED_HASHES: usize = 10;
const HASH_BYTES: usize = 32;

/// In base64.
pub(super) fn signature(model_id: &str, text: &str) -> String {
    BASE64_STANDARD.encode(hashes(model_id, "signature", text.as_bytes(), SIGNATURE_HASHES))
}

/// Reasoning that only the model can read, in base64.
pub(super) fn redacted(model_id: &str, text: &str) -> String {
    let mut data = hashes(model_id, "text", text.as_bytes(), REDACTED_HASHES);
    data.extend(hashes(model_id, "redacted", &data, 1));
    BASE64_STANDARD.encode(data)
}

/// Whether this is reasoning of the model.
pub(super) fn is_redacted(model_id: &str, base64: &str) -> bool {
    let Ok(data) = BASE64_STANDARD.decode(base64) else { return false };
    let Some((text, tag)) = data.split_last_chunk::<HASH_BYTES>() else { return false };
    hashes(model_id, "redacted", text, 1) == tag
}

fn hashes(model_id: &str, purpose: impl Display, data: &[u8], count: usize) -> Vec<u8> {
    let hash = |number: usize| {
        let key = Key::new(HMAC_SHA256, format!("{} {purpose} {number}", model_name(model_id)).as_bytes());
        sign(&key, data).as_ref().to_vec()
    };
    (0..count).flat_map(hash).collect()
}

/// Without the region of an inference profile.
fn model_name(model_id: &str) -> &str {
    let name = name(model_id);
    name.find("anthropic.").map_or(name, |start| &name[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_depends_on_model_and_text() {
        let signed = signature("us.anthropic.claude-opus-4-6-v1", "a");
        assert_eq!(signed.len(), 896);
        assert_eq!(signed, signature("global.anthropic.claude-opus-4-6-v1", "a"));
        assert_ne!(signed, signature("global.anthropic.claude-opus-4-6-v1", "a "));
        assert_ne!(signed, signature("global.anthropic.claude-sonnet-4-6-v1", "a"));
    }

    #[test]
    fn redacted_reasoning_is_known_by_its_model() {
        let data = redacted("parlance.reasoning", "a");
        assert!(is_redacted("parlance.reasoning", &data));
        assert!(!is_redacted("parlance.other", &data));
        assert!(!is_redacted("parlance.reasoning", "cmVkYWN0ZWQ=") && !is_redacted("parlance.reasoning", "?"));
    }
}
