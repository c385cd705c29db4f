//! The last conversation at each API, kept between chats.
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::ChatError;

pub(super) struct Memory {
    path: PathBuf,
    /// Conversation ids by GraphQL URL.
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

    pub fn last_conversation(&self, url: &str) -> Option<&str> {
        self.conversations.get(url).map(String::as_str)
    }

    pub fn remember(&mut self, url: &str, conversation_id: &str) -> Result<(), ChatError> {
        let before = self.conversations.insert(url.to_owned(), conversation_id.to_owned());
        if before.as_deref() == Some(conversation_id) {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&self.conversations).map_err(|error| unusable(&self.path, &error))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&self.path, text))
            .map_err(|error| unusable(&self.path, &error))
    }
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> ChatError {
    ChatError::File { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_conversation_is_kept_for_each_api() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("not-there-yet");
        let mut memory = Memory::read(&folder).unwrap();
        assert_eq!(memory.last_conversation("http://a"), None);
        memory.remember("http://a", "one").unwrap();
        memory.remember("http://b", "two").unwrap();
        memory.remember("http://a", "three").unwrap();
        let again = Memory::read(&folder).unwrap();
        assert_eq!(again.last_conversation("http://a"), Some("three"));
        assert_eq!(again.last_conversation("http://b"), Some("two"));
    }

    #[test]
    fn a_broken_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("chat.json"), "{").unwrap();
        let error = Memory::read(directory.path()).err().unwrap().to_string();
        assert!(error.contains("chat.json cannot be used: "), "{error}");
    }
}
