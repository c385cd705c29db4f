//! AppSync: one API exactly as the template describes it, over HTTP (`graphql`) and over WebSockets (`realtime`).
use std::sync::Arc;

use axum::Router;

use crate::{
    graphql::{self, Fault, Service, Settings, Sources},
    identity::Directory,
    realtime,
    stack::Api,
};

/// One API, ready to serve. Clones share it.
#[derive(Clone)]
pub struct AppSync(Arc<Service>);

impl AppSync {
    pub fn new(api: Api, sources: Sources, directory: Directory) -> Result<Self, Fault> {
        Self::with_settings(api, sources, directory, Settings::default())
    }

    pub fn with_settings(api: Api, sources: Sources, directory: Directory, settings: Settings) -> Result<Self, Fault> {
        Service::new(api, sources, directory, settings).map(|service| Self(Arc::new(service)))
    }

    /// Serves `/graphql` and `/graphql/realtime`.
    pub fn router(&self) -> Router {
        realtime::mounted(graphql::router(self.0.clone()), self.0.clone())
    }
}
