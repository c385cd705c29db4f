//! AppSync: one API exactly as the template describes it, over HTTP (`graphql`) and over WebSockets (`realtime`).
use std::sync::Arc;

use axum::Router;
use http::HeaderMap;

use crate::{
    graphql::{self, Call, Fault, Request, Service, Settings, Sources, headers_seen},
    identity::{Caller, Denial, Directory},
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

    /// Answers a request's body to a caller whose credentials are good: the way of `/graphql` behind its door.
    pub async fn answer(&self, caller: Caller, body: &str) -> Result<Vec<u8>, Denial> {
        let Some(request) = Request::read(body) else { return Ok(Vec::new()) };
        let answer = self.0.answer(&request, &Call { caller, request: headers_seen(&HeaderMap::new()) }).await?;
        Ok(serde_json::to_vec(&answer).unwrap_or_default())
    }

    /// Serves `/graphql` and `/graphql/realtime`.
    pub fn router(&self) -> Router {
        realtime::mounted(graphql::router(self.0.clone()), self.0.clone())
    }
}
