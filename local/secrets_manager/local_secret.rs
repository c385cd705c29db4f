//! Secrets that are given on the command line by the files that hold them.
use std::{path::PathBuf, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};

use crate::template::{ACCOUNT, REGION};

const MAX_NAME_LENGTH: usize = 512;
const SUFFIX_LENGTH: usize = 6;
const SUFFIX_CHARACTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A secret whose value is the text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSecret {
    pub name: String,
    pub(super) file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("the file {} cannot be a secret: {reason}", path.display())]
pub struct SecretFileError {
    pub path: PathBuf,
    pub reason: String,
}

impl LocalSecret {
    /// On AWS the last six characters are random. Here they follow from the name, so that agents keep their
    /// secrets when the server is started again.
    pub fn arn(&self) -> String {
        let digest = digest(&SHA256, self.name.as_bytes());
        let characters = digest.as_ref().iter().take(SUFFIX_LENGTH);
        let suffix: String = characters.map(|byte| char::from(SUFFIX_CHARACTERS[usize::from(*byte) % 62])).collect();
        format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{}-{suffix}", self.name)
    }
}

/// Parses `NAME=FILE`.
impl FromStr for LocalSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once('=').ok_or("it must be NAME=FILE")?;
        if !is_secret_name(name) {
            return Err(format!("the name must have 1 to {MAX_NAME_LENGTH} of A-Z a-z 0-9 / _ + . @ -, not '{name}'"));
        }
        if file.is_empty() {
            return Err("the file is missing".into());
        }
        Ok(Self { name: name.to_owned(), file: file.into() })
    }
}

/// Secrets Manager also takes `=`, which ends the name here.
fn is_secret_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+.@-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_follows_from_the_name() {
        let arn = |text: &str| text.parse::<LocalSecret>().unwrap().arn();
        let start = "arn:aws:secretsmanager:us-east-1:000000000000:secret:mcp/token-";
        let suffix = arn("mcp/token=a").strip_prefix(start).unwrap().to_owned();
        assert!(suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{suffix}");
        assert_eq!(arn("mcp/token=b=c"), format!("{start}{suffix}"));
    }

    #[test]
    fn text_without_a_name_or_a_file_is_refused() {
        for (text, error) in [
            ("mcp", "it must be NAME=FILE".to_owned()),
            ("mcp=", "the file is missing".to_owned()),
            ("=a", "the name must have 1 to 512 of A-Z a-z 0-9 / _ + . @ -, not ''".to_owned()),
            ("a b=c", "the name must have 1 to 512 of A-Z a-z 0-9 / _ + . @ -, not 'a b'".to_owned()),
        ] {
            assert_eq!(text.parse::<LocalSecret>(), Err(error));
        }
    }
}
