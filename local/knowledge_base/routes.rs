//! The HTTP routes of bedrock-agent-runtime and bedrock-agent, and the permissions of their callers.
use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{HeaderMap, StatusCode, Uri};

use super::{
    DATA_SOURCE_ID, KNOWLEDGE_BASE_ID, KnowledgeBase, document_ingestion,
    generation_request::{Generation, UsedResources},
    ingestion_routes, retrieve, retrieve_and_generate, service_error,
};
use crate::{
    bedrock::{BedrockError, Forwarder, ModelService, authorize_model, with_request_id},
    identity::{AccessRequest, AssumedRole, Authenticator},
    template::{ACCOUNT, REGION},
};

/// Far more than any request of these operations needs.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Who answers searches.
pub enum Searches {
    /// Nobody: every knowledge base is unknown.
    None,
    /// This knowledge base. The models answer from its passages.
    Local { knowledge: KnowledgeBase, models: ModelService },
    /// Amazon Bedrock, for its own knowledge bases.
    Forwarded(Forwarder),
}

/// What the handlers of requests share.
struct Service {
    searches: Searches,
    authenticator: Authenticator,
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerDelivery {
    Whole,
    Stream,
}

/// A caller with the permissions to check, and the knowledge base of the path.
pub struct Call<'a> {
    role: AssumedRole,
    searches: &'a Searches,
    knowledge_base_id: String,
}

/// The routes at the paths of AWS. The access key of a request identifies its caller; signatures are not
/// verified.
pub fn router(searches: Searches, authenticator: Authenticator) -> Router {
    const DATA_SOURCE: &str = "/knowledgebases/{knowledge_base}/datasources/{data_source}";
    let jobs = format!("{DATA_SOURCE}/ingestionjobs");
    let documents = format!("{DATA_SOURCE}/documents");
    Router::new()
        .route("/knowledgebases/{knowledge_base}/retrieve", post(retrieve_passages))
        .route("/retrieveAndGenerate", post(retrieve_and_generate))
        .route("/retrieveAndGenerateStream", post(retrieve_and_generate_stream))
        // The API's paths end with a slash. SDKs keep it, some clients do not.
        .route(&jobs, put(start_job).post(list_jobs))
        .route(&format!("{jobs}/"), put(start_job).post(list_jobs))
        .route(&format!("{jobs}/{{job}}"), get(get_job))
        .route(&documents, put(ingest_documents))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(Service { searches, authenticator }))
}

