//! Searches of knowledge bases: the operation Retrieve of bedrock-agent-runtime, as signed POSTs.
mod generation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use api::signing::PostRequest;
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use turn::{
    knowledge::{Filter, KnowledgeSearch, Passage, RetrievalError, RetrievalRequest},
    retrieval::RetrievalResult,
};

use super::{
    limited_body::read_limited,
    signed_http::{SendError, SignedHttp, default_endpoint},
};

/// One search with reranking takes seconds at most.
const TIMEOUT: Duration = Duration::from_secs(20);
/// No more of a response is read: 20 passages of 8,192 tokens have less.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// In the message of a ValidationException while Aurora wakes up (recorded from AWS).
const RESUMING: &str = "is resuming after being auto-paused";
const PAGE_NUMBER: &str = "x-amz-bedrock-kb-document-page-number";
const SOURCE_URI: &str = "x-amz-bedrock-kb-source-uri";

#[derive(Clone)]
pub struct KnowledgeBases {
    http: SignedHttp,
    /// In place of that of the region.
    endpoint: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RetrieveRequest<'a> {
    retrieval_query: Query<'a>,
    retrieval_configuration: RetrievalConfiguration<'a>,
}

#[derive(Serialize)]
struct Query<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RetrievalConfiguration<'a> {
    vector_search_configuration: VectorSearchConfiguration<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VectorSearchConfiguration<'a> {
    number_of_results: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    override_search_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reranking_configuration: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetrieveResponse {
    #[serde(default)]
    retrieval_results: Vec<FoundChunk>,
}

#[derive(Deserialize)]
struct FoundChunk {
    content: Content,
    #[serde(default)]
    location: Map<String, Value>,
    score: Option<f64>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// A chunk that is an image or a row has no text.
#[derive(Deserialize)]
struct Content {
    text: Option<String>,
}

#[derive(Deserialize)]
struct ErrorResponse {
    #[serde(alias = "Message")]
    message: String,
}

impl KnowledgeBases {
    pub fn new(http: SignedHttp, endpoint: Option<String>) -> Self {
        Self { http, endpoint }
    }

    /// Tries once. The log has ids and error types, never the query.
    pub async fn retrieve(&self, request: &RetrievalRequest) -> RetrievalResult {
        let filter = match &request.filter {
            Filter::All => None,
            Filter::Matching(filter) => Some(filter),
            Filter::Nothing => return Ok(Vec::new()),
        };
        let body = serde_json::to_vec(&retrieve_request(request, filter)).map_err(|error| {
            tracing::error!(%error, "the request of a search could not be made");
            RetrievalError::Refused
        })?;
        let path = format!("/knowledgebases/{}/retrieve", request.knowledge_base_id);
        let response = self.post(&path, &body, TIMEOUT).await.map_err(send_failure)?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response, &request.knowledge_base_id).await);
        }
        let body = read_limited(response, MAX_RESPONSE_BYTES).await.map_err(|error| {
            tracing::warn!(%error, "the response of a search could not be read");
            RetrievalError::Temporary
        })?;
        let response: RetrieveResponse = serde_json::from_slice(&body).map_err(|error| {
            tracing::error!(
                line = error.line(),
                column = error.column(),
                "the response of a search is not as expected"
            );
            RetrievalError::Refused
        })?;
        Ok(response.retrieval_results.into_iter().filter_map(passage).collect())
    }

    async fn post(&self, path: &str, body: &[u8], timeout: Duration) -> Result<Response, SendError> {
        let region = self.http.region();
        let endpoint = self.endpoint.clone().unwrap_or_else(|| default_endpoint("bedrock-agent-runtime", region));
        let url = format!("{}{path}", endpoint.trim_end_matches('/'));
        let headers = [("content-type", "application/json")];
        let post = PostRequest { service: "bedrock", url: &url, region, headers: &headers, body };
        self.http.send(post, |request| request.timeout(timeout)).await
    }
}

fn retrieve_request<'a>(request: &'a RetrievalRequest, filter: Option<&'a Value>) -> RetrieveRequest<'a> {
    RetrieveRequest {
        retrieval_query: Query { text: &request.query },
        retrieval_configuration: retrieval_configuration(request, filter),
    }
}

fn retrieval_configuration<'a>(request: &'a RetrievalRequest, filter: Option<&'a Value>) -> RetrievalConfiguration<'a> {
    let override_search_type = request.search.map(|search| match search {
        KnowledgeSearch::Hybrid => "HYBRID",
        KnowledgeSearch::Semantic => "SEMANTIC",
    });
    let reranking_configuration = request.rerank_model_arn.as_ref().map(|model_arn| {
        serde_json::json!({
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {
                "modelConfiguration": { "modelArn": model_arn },
                "numberOfRerankedResults": request.results,
            },
        })
    });
    let vector_search_configuration = VectorSearchConfiguration {
        number_of_results: request.results,
        override_search_type,
        filter,
        reranking_configuration,
    };
    RetrievalConfiguration { vector_search_configuration }
}

/// `None` for a chunk without text.
fn passage(chunk: FoundChunk) -> Option<Passage> {
    let text = chunk.content.text.filter(|text| !api::text::is_blank(text))?;
    let page = chunk.metadata.get(PAGE_NUMBER).and_then(Value::as_f64);
    let page = page.filter(|page| *page >= 1.0).map(|page| page as u32);
    let source = source(&chunk.location).or_else(|| string(chunk.metadata.get(SOURCE_URI)));
    Some(Passage { text, source, score: chunk.score, page })
}

/// The address in a location: its member is named after the kind of data source, such as `s3Location`.
fn source(location: &Map<String, Value>) -> Option<String> {
    let locations = location.values().filter_map(Value::as_object);
    let mut addresses = locations.filter_map(|location| ["uri", "url", "id"].iter().find_map(|key| location.get(*key)));
    string(addresses.next())
}

fn string(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn send_failure(error: SendError) -> RetrievalError {
    match error {
        SendError::Credentials(_) | SendError::Transport(_) => {
            tracing::warn!(%error, "a search has no response");
            RetrievalError::Temporary
        }
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, "the request of a search could not be made");
            RetrievalError::Refused
        }
    }
}

/// A response other than 200. Its message must not be logged, because it may quote the query.
struct ServiceError {
    status: StatusCode,
    error_type: String,
    message: String,
}

impl ServiceError {
    async fn read(response: Response) -> Self {
        let status = response.status();
        let error_type = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let error_type = error_type.unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
        let body = read_limited(response, MAX_RESPONSE_BYTES).await.unwrap_or_default();
        let message = serde_json::from_slice::<ErrorResponse>(&body).map(|error| error.message).unwrap_or_default();
        Self { status, error_type, message }
    }
}

/// What a response other than 200 means.
async fn refusal(response: Response, knowledge_base_id: &str) -> RetrievalError {
    let ServiceError { status, error_type, message } = ServiceError::read(response).await;
    if message.contains(RESUMING) {
        tracing::info!(knowledge_base_id, "the database of the knowledge base wakes up");
        return RetrievalError::Resuming;
    }
    let is_temporary = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT | StatusCode::FAILED_DEPENDENCY);
    if is_temporary {
        tracing::warn!(knowledge_base_id, error_type, %status, "a search has failed");
        return RetrievalError::Temporary;
    }
    tracing::error!(knowledge_base_id, error_type, %status, "a search is refused");
    RetrievalError::Refused
}
