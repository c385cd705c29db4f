//! The sessions of one invocation.
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Instant,
};

use futures::future::join_all;
use tokio::sync::Mutex;
use turn::tool::McpServer;

use super::{McpError, McpServers, session::Session};
use crate::aws::secrets_manager::SecretVersion;

/// A session with each server that a call of the invocation needs, opened for the first call.
#[derive(Default)]
pub struct McpSessions {
    slots: std::sync::Mutex<HashMap<McpServer, Slot>>,
}

/// Locked while the session is opened, so that calls at the same time share one.
type Slot = Arc<Mutex<Option<Arc<Session>>>>;

impl McpSessions {
    pub async fn session(&self, server: &McpServer, servers: &McpServers) -> Result<Arc<Session>, McpError> {
        let slot = self.slot(server);
        let mut slot = slot.lock().await;
        match &*slot {
            Some(session) if !session.is_closed() => Ok(Arc::clone(session)),
            _ => open(&mut slot, server, servers, SecretVersion::Cached).await,
        }
    }

    /// A new session in place of one that the server does not accept any more, unless another call has
    /// replaced it.
    pub async fn replace(
        &self,
        server: &McpServer,
        refused: &Arc<Session>,
        servers: &McpServers,
        version: SecretVersion,
    ) -> Result<Arc<Session>, McpError> {
        let slot = self.slot(server);
        let mut slot = slot.lock().await;
        match &*slot {
            Some(session) if !Arc::ptr_eq(session, refused) => Ok(Arc::clone(session)),
            _ => open(&mut slot, server, servers, version).await,
        }
    }

    /// Ends all sessions at the same time. The servers get a short time for it, which ends at `until`.
    pub async fn close(&self, until: Instant) {
        let slots = std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(slots.into_values().map(|slot| async move {
            if let Some(session) = slot.lock().await.take() {
                session.close(until).await;
            }
        }))
        .await;
    }

    fn slot(&self, server: &McpServer) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(server.clone()).or_default())
    }
}

async fn open(
    slot: &mut Option<Arc<Session>>,
    server: &McpServer,
    servers: &McpServers,
    version: SecretVersion,
) -> Result<Arc<Session>, McpError> {
    *slot = None;
    let session = Arc::new(servers.open_session(server, version).await?);
    *slot = Some(Arc::clone(&session));
    Ok(session)
}
