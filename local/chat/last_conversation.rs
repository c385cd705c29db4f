//! The last conversation of each caller at each API, stored between chats in `chat.json`.
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::ChatError;
use crate::private_file;

pub(super) struct LastConversations {
    path: PathBuf,
    /// Conversation ids by the GraphQL URL and the caller's id, separated by a space.
    ids: BTreeMap<String, String>,
}

impl LastConversations {
    pub fn load(state_dir: &Path) -> Result<Self, ChatError> {
        let path = state_dir.join("chat.json");
        let ids = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unusable(&path, &error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(unusable(&path, &error)),
        };
        Ok(Self { path, ids })
    }

    pub fn get(&self, url: &str, caller_id: &str) -> Option<&str> {
        self.ids.get(&key(url, caller_id)).map(String::as_str)
    }

    /// Writes the file if the conversation differs from the last one.
    pub fn set(&mut self, url: &str, caller_id: &str, conversation_id: &str) -> Result<(), ChatError> {
        let previous = self.ids.insert(key(url, caller_id), conversation_id.to_owned());
        if previous.as_deref() == Some(conversation_id) {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&self.ids).map_err(|error| unusable(&self.path, &error))?;
        Ok(private_file::write(&self.path, text.as_bytes())?)
    }
}

fn key(url: &str, caller_id: &str) -> String {
    format!("{url} {caller_id}")
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> ChatError {
    ChatError::UnusableFile { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_conversation_is_stored_per_api_and_caller() {
        let directory = tempfile::tempdir().unwrap();
        let missing_folder = directory.path().join("missing");
        let mut conversations = LastConversations::load(&missing_folder).unwrap();
        assert_eq!(conversations.get("http://a", "ada"), None);
        for (url, caller, id) in [
            ("http://a", "ada", "one"),
            ("http://b", "ada", "two"),
            ("http://a", "bob", "three"),
            ("http://a", "ada", "four"),
        ] {
            conversations.set(url, caller, id).unwrap();
        }
        let reloaded = LastConversations::load(&missing_folder).unwrap();
        assert_eq!(reloaded.get("http://a", "ada"), Some("four"));
        assert_eq!(reloaded.get("http://a", "bob"), Some("three"));
        assert_eq!(reloaded.get("http://b", "ada"), Some("two"));
        assert_eq!(reloaded.get("http://b", "bob"), None);
    }

    #[test]
    fn error_names_an_invalid_file() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("chat.json"), "{").unwrap();
        let error = LastConversations::load(directory.path()).err().unwrap().to_string();
        assert!(error.contains("chat.json cannot be used: "), "{error}");
    }
}