async fn retrieve_passages(
    State(service): State<Arc<Service>>,
    Path(knowledge_base_id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    tracing::trace!("search received");
    let response = respond(async {
        let call = service.call(knowledge_base_id, &headers)?;
        let body = read(body)?;
        if let Searches::Forwarded(forwarder) = call.searches {
            call.authorize_knowledge_base(retrieve::ACTION)?;
            return Ok(forwarder.forward(uri.path(), body).await);
        }
        Ok(Json(retrieve::retrieve(&call, &body).await?).into_response())
    })
    .await;
    tracing::trace!("search answered");
    response
}

async fn retrieve_and_generate(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    respond(service.generate(&headers, body, AnswerDelivery::Whole)).await
}

async fn retrieve_and_generate_stream(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    respond(service.generate(&headers, body, AnswerDelivery::Stream)).await
}

async fn start_job(
    State(service): State<Arc<Service>>,
    Path((knowledge_base_id, data_source_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    respond(async {
        let call = service.call(knowledge_base_id, &headers)?;
        let knowledge = call.data_source("bedrock:StartIngestionJob", &data_source_id)?;
        Ok((StatusCode::ACCEPTED, Json(ingestion_routes::start(knowledge, &read(body)?)?)).into_response())
    })
    .await
}

async fn get_job(
    State(service): State<Arc<Service>>,
    Path((knowledge_base_id, data_source_id, job_id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    respond(async {
        let call = service.call(knowledge_base_id, &headers)?;
        let knowledge = call.data_source("bedrock:GetIngestionJob", &data_source_id)?;
        Ok(Json(ingestion_routes::get(knowledge, &job_id)?).into_response())
    })
    .await
}

async fn list_jobs(
    State(service): State<Arc<Service>>,
    Path((knowledge_base_id, data_source_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    respond(async {
        let call = service.call(knowledge_base_id, &headers)?;
        let knowledge = call.data_source("bedrock:ListIngestionJobs", &data_source_id)?;
        Ok(Json(ingestion_routes::list(knowledge, &read(body)?)?).into_response())
    })
    .await
}

async fn ingest_documents(
    State(service): State<Arc<Service>>,
    Path((knowledge_base_id, data_source_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    respond(async {
        let call = service.call(knowledge_base_id, &headers)?;
        let knowledge = call.data_source("bedrock:IngestKnowledgeBaseDocuments", &data_source_id)?;
        let details = document_ingestion::ingest(knowledge, &read(body)?).await?;
        Ok((StatusCode::ACCEPTED, Json(details)).into_response())
    })
    .await
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Bytes, BedrockError> {
    body.map_err(|_| BedrockError::malformed_request())
}

async fn respond(answer: impl Future<Output = Result<Response, BedrockError>>) -> Response {
    let response = answer.await.into_response();
    // A forwarded response has the id that Amazon Bedrock gave it.
    if response.headers().contains_key("x-amzn-requestid") { response } else { with_request_id(response) }
}

impl Service {
    fn call(&self, knowledge_base_id: String, headers: &HeaderMap) -> Result<Call<'_>, BedrockError> {
        let is_billed = matches!(self.searches, Searches::Forwarded(_));
        Ok(Call { role: self.role(headers, is_billed)?, searches: &self.searches, knowledge_base_id })
    }

    /// What AWS bills is for functions alone.
    fn role(&self, headers: &HeaderMap, is_billed: bool) -> Result<AssumedRole, BedrockError> {
        let role = if is_billed {
            self.authenticator.assumed_role(headers)
        } else {
            self.authenticator.assumed_role_or_user(headers)
        };
        role.ok_or_else(BedrockError::unknown_credentials)
    }

    async fn generate(
        &self,
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
        delivery: AnswerDelivery,
    ) -> Result<Response, BedrockError> {
        let is_billed = match &self.searches {
            Searches::None => false,
            Searches::Local { models, .. } => models.is_billed(),
            Searches::Forwarded(_) => true,
        };
        let role = self.role(headers, is_billed)?;
        let mut call = Call { role, searches: &self.searches, knowledge_base_id: String::new() };
        call.authorize(retrieve_and_generate::ACTION, "*")?;
        let body = read(body)?;
        if let Searches::Forwarded(forwarder) = &self.searches {
            let UsedResources { knowledge_base_id, model_id } = UsedResources::parse(&body)?;
            call.knowledge_base_id = knowledge_base_id;
            call.authorize_knowledge_base(retrieve::ACTION)?;
            authorize_model(&call.role, delivery.model_action(), &model_id)?;
            return Ok(forwarder.forward(delivery.path(), body).await);
        }
        let generation = Generation::parse(&body)?;
        call.knowledge_base_id = generation.knowledge_base_id.clone();
        let (knowledge, models) = call.knowledge_base_with_models(retrieve::ACTION)?;
        authorize_model(&call.role, delivery.model_action(), &generation.model_id)?;
        generation.search.authorize(&call)?;
        match delivery {
            AnswerDelivery::Whole => retrieve_and_generate::generate(knowledge, models, generation).await,
            AnswerDelivery::Stream => retrieve_and_generate::generate_stream(knowledge, models, generation).await,
        }
    }
}

impl AnswerDelivery {
    fn path(self) -> &'static str {
        match self {
            Self::Whole => "/retrieveAndGenerate",
            Self::Stream => "/retrieveAndGenerateStream",
        }
    }

    /// The permission for the model that the caller needs.
    fn model_action(self) -> &'static str {
        match self {
            Self::Whole => "bedrock:InvokeModel",
            Self::Stream => "bedrock:InvokeModelWithResponseStream",
        }
    }
}

impl<'a> Call<'a> {
    /// The knowledge base, if the caller may do this with it and it exists.
    pub fn knowledge_base(&self, action: &str) -> Result<&'a KnowledgeBase, BedrockError> {
        self.knowledge_base_with_models(action).map(|(knowledge, _)| knowledge)
    }

    fn knowledge_base_with_models(&self, action: &str) -> Result<(&'a KnowledgeBase, &'a ModelService), BedrockError> {
        self.authorize_knowledge_base(action)?;
        match self.searches {
            Searches::Local { knowledge, models } if self.knowledge_base_id == KNOWLEDGE_BASE_ID => {
                Ok((knowledge, models))
            }
            _ => Err(service_error::not_found(&format!("Knowledge base with id {}", self.knowledge_base_id))),
        }
    }

    fn authorize_knowledge_base(&self, action: &str) -> Result<(), BedrockError> {
        let id = &self.knowledge_base_id;
        self.authorize(action, &format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:knowledge-base/{id}"))
    }

    /// As `knowledge_base`, for an operation on a data source.
    fn data_source(&self, action: &str, data_source_id: &str) -> Result<&'a KnowledgeBase, BedrockError> {
        let knowledge = self.knowledge_base(action)?;
        if data_source_id != DATA_SOURCE_ID {
            return Err(service_error::not_found(&format!("Data source with id {data_source_id}")));
        }
        Ok(knowledge)
    }

    pub fn authorize(&self, action: &str, resource: &str) -> Result<(), BedrockError> {
        let access = AccessRequest { action, resource, leading_keys: &[] };
        self.role.authorize(&access).map_err(|denied| BedrockError::access_denied(&denied))
    }
}
