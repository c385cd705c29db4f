//! The header Authorization of requests to a server, and its removal from what the server answers.
use reqwest::header::HeaderValue;

use crate::aws::{redaction::remove_credential, secret::Secret};

/// A shorter part of a secret is likely to occur in other texts.
const MIN_PART_LENGTH: usize = 8;

/// A secret that can be a header.
#[derive(Debug)]
pub struct Authorization {
    header: HeaderValue,
    /// The parts of the secret between white space: for `Bearer abc`, a server may repeat `abc` alone.
    parts: Vec<Secret>,
}

impl Authorization {
    /// `None` if the secret cannot be the value of a header. White space around it is not part of it.
    pub fn new(secret: &Secret) -> Option<Self> {
        let value = secret.expose().trim();
        let mut header = HeaderValue::from_str(value).ok().filter(|_| !value.is_empty())?;
        header.set_sensitive(true);
        let parts = value.split_whitespace().filter(|part| part.len() >= MIN_PART_LENGTH);
        Some(Self { header, parts: parts.map(|part| Secret::new(part.to_owned())).collect() })
    }

    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Removes the secret from the JSON text of a message.
    pub fn remove_from(&self, json: Vec<u8>) -> Vec<u8> {
        self.parts.iter().fold(json, |json, part| remove_credential(json, part.expose().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization(secret: &str) -> Option<Authorization> {
        Authorization::new(&Secret::new(secret.into()))
    }

    #[test]
    fn parts_of_the_secret_are_removed() {
        for (secret, json, expected) in [
            ("Bearer abcdefgh\n", r#"["Bearer abcdefgh", "abcdefgh"]"#, r#"["[removed]", "[removed]"]"#),
            ("abcdefgh", r#"{"abcdefgh":"\u0061bcdefgh"}"#, r#"{"[removed]":"[removed]"}"#),
            ("Basic abcdefgh", r#""Basic abcdefgh""#, r#""Basic [removed]""#),
            ("Bearer abc", r#""abc""#, r#""abc""#),
        ] {
            let removed = authorization(secret).unwrap().remove_from(json.into());
            let removed = String::from_utf8(removed).unwrap().replace("[credential removed]", "[removed]");
            assert_eq!(removed, expected);
        }
    }

    #[test]
    fn secret_that_is_no_header_is_refused() {
        for secret in ["", " \n", "a\nb", "a\u{0}"] {
            assert!(authorization(secret).is_none(), "{secret:?}");
        }
        assert_eq!(authorization(" abc \n").unwrap().header(), "abc");
    }

    #[test]
    fn no_message_shows_a_secret() {
        assert!(!format!("{:?}", authorization("Bearer abcdefgh")).contains("abcdefgh"));
    }
}
