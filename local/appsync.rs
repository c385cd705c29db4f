//! AppSync: one API as the template describes it, over HTTP (`graphql`) and WebSockets (`realtime`).
use std::{sync::Arc, time::Duration};

use axum::Router;
use http::HeaderMap;
use tokio::time::timeout;

use crate::{
    graphql::{self, ApiDefinitionError, ApiSettings, CallContext, DataSources, Request, Service, forwarded_request},
    identity::{AuthError, Authenticator, Caller},
    realtime,
    stack::Api,
};

/// How long `close_connections` waits for clients that do not answer a Close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// One API, ready to serve. Clones share it.
#[derive(Clone)]
pub struct AppSync(Arc<Service>);

impl AppSync {
    pub fn new(api: Api, data_sources: DataSources, authenticator: Authenticator) -> Result<Self, ApiDefinitionError> {
        Self::with_settings(api, data_sources, authenticator, ApiSettings::default())
    }

    pub fn with_settings(
        api: Api,
        data_sources: DataSources,
        authenticator: Authenticator,
        settings: ApiSettings,
    ) -> Result<Self, ApiDefinitionError> {
        Service::new(api, data_sources, authenticator, settings).map(|service| Self(Arc::new(service)))
    }

    /// Executes the body of a request for an authenticated caller and returns the body of the response. The
    /// response to a body that is not a GraphQL request is empty.
    pub async fn execute(&self, caller: Caller, body: &str) -> Result<Vec<u8>, AuthError> {
        let Some(request) = Request::parse(body) else { return Ok(Vec::new()) };
        let call = CallContext { caller, request: forwarded_request(&HeaderMap::new()) };
        let response = self.0.execute(&request, &call).await?;
        Ok(serde_json::to_vec(&response).unwrap_or_default())
    }

    /// Closes every WebSocket. Returns when all are closed, at the latest after a few seconds.
    pub async fn close_connections(&self) {
        self.0.stopping.cancel();
        self.0.open_connections.close();
        drop(timeout(CLOSE_TIMEOUT, self.0.open_connections.wait()).await);
    }

    /// Serves `/graphql` and `/graphql/realtime`.
    pub fn router(&self) -> Router {
        let graphql = graphql::router(self.0.clone());
        graphql::with_common_headers(realtime::add_routes(graphql, self.0.clone()))
    }
}
