//! Searches against an HTTP server that answers as bedrock-agent-runtime does.
use std::sync::{Arc, Mutex};

use api::types::{FailureCode, StopReason};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{Router, body::Bytes, extract::State, http::Uri, response::IntoResponse, routing::post};
use serde_json::json;
use tokio::net::TcpListener;
use turn::{
    knowledge::Knowledge,
    one_shot::{GeneratedAnswer, GenerationError, GenerationRequest},
    request::OneShotRequest,
    tool::Caller,
};

use super::*;
use crate::aws::{http_client, signed_http};

#[tokio::test]
async fn passages_have_the_source_score_and_page_of_their_chunks() {
    let server = Server::start(200, "", found_chunks()).await;
    let passages = server.search(r#"{"equals":{"key":"owner","value":"$caller.id"}}"#).await.unwrap();
    let expected = [
        ("Alpha.", Some("s3://docs/a.pdf"), Some(0.75), Some(2)),
        ("Beta.", Some("https://example.com/b"), None, None),
        ("Gamma.", Some("s3://docs/c.md"), Some(0.5), None),
        ("Delta.", None, Some(0.25), None),
    ];
    let found =
        passages.iter().map(|Passage { text, source, score, page }| (text.as_str(), source.as_deref(), *score, *page));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let [(path, body)] = server.take_requests().try_into().unwrap();
    assert_eq!(path, "/knowledgebases/KB00000001/retrieve");
    let expected = json!({
        "retrievalQuery": { "text": "pump" },
        "retrievalConfiguration": {
            "vectorSearchConfiguration": {
                "numberOfResults": 4,
                "overrideSearchType": "HYBRID",
                "filter": { "equals": { "key": "owner", "value": "ada" } },
                "rerankingConfiguration": {
                    "type": "BEDROCK_RERANKING_MODEL",
                    "bedrockRerankingConfiguration": {
                        "modelConfiguration": { "modelArn": "arn:rerank" },
                        "numberOfRerankedResults": 4,
                    },
                },
            },
        },
    });
    assert_eq!(body, expected);
}

fn found_chunks() -> Value {
    json!({
        "retrievalResults": [
            {
                "content": { "type": "TEXT", "text": "Alpha." },
                "location": { "type": "S3", "s3Location": { "uri": "s3://docs/a.pdf" } },
                "metadata": { "x-amz-bedrock-kb-document-page-number": 2.0 },
                "score": 0.75,
            },
            { "content": { "text": "Beta." }, "location": { "type": "WEB", "webLocation": { "url": "https://example.com/b" } } },
            { "content": { "text": " " }, "score": 0.6 },
            { "content": { "type": "IMAGE", "byteContent": "data:" }, "score": 0.6 },
            {
                "content": { "text": "Gamma." },
                "metadata": { "x-amz-bedrock-kb-source-uri": "s3://docs/c.md", "x-amz-bedrock-kb-document-page-number": 0 },
                "score": 0.5,
            },
            { "content": { "text": "Delta." }, "location": { "type": "SQL" }, "score": 0.25 },
        ],
        "nextToken": "more",
    })
}

#[tokio::test]
async fn errors_say_whether_a_search_may_be_repeated() {
    let resuming = "The Aurora DB instance arn:aws:rds:us-east-1:1:cluster:kb is resuming after being auto-paused. \
                    Please wait a few seconds and try again.";
    for (status, error_type, message, expected) in [
        (400, "ValidationException", resuming, RetrievalError::Resuming),
        (400, "ValidationException:http://internal.amazon.com/", "No.", RetrievalError::Refused),
        (403, "AccessDeniedException", "No.", RetrievalError::Refused),
        (404, "ResourceNotFoundException", "No.", RetrievalError::Refused),
        (409, "ConflictException", "Busy.", RetrievalError::Temporary),
        (424, "DependencyFailedException", "No.", RetrievalError::Temporary),
        (429, "ThrottlingException", "Slow down.", RetrievalError::Temporary),
        (500, "InternalServerException", "No.", RetrievalError::Temporary),
        (502, "BadGatewayException", "No.", RetrievalError::Temporary),
    ] {
        let server = Server::start(status, error_type, json!({ "message": message })).await;
        assert_eq!(server.search("null").await, Err(expected), "{status} {error_type}");
    }
}

#[tokio::test]
async fn response_that_is_not_as_expected_is_refused() {
    for body in [json!(7), json!({ "retrievalResults": 1 }), json!({ "retrievalResults": [{}] })] {
        let server = Server::start(200, "", body).await;
        assert_eq!(server.search(r#"{"equals":{"key":"a","value":1}}"#).await, Err(RetrievalError::Refused));
    }
    let server = Server::start(200, "", json!({})).await;
    assert_eq!(server.search(r#"{"equals":{"key":"a","value":1}}"#).await, Ok(Vec::new()));
}

#[tokio::test]
async fn filter_that_matches_nothing_sends_no_request() {
    let server = Server::start(200, "", found_chunks()).await;
    assert_eq!(server.search(r#"{"in":{"key":"team","value":"$caller.groups"}}"#).await, Ok(Vec::new()));
    assert_eq!(server.take_requests(), []);
}

#[tokio::test]
async fn answer_is_generated_from_the_documents_with_the_settings_of_the_agent() {
    let body = json!({ "output": { "text": "25 days." }, "citations": [{ "any": 1 }], "guardrailAction": "NONE" });
    let server = Server::start(200, "", body).await;
    let stop_sequences = ["a", "b", "c", "d", "e"];
    let inference = json!({ "maxTokens": 70_000, "temperature": 0.5, "topP": null, "stopSequences": stop_sequences });
    let answer = server.generate(inference).await.unwrap();
    assert_eq!(answer, GeneratedAnswer { text: "25 days.".into(), reason: StopReason::EndTurn });
    let [(path, body)] = server.take_requests().try_into().unwrap();
    assert_eq!(path, "/retrieveAndGenerate");
    let search = json!({ "numberOfResults": 4, "filter": { "equals": { "key": "team", "value": "red" } } });
    let settings = json!({ "maxTokens": 65_536, "temperature": 0.5, "stopSequences": stop_sequences[..4] });
    let expected = json!({
        "input": { "text": "How many?" },
        "retrieveAndGenerateConfiguration": {
            "type": "KNOWLEDGE_BASE",
            "knowledgeBaseConfiguration": {
                "knowledgeBaseId": "KB00000001",
                "modelArn": "us.amazon.nova-micro-v1:0",
                "retrievalConfiguration": { "vectorSearchConfiguration": search },
                "generationConfiguration": { "inferenceConfig": { "textInferenceConfig": settings } },
            },
        },
    });
    assert_eq!(body, expected);

    let body = json!({ "output": { "text": "Withheld." }, "guardrailAction": "INTERVENED" });
    let answer = Server::start(200, "", body).await.generate(Value::Null).await.unwrap();
    assert_eq!(answer.reason, StopReason::GuardrailIntervened);
}

#[tokio::test]
async fn errors_of_generated_answers_have_the_codes_of_failures() {
    use GenerationError::{Refused, Temporary};
    let resuming = "The Aurora DB instance kb is resuming after being auto-paused. Please wait a few seconds.";
    for (status, message, expected) in [
        (400, resuming, Temporary(FailureCode::KnowledgeUnavailable)),
        (400, "No.", Refused(FailureCode::ModelRefused)),
        (403, "No.", Refused(FailureCode::ModelNotAllowed)),
        (404, "No.", Refused(FailureCode::ModelNotAllowed)),
        (409, "Busy.", Temporary(FailureCode::ModelUnavailable)),
        (424, "No.", Temporary(FailureCode::ModelUnavailable)),
        (429, "Slow down.", Temporary(FailureCode::Throttled)),
        (500, "No.", Temporary(FailureCode::ModelUnavailable)),
        (502, "No.", Temporary(FailureCode::ModelUnavailable)),
    ] {
        let server = Server::start(status, "AnyException", json!({ "message": message })).await;
        assert_eq!(server.generate(Value::Null).await, Err(expected), "{status} {message}");
    }
    for body in [json!(7), json!({}), json!({ "output": {} })] {
        let server = Server::start(200, "", body).await;
        assert_eq!(server.generate(Value::Null).await, Err(Refused(FailureCode::Internal)));
    }
}

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

#[derive(Clone)]
struct Reply {
    status: u16,
    error_type: &'static str,
    body: Value,
    requests: Requests,
}

struct Server {
    knowledge_bases: KnowledgeBases,
    requests: Requests,
}

impl Server {
    async fn start(status: u16, error_type: &'static str, body: Value) -> Self {
        let requests = Requests::default();
        let reply = Reply { status, error_type, body, requests: Arc::clone(&requests) };
        let router = Router::new()
            .route("/knowledgebases/{id}/retrieve", post(answer))
            .route("/retrieveAndGenerate", post(answer))
            .with_state(reply);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let http = signed_http::from_config(http_client().unwrap(), &config).unwrap();
        Self { knowledge_bases: KnowledgeBases::new(http, Some(endpoint)), requests }
    }

    /// `null` for no filter.
    async fn search(&self, filter: &str) -> RetrievalResult {
        let settings = json!({
            "knowledgeBaseId": "KB00000001", "mode": "ALWAYS", "results": 4, "search": "HYBRID",
            "filter": (filter != "null").then_some(filter), "rerankModelArn": "arn:rerank",
        });
        let knowledge: Knowledge = serde_json::from_value(settings).unwrap();
        let caller = Caller { id: Some("ada".into()), ..Caller::default() };
        self.knowledge_bases.retrieve(&knowledge.request("pump", &caller)).await
    }

    /// `inference`: the settings of the agent.
    async fn generate(&self, inference: Value) -> Result<GeneratedAnswer, GenerationError> {
        let filter = r#"{"equals":{"key":"team","value":"red"}}"#;
        let knowledge = json!({ "knowledgeBaseId": "KB00000001", "mode": "ALWAYS", "results": 4, "filter": filter });
        let request: OneShotRequest = serde_json::from_value(json!({
            "conversationId": "c9", "turnId": "t9", "text": "How many?", "retrieveAndGenerate": true,
            "agent": {
                "id": "default", "version": 0, "modelId": "us.amazon.nova-micro-v1:0", "contextBytes": 10_000,
                "inference": inference, "knowledge": knowledge,
            },
        }))
        .unwrap();
        self.knowledge_bases.generate(&GenerationRequest::from_question(&request).unwrap()).await
    }

    fn take_requests(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

async fn answer(State(reply): State<Reply>, uri: Uri, body: Bytes) -> impl IntoResponse {
    reply.requests.lock().unwrap().push((uri.path().to_owned(), serde_json::from_slice(&body).unwrap()));
    let status = axum::http::StatusCode::from_u16(reply.status).unwrap();
    (status, [("x-amzn-errortype", reply.error_type)], reply.body.to_string())
}
