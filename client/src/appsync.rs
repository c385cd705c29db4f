//! GraphQL over HTTP.
use std::time::{Duration, SystemTime};

use reqwest::{Response, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    credentials::Credentials,
    endpoint::Endpoint,
    errors::{ApiError, Error},
    requests::Request,
};

/// AppSync itself gives up on a request after 30 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One API as one caller. Cheap to clone: clones share their connections.
#[derive(Clone, Debug)]
pub struct AppSync {
    endpoint: Endpoint,
    credentials: Credentials,
    http: reqwest::Client,
}

/// What GraphQL answered: data may stand beside errors.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct GraphQlResponse {
    #[serde(default)]
    pub data: Value,
    #[serde(default)]
    pub errors: Vec<ApiError>,
}

impl AppSync {
    pub fn new(url: &str, credentials: Credentials) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| Error::Transport(causes(&error)))?;
        Ok(Self { endpoint: Endpoint::parse(url)?, credentials, http })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Any error the API names makes the whole answer an error.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Answer, Error> {
        let response = self.execute(R::DOCUMENT, request.variables()).await?;
        if !response.errors.is_empty() {
            return Err(Error::GraphQl(response.errors));
        }
        let answer = response.data.get(R::FIELD).cloned().unwrap_or_default();
        serde_json::from_value(answer).map_err(|error| Error::Unreadable(format!("{}: {error}", R::FIELD)))
    }

    /// Any document; what GraphQL answers is the answer, errors and all.
    pub async fn execute(&self, document: &str, variables: Value) -> Result<GraphQlResponse, Error> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        read(self.post(body).await?).await
    }

    async fn post(&self, body: String) -> Result<Response, Error> {
        let url = self.endpoint.graphql();
        let mut request = self.http.post(url.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in self.credentials.http_headers(url, &body, SystemTime::now())? {
            request = request.header(name, value);
        }
        request.body(body).send().await.map_err(|error| Error::Transport(causes(&error)))
    }
}

async fn read(response: Response) -> Result<GraphQlResponse, Error> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| Error::Transport(causes(&error)))?;
    let answer = serde_json::from_slice::<GraphQlResponse>(&body);
    if status.is_success() {
        return answer.map_err(|error| Error::Unreadable(error.to_string()));
    }
    Err(Error::Refused { status: status.as_u16(), errors: answer.unwrap_or_default().errors })
}

/// reqwest's own text leaves out what went wrong.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
