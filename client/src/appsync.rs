//! GraphQL over HTTP.
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::{Response, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    credentials::{Credentials, CredentialsProvider},
    endpoint::Endpoint,
    errors::{ApiError, Error},
    requests::Request,
};

/// Longer than AppSync's own limit of 30 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one API with one provider of credentials. Clones share their connections.
#[derive(Clone)]
pub struct AppSync {
    endpoint: Endpoint,
    credentials: Arc<dyn CredentialsProvider>,
    http: reqwest::Client,
}

/// A GraphQL response. It can hold data and errors at once.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct GraphQlResponse {
    #[serde(default)]
    pub data: Value,
    #[serde(default)]
    pub errors: Vec<ApiError>,
}

impl AppSync {
    pub fn new(url: &str, credentials: impl CredentialsProvider + 'static) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| Error::Transport(with_sources(&error)))?;
        Ok(Self { endpoint: Endpoint::parse(url)?, credentials: Arc::new(credentials), http })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The credentials for a request now.
    pub async fn credentials(&self) -> Result<Credentials, Error> {
        self.credentials.credentials().await
    }

    pub(crate) fn credentials_provider(&self) -> Arc<dyn CredentialsProvider> {
        self.credentials.clone()
    }

    /// Sends a request and returns its answer. Any entry in `errors` fails the request, even if there is
    /// data.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Answer, Error> {
        let response = self.execute(R::DOCUMENT, request.variables()).await?;
        if !response.errors.is_empty() {
            return Err(Error::GraphQl(response.errors));
        }
        let answer = response.data.get(R::FIELD).cloned().unwrap_or_default();
        serde_json::from_value(answer).map_err(|error| Error::InvalidResponse(format!("{}: {error}", R::FIELD)))
    }

    /// Executes any document and returns the response with its data and its errors.
    pub async fn execute(&self, document: &str, variables: Value) -> Result<GraphQlResponse, Error> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        parse(self.post(body).await?).await
    }

    async fn post(&self, body: String) -> Result<Response, Error> {
        let url = self.endpoint.graphql();
        let mut request = self.http.post(url.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in self.credentials().await?.http_headers(url, &body, SystemTime::now())? {
            request = request.header(name, value);
        }
        request.body(body).send().await.map_err(|error| Error::Transport(with_sources(&error)))
    }
}

/// Shows no credentials.
impl fmt::Debug for AppSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSync").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

async fn parse(response: Response) -> Result<GraphQlResponse, Error> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| Error::Transport(with_sources(&error)))?;
    let parsed = serde_json::from_slice::<GraphQlResponse>(&body);
    if status.is_success() {
        return parsed.map_err(|error| Error::InvalidResponse(error.to_string()));
    }
    Err(Error::Http { status: status.as_u16(), errors: parsed.unwrap_or_default().errors })
}

/// The error and its sources in one text: reqwest's own text omits the sources.
fn with_sources(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
