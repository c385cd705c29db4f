//! The connections of the API, as `@connections` reaches them.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::mpsc;

use super::{ids, request_context::ConnectionInfo};

/// The largest number of connections. API Gateway limits only how many are opened in a second.
const MAX_CONNECTIONS: usize = 10_000;
/// The messages that wait for one client. While there are so many, `@connections` waits.
const QUEUED_MESSAGES: usize = 64;

/// Clones share the connections.
#[derive(Clone, Default)]
pub struct ConnectionRegistry(Arc<Mutex<HashMap<String, ConnectionState>>>);

/// The state of a connection. A closed connection is not in the registry.
enum ConnectionState {
    /// The authorizer or `$connect` decides. Nothing can be sent yet.
    Connecting,
    Open(OpenConnection),
}

#[derive(Clone)]
struct OpenConnection {
    info: Arc<ConnectionInfo>,
    /// The time of the last message in either direction.
    last_active: SystemTime,
    messages: mpsc::Sender<String>,
}

/// Keeps a connection in the registry until it is dropped.
pub struct Registration {
    id: String,
    registry: ConnectionRegistry,
}

impl ConnectionRegistry {
    /// Registers a connection with a new id, in the state Connecting. Returns `None` if there are too many.
    pub fn register(&self) -> Option<Registration> {
        let mut connections = self.lock();
        if connections.len() >= MAX_CONNECTIONS {
            return None;
        }
        let id = ids::new_id();
        connections.insert(id.clone(), ConnectionState::Connecting);
        Some(Registration { id, registry: self.clone() })
    }

    /// The queue of messages to an open connection.
    pub fn messages_to(&self, id: &str) -> Option<mpsc::Sender<String>> {
        self.open_connection(id).map(|open| open.messages)
    }

    /// An open connection and the time of its last message.
    pub fn describe(&self, id: &str) -> Option<(Arc<ConnectionInfo>, SystemTime)> {
        self.open_connection(id).map(|open| (open.info, open.last_active))
    }

    /// Ends an open connection: once the queued messages are sent, its queue ends. False if there is none.
    pub fn delete(&self, id: &str) -> bool {
        let mut connections = self.lock();
        let is_open = matches!(connections.get(id), Some(ConnectionState::Open(_)));
        is_open && connections.remove(id).is_some()
    }

    fn open_connection(&self, id: &str) -> Option<OpenConnection> {
        match self.lock().get(id) {
            Some(ConnectionState::Open(open)) => Some(open.clone()),
            Some(ConnectionState::Connecting) | None => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, ConnectionState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Opens the connection. Returns the messages for its client, which end when it is deleted.
    pub fn open(&self, info: Arc<ConnectionInfo>) -> mpsc::Receiver<String> {
        let (messages, receiver) = mpsc::channel(QUEUED_MESSAGES);
        let open = OpenConnection { last_active: info.connected_at, info, messages };
        self.registry.lock().insert(self.id.clone(), ConnectionState::Open(open));
        receiver
    }

    /// Records a message in either direction.
    pub fn record_message(&self) {
        if let Some(ConnectionState::Open(open)) = self.registry.lock().get_mut(&self.id) {
            open.last_active = SystemTime::now();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn info(id: &str) -> Arc<ConnectionInfo> {
        Arc::new(ConnectionInfo {
            id: id.into(),
            connected_at: UNIX_EPOCH,
            source_ip: "127.0.0.1".into(),
            user_agent: None,
            authorizer: None,
        })
    }

    #[tokio::test]
    async fn connection_is_reached_only_while_it_is_open() {
        let registry = ConnectionRegistry::default();
        let registration = registry.register().unwrap();
        let id = registration.id().to_owned();
        assert!(registry.messages_to(&id).is_none() && registry.describe(&id).is_none() && !registry.delete(&id));
        let mut messages = registration.open(info(&id));
        registry.messages_to(&id).unwrap().send("hello".into()).await.unwrap();
        assert_eq!(registry.describe(&id).unwrap().1, UNIX_EPOCH);
        registration.record_message();
        assert!(registry.describe(&id).unwrap().1 > UNIX_EPOCH);
        drop(registration);
        assert!(registry.messages_to(&id).is_none());
        assert_eq!((messages.recv().await.as_deref(), messages.recv().await), (Some("hello"), None));
    }

    #[tokio::test]
    async fn deleted_connection_gets_what_is_queued() {
        let registry = ConnectionRegistry::default();
        let registration = registry.register().unwrap();
        let mut messages = registration.open(info(registration.id()));
        registry.messages_to(registration.id()).unwrap().send("last".into()).await.unwrap();
        assert!(registry.delete(registration.id()) && !registry.delete(registration.id()));
        assert_eq!((messages.recv().await.as_deref(), messages.recv().await), (Some("last"), None));
        registration.record_message();
        assert!(registry.describe(registration.id()).is_none());
    }

    #[test]
    fn number_of_connections_is_limited() {
        let registry = ConnectionRegistry::default();
        let mut all: Vec<_> = (0..MAX_CONNECTIONS).map_while(|_| registry.register()).collect();
        assert!(all.len() == MAX_CONNECTIONS && registry.register().is_none());
        all.pop();
        assert!(registry.register().is_some());
    }
}
