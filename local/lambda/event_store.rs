//! Keeps the queued events in files, so that they outlive the server as they outlive a failure of AWS.
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Invocation;
use crate::private_file;

/// One file for each delivery of an event that has not ended.
pub(super) struct EventStore {
    directory: PathBuf,
}

/// An event whose delivery has not ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredEvent {
    pub function: String,
    pub request_id: String,
    /// JSON text.
    pub payload: String,
    /// When it was queued, in milliseconds since 1970.
    pub queued_at: u64,
}

/// The file of one delivery. An event without a store has none.
#[derive(Default)]
pub(super) struct EventFile(Option<PathBuf>);

impl EventStore {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A file that cannot be written is logged: the event is delivered all the same.
    pub fn add(&self, function: &str, invocation: &Invocation) -> EventFile {
        let event = StoredEvent {
            function: function.to_owned(),
            request_id: invocation.request_id.clone(),
            payload: String::from_utf8_lossy(&invocation.payload).into_owned(),
            queued_at: epoch_milliseconds(),
        };
        let path = self.directory.join(format!("{}.json", Uuid::new_v4().simple()));
        let json = serde_json::to_vec(&event).unwrap_or_default();
        match private_file::write(&path, &json) {
            Ok(()) => EventFile(Some(path)),
            Err(error) => {
                tracing::warn!(%error, "an event is not kept");
                EventFile(None)
            }
        }
    }

    /// The events that a server before this one has left, oldest first.
    pub fn load(&self) -> Vec<(StoredEvent, EventFile)> {
        let mut events = match self.read_all() {
            Ok(events) => events,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, directory = %self.directory.display(), "queued events cannot be read");
                Vec::new()
            }
        };
        events.sort_by_key(|(event, _)| event.queued_at);
        events
    }

    fn read_all(&self) -> io::Result<Vec<(StoredEvent, EventFile)>> {
        let mut events = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if let Some(event) = read_event(&path) {
                events.push((event, EventFile(Some(path))));
            }
        }
        Ok(events)
    }
}

impl StoredEvent {
    /// How long ago it was queued, in milliseconds.
    pub fn age_milliseconds(&self) -> u64 {
        epoch_milliseconds().saturating_sub(self.queued_at)
    }
}

impl EventFile {
    /// The delivery has ended.
    pub fn remove(self) {
        if let Some(path) = self.0 {
            drop(fs::remove_file(path));
        }
    }
}

/// None for a file that a write has left behind.
fn read_event(path: &Path) -> Option<StoredEvent> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn epoch_milliseconds() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_loaded_in_order_until_they_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = EventStore::new(folder.path().join("events"));
        assert!(store.load().is_empty());
        let invocation = |id: &str| Invocation { request_id: id.to_owned(), payload: format!("\"{id}\"").into() };
        let first = store.add("Handler", &invocation("r1"));
        std::thread::sleep(std::time::Duration::from_millis(2));
        store.add("Closer", &invocation("r2"));
        fs::write(folder.path().join("events").join("broken.json"), "{").unwrap();
        let ids = || store.load().into_iter().map(|(event, _)| event.request_id).collect::<Vec<_>>();
        assert_eq!(ids(), ["r1", "r2"]);
        first.remove();
        assert_eq!(ids(), ["r2"]);
        let (event, _) = store.load().remove(0);
        assert_eq!((event.function.as_str(), event.payload), ("Closer", "\"r2\"".to_owned()));
    }
}
