//! Each caller's last conversation at each API, kept between chats.
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::ChatError;
use crate::private_file;

pub(super) struct Memory {
    path: PathBuf,
    /// Conversation ids by GraphQL URL and caller, with a space between them.
    conversations: BTreeMap<String, String>,
}

impl Memory {
    pub fn read(directory: &Path) -> Result<Self, ChatError> {
        let path = directory.join("chat.json");
        let conversations = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unusable(&path, &error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(unusable(&path, &error)),
        };
        Ok(Self { path, conversations })
    }

    pub fn last_conversation(&self, url: &str, caller_id: &str) -> Option<&str> {
        self.conversations.get(&key(url, caller_id)).map(String::as_str)
    }

    pub fn remember(&mut self, url: &str, caller_id: &str, conversation_id: &str) -> Result<(), ChatError> {
        let before = self.conversations.insert(key(url, caller_id), conversation_id.to_owned());
        if before.as_deref() == Some(conversation_id) {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&self.conversations).map_err(|error| unusable(&self.path, &error))?;
        Ok(private_file::write(&self.path, text.as_bytes())?)
    }
}

fn key(url: &str, caller_id: &str) -> String {
    format!("{url} {caller_id}")
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> ChatError {
    ChatError::File { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_conversation_is_kept_for_each_api_and_caller() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("not-there-yet");
        let mut memory = Memory::read(&folder).unwrap();
        assert_eq!(memory.last_conversation("http://a", "ada"), None);
        for (url, caller, id) in [
            ("http://a", "ada", "one"),
            ("http://b", "ada", "two"),
            ("http://a", "bob", "three"),
            ("http://a", "ada", "four"),
        ] {
            memory.remember(url, caller, id).unwrap();
        }
        let again = Memory::read(&folder).unwrap();
        let last = |url, caller| again.last_conversation(url, caller);
        assert_eq!((last("http://a", "ada"), last("http://a", "bob")), (Some("four"), Some("three")));
        assert_eq!((last("http://b", "ada"), last("http://b", "bob")), (Some("two"), None));
    }

    #[test]
    fn a_broken_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("chat.json"), "{").unwrap();
        let error = Memory::read(directory.path()).err().unwrap().to_string();
        assert!(error.contains("chat.json cannot be used: "), "{error}");
    }
}
