//! The operation Retrieve, and searches for other operations.
use retrieval::{
    Filter, Method, Passage, Query, SearchError, SearchPage,
    search::{MAX_RESULTS, SOURCE_URI_KEY},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::{
    DATA_SOURCE_ID, KnowledgeBase,
    routes::Call,
    service_error::{self, constraint},
};
use crate::{
    bedrock::BedrockError, fault_injection::Fault, json_service::parse_request, object_only, stack::VectorStore,
};

/// The permission that a caller needs.
pub const ACTION: &str = "bedrock:Retrieve";
const DEFAULT_RESULTS: usize = 5;
/// The longest text of `KnowledgeBaseQuery`.
const MAX_QUERY_CHARACTERS: usize = 1_000;
/// The most passages that a reranking model orders.
const MAX_RERANKED_RESULTS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RetrieveRequest {
    #[serde(deserialize_with = "object_only::deserialize")]
    retrieval_query: RetrievalQuery,
    #[serde(default, deserialize_with = "object_only::deserialize_option")]
    retrieval_configuration: Option<RetrievalConfiguration>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetrievalQuery {
    text: String,
}

/// The search that a request asks for.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetrievalConfiguration {
    #[serde(default, deserialize_with = "object_only::deserialize_option")]
    vector_search_configuration: Option<VectorSearchConfiguration>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VectorSearchConfiguration {
    number_of_results: Option<usize>,
    override_search_type: Option<String>,
    filter: Option<Value>,
    #[serde(default, deserialize_with = "object_only::deserialize_option")]
    reranking_configuration: Option<RerankingConfiguration>,
}

/// No model runs here: the passages stay in the order of the search.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RerankingConfiguration {
    r#type: String,
    #[serde(deserialize_with = "object_only::deserialize")]
    bedrock_reranking_configuration: BedrockRerankingConfiguration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BedrockRerankingConfiguration {
    #[serde(deserialize_with = "object_only::deserialize")]
    model_configuration: RerankingModel,
    number_of_reranked_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RerankingModel {
    model_arn: String,
}

/// A search whose request is valid.
#[derive(Clone)]
pub struct Search {
    text: String,
    /// The best one of the store, if none is asked for.
    method: Option<Method>,
    results: usize,
    filter: Option<Filter>,
    next_token: Option<String>,
    reranking: Option<Reranking>,
}

#[derive(Clone)]
struct Reranking {
    model_arn: String,
    results: usize,
}

/// Answers a request of the caller.
pub async fn retrieve(call: &Call<'_>, body: &[u8]) -> Result<Value, BedrockError> {
    let request: RetrieveRequest = parse_request(body).map_err(BedrockError::validation)?;
    let RetrieveRequest { retrieval_query: RetrievalQuery { text }, retrieval_configuration, next_token } = request;
    check_text("retrievalQuery.text", &text)?;
    let search = Search::new(text, retrieval_configuration.unwrap_or_default(), "retrievalConfiguration")?;
    let search = Search { next_token, ..search };
    let knowledge = call.knowledge_base(ACTION)?;
    search.authorize(call)?;
    Ok(response(&search.run(knowledge).await?))
}

/// Checks a question of this member of a request.
pub fn check_text(member: &str, text: &str) -> Result<(), BedrockError> {
    if text.trim().is_empty() {
        return Err(constraint(member, "have length greater than or equal to 1"));
    }
    if text.chars().count() > MAX_QUERY_CHARACTERS {
        return Err(constraint(member, &format!("have length less than or equal to {MAX_QUERY_CHARACTERS}")));
    }
    Ok(())
}

fn inject_fault(knowledge: &KnowledgeBase) -> Result<(), BedrockError> {
    let store = knowledge.0.store;
    if store == VectorStore::Rds && knowledge.0.pause.is_resuming() {
        return Err(service_error::resuming());
    }
    if knowledge.0.faults.should_inject(Fault::KnowledgeIndexMissing) {
        return Err(service_error::missing_index(store));
    }
    if knowledge.0.faults.should_inject(Fault::KnowledgeThrottled) {
        return Err(BedrockError::throttled());
    }
    Ok(())
}

impl Search {
    /// `member` is the path of the configuration in the request.
    pub fn new(text: String, configuration: RetrievalConfiguration, member: &str) -> Result<Self, BedrockError> {
        let member = format!("{member}.vectorSearchConfiguration");
        let VectorSearchConfiguration { number_of_results, override_search_type, filter, reranking_configuration } =
            configuration.vector_search_configuration.unwrap_or_default();
        let results = number_of_results.unwrap_or(DEFAULT_RESULTS);
        check_range(&format!("{member}.numberOfResults"), results, MAX_RESULTS)?;
        Ok(Self {
            text,
            method: override_search_type.map(|name| parse_search_type(&name, &member)).transpose()?,
            results,
            filter: filter.map(|filter| parse_filter(&filter)).transpose()?,
            next_token: None,
            reranking: reranking_configuration.map(|given| Reranking::new(given, results, &member)).transpose()?,
        })
    }

    /// The same search for another text.
    pub fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// Fails unless the caller may use the reranking model.
    pub fn authorize(&self, call: &Call<'_>) -> Result<(), BedrockError> {
        let Some(Reranking { model_arn, .. }) = &self.reranking else { return Ok(()) };
        call.authorize("bedrock:Rerank", "*")?;
        call.authorize("bedrock:InvokeModel", model_arn)
    }

    pub async fn run(self, knowledge: &KnowledgeBase) -> Result<SearchPage, BedrockError> {
        let method = self.method(knowledge.0.store)?;
        inject_fault(knowledge)?;
        let knowledge = knowledge.clone();
        // Searches compare all vectors, and may wait for the model that makes the question's vector.
        spawn_blocking(move || self.find(&knowledge, method)).await.map_err(|error| {
            tracing::error!(%error, "a search ended early");
            BedrockError::internal_error()
        })?
    }

    /// S3 Vectors has no text search.
    fn method(&self, store: VectorStore) -> Result<Method, BedrockError> {
        match (store, self.method) {
            (VectorStore::Rds, method) => Ok(method.unwrap_or(Method::Hybrid)),
            (VectorStore::S3Vectors, Some(Method::Hybrid)) => Err(service_error::hybrid_search_not_supported()),
            (VectorStore::S3Vectors, _) => Ok(Method::Semantic),
        }
    }

    fn find(&self, knowledge: &KnowledgeBase, method: Method) -> Result<SearchPage, BedrockError> {
        let query = Query {
            text: &self.text,
            method,
            results: self.results,
            filter: self.filter.as_ref(),
            next_page: self.next_token.as_deref(),
        };
        let mut page = knowledge.0.index.search(&query).map_err(search_error)?;
        if let Some(Reranking { results, .. }) = self.reranking {
            page.passages.truncate(results);
        }
        Ok(page)
    }
}

impl Reranking {
    fn new(configuration: RerankingConfiguration, results: usize, member: &str) -> Result<Self, BedrockError> {
        let member = format!("{member}.rerankingConfiguration");
        if configuration.r#type != "BEDROCK_RERANKING_MODEL" {
            return Err(constraint(&format!("{member}.type"), "satisfy enum value set: [BEDROCK_RERANKING_MODEL]"));
        }
        let BedrockRerankingConfiguration { model_configuration, number_of_reranked_results } =
            configuration.bedrock_reranking_configuration;
        let results = number_of_reranked_results.unwrap_or(results);
        let member = format!("{member}.bedrockRerankingConfiguration.numberOfRerankedResults");
        check_range(&member, results, MAX_RERANKED_RESULTS)?;
        Ok(Self { model_arn: model_configuration.model_arn, results })
    }
}

fn check_range(member: &str, value: usize, maximum: usize) -> Result<(), BedrockError> {
    match value {
        0 => Err(constraint(member, "have value greater than or equal to 1")),
        _ if value > maximum => Err(constraint(member, &format!("have value less than or equal to {maximum}"))),
        _ => Ok(()),
    }
}

fn parse_search_type(name: &str, member: &str) -> Result<Method, BedrockError> {
    match name {
        "HYBRID" => Ok(Method::Hybrid),
        "SEMANTIC" => Ok(Method::Semantic),
        _ => {
            let member = format!("{member}.overrideSearchType");
            Err(constraint(&member, "satisfy enum value set: [HYBRID, SEMANTIC]"))
        }
    }
}

fn parse_filter(filter: &Value) -> Result<Filter, BedrockError> {
    Filter::parse(filter).map_err(|error| BedrockError::validation(error.to_string()))
}

fn search_error(error: SearchError) -> BedrockError {
    match error {
        SearchError::EmptyQuestion
        | SearchError::QuestionTooLong
        | SearchError::Results(_)
        | SearchError::PageToken => BedrockError::validation(error.to_string()),
        SearchError::OtherVectors | SearchError::Embedder(_) => {
            tracing::warn!(%error, "a search of documents has no vector");
            service_error::dependency_failed(error.to_string())
        }
        SearchError::Index(_) => {
            tracing::error!(%error, "the index of documents cannot be searched");
            BedrockError::internal_error()
        }
    }
}

fn response(page: &SearchPage) -> Value {
    let results: Vec<Value> = page.passages.iter().map(retrieval_result).collect();
    match &page.next_page {
        Some(token) => json!({ "retrievalResults": results, "nextToken": token }),
        None => json!({ "retrievalResults": results }),
    }
}

fn retrieval_result(passage: &Passage) -> Value {
    let mut result = retrieved_reference(passage);
    result["score"] = json!(passage.score);
    result
}

/// A passage without its score, as citations have it.
pub fn retrieved_reference(passage: &Passage) -> Value {
    json!({
        "content": { "type": "TEXT", "text": passage.text },
        "location": { "type": "S3", "s3Location": { "uri": passage.uri } },
        "metadata": metadata(passage),
    })
}

/// The document's attributes, and those that Bedrock adds.
fn metadata(passage: &Passage) -> Map<String, Value> {
    let attributes = passage.attributes.iter().map(|(key, value)| (key.clone(), json!(value)));
    let mut metadata: Map<String, Value> = attributes.collect();
    metadata.insert(SOURCE_URI_KEY.into(), json!(passage.uri));
    metadata.insert("x-amz-bedrock-kb-chunk-id".into(), json!(passage.chunk_id));
    metadata.insert("x-amz-bedrock-kb-data-source-id".into(), json!(DATA_SOURCE_ID));
    if let Some(page) = passage.page {
        metadata.insert("x-amz-bedrock-kb-document-page-number".into(), json!(f64::from(page)));
    }
    metadata
}
