//! The operations of ingestion jobs and of single documents on the wire, and vectors of an embedding model.
use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use local::{
    knowledge_base::{EmbeddingsOptions, KnowledgeOptions},
    server::ServerOptions,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use super::{
    api_client::{DOCUMENTS, JOBS, RETRIEVE},
    fixture::{self, Fixture},
};
use crate::backend::with_timeout;

/// How many requests the model answers at the same time.
const PERMITS: u32 = 100;

/// A model whose vectors tell leave from other things.
struct EmbeddingModel {
    url: String,
    gates: Gates,
}

/// What requests wait for.
#[derive(Clone)]
struct Gates {
    /// A permit of these, each request.
    all: Arc<Semaphore>,
    /// And one of these, requests with a text about a change.
    changes: Arc<Semaphore>,
}

impl EmbeddingModel {
    async fn start() -> Self {
        let gate = || Arc::new(Semaphore::new(PERMITS as usize));
        let gates = Gates { all: gate(), changes: gate() };
        let router = Router::new().route("/v1/embeddings", post(embed)).with_state(gates.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, gates }
    }

    fn add_to(&self, options: ServerOptions) -> ServerOptions {
        let embeddings = EmbeddingsOptions { url: Some(self.url.parse().unwrap()), model: None };
        let folder = options.knowledge.as_ref().unwrap().folder.clone();
        ServerOptions { knowledge: Some(KnowledgeOptions { folder, embeddings }), ..options }
    }
}

async fn embed(State(gates): State<Gates>, Json(request): Json<Value>) -> Json<Value> {
    drop(gates.all.acquire().await);
    if request["input"].to_string().contains("change") {
        drop(gates.changes.acquire().await);
    }
    let vector = |text: &Value| {
        let is_about_leave = ["leave", "holiday"].iter().any(|term| text.as_str().unwrap().contains(term));
        if is_about_leave { [1.0, 0.1] } else { [0.1, 1.0] }
    };
    let texts = request["input"].as_array().unwrap();
    let data = (0..).zip(texts).map(|(index, text)| json!({ "index": index, "embedding": vector(text) }));
    Json(json!({ "data": data.collect::<Vec<Value>>() }))
}

#[tokio::test]
async fn question_in_other_words_is_found_by_its_meaning() {
    let model = EmbeddingModel::start().await;
    let fixture = Fixture::with_options(&fixture::DOCUMENTS, |options| model.add_to(options)).await;
    let request = json!({
        "retrievalQuery": { "text": "holiday" },
        "retrievalConfiguration": { "vectorSearchConfiguration": { "overrideSearchType": "SEMANTIC" } },
    });
    let response = fixture.call(Method::POST, RETRIEVE, request).await;
    let uri = &response.body["retrievalResults"][0]["location"]["s3Location"]["uri"];
    assert_eq!(uri, "s3://local-knowledge/leave.md", "{response:?}");
}

#[tokio::test]
async fn job_is_started_read_and_listed() {
    let fixture = Fixture::new(&fixture::DOCUMENTS).await;
    let token = "a".repeat(33);
    let start = json!({ "clientToken": token, "description": "By hand" });
    let started = fixture.call(Method::PUT, JOBS, start.clone()).await;
    assert_eq!(started.status, 202);
    let job = &started.body["ingestionJob"];
    assert_eq!((&job["knowledgeBaseId"], &job["dataSourceId"]), (&json!("LOCALKB001"), &json!("LOCALDS001")));
    assert_eq!(job["description"], "By hand");
    let id = job["ingestionJobId"].as_str().unwrap();
    let again = fixture.call(Method::PUT, JOBS, start).await;
    assert_eq!(again.body["ingestionJob"]["ingestionJobId"], id);

    let mut jobs = fixture.knowledge().jobs();
    drop(with_timeout(jobs.wait_for(|jobs| jobs.running().is_none())).await.unwrap());
    let read = fixture.call(Method::GET, &format!("{JOBS}{id}"), Value::Null).await;
    let job = &read.body["ingestionJob"];
    assert_eq!((read.status, &job["status"]), (200, &json!("COMPLETE")));
    let expected = json!({
        "numberOfDocumentsScanned": 3,
        "numberOfMetadataDocumentsScanned": 0,
        "numberOfNewDocumentsIndexed": 0,
        "numberOfModifiedDocumentsIndexed": 0,
        "numberOfMetadataDocumentsModified": 0,
        "numberOfDocumentsDeleted": 0,
        "numberOfDocumentsFailed": 0,
    });
    assert_eq!(job["statistics"], expected);

    let page = fixture.call(Method::POST, JOBS, json!({ "maxResults": 1 })).await;
    assert_eq!(page.body["ingestionJobSummaries"][0]["ingestionJobId"], id, "the newest job is the first");
    let next = json!({ "maxResults": 1, "nextToken": page.body["nextToken"] });
    let page = fixture.call(Method::POST, JOBS, next).await;
    let first = &page.body["ingestionJobSummaries"][0];
    assert_eq!(first["statistics"]["numberOfNewDocumentsIndexed"], 3, "the job of the start");
    assert_eq!(page.body["nextToken"], Value::Null);
    let failed = json!({ "filters": [{ "attribute": "STATUS", "operator": "EQ", "values": ["FAILED"] }] });
    let page = fixture.call(Method::POST, JOBS, failed).await;
    assert_eq!(page.body["ingestionJobSummaries"], json!([]));
}

#[tokio::test]
async fn second_job_is_a_conflict_while_the_first_runs() {
    let model = EmbeddingModel::start().await;
    let fixture = Fixture::with_options(&fixture::DOCUMENTS, |options| model.add_to(options)).await;
    let held = model.gates.all.acquire_many(PERMITS).await.unwrap();
    let first = fixture.call(Method::PUT, JOBS, json!({})).await;
    assert_eq!(first.status, 202);
    let second = fixture.call(Method::PUT, JOBS, json!({})).await;
    let message = "An ingestion job of this data source is running. Wait for its end and try again.";
    assert_eq!(second.error(), (409, "ConflictException", message));
    drop(held);
    let mut jobs = fixture.knowledge().jobs();
    drop(with_timeout(jobs.wait_for(|jobs| jobs.running().is_none())).await.unwrap());
    assert_eq!(fixture.call(Method::PUT, JOBS, json!({})).await.status, 202);
}

#[tokio::test]
async fn change_during_a_job_is_ingested_by_the_next_one() {
    let model = EmbeddingModel::start().await;
    let fixture = Fixture::with_options(&fixture::DOCUMENTS, |options| model.add_to(options)).await;
    let held = model.gates.changes.acquire_many(PERMITS).await.unwrap();
    let mut jobs = fixture.knowledge().jobs();
    fixture.write("a-first.md", "The first change.");
    // The job has listed the folder, and waits for the vector of the first document.
    drop(
        with_timeout(jobs.wait_for(|jobs| jobs.progress().is_some_and(|progress| progress.total == 4))).await.unwrap(),
    );
    fixture.write("a-second.md", "The second change.");
    fixture.write("leave.md", "Leave is 30 days.");
    drop(held);
    drop(with_timeout(jobs.wait_for(|jobs| jobs.running().is_none())).await.unwrap());
    assert_eq!(fixture.knowledge().size().documents, 4);
    fixture.wait_for_documents(5).await;
    drop(with_timeout(jobs.wait_for(|jobs| jobs.running().is_none())).await.unwrap());
    let request = json!({ "retrievalQuery": { "text": "Which change was the second, and how long is leave?" } });
    let found = fixture.call(Method::POST, RETRIEVE, request).await.body.to_string();
    assert!(found.contains("The second change.") && found.contains("30 days") && !found.contains("25 days"), "{found}");
}

#[tokio::test]
async fn failed_document_is_named_by_its_job() {
    let fixture = Fixture::new(&fixture::DOCUMENTS).await;
    let job = fixture.change(|| fixture.write("broken.pdf", "This is no PDF.")).await;
    let read = fixture.call(Method::GET, &format!("{JOBS}{}", job.id), Value::Null).await;
    let job = &read.body["ingestionJob"];
    assert_eq!((&job["status"], &job["statistics"]["numberOfDocumentsFailed"]), (&json!("COMPLETE"), &json!(1)));
    let reason = job["failureReasons"][0].as_str().unwrap();
    assert!(reason.starts_with("s3://local-knowledge/broken.pdf: "), "{reason}");
}

#[tokio::test]
async fn unknown_jobs_and_invalid_requests_are_refused() {
    let fixture = Fixture::new(&fixture::DOCUMENTS).await;
    let unknown = fixture.call(Method::GET, &format!("{JOBS}UNKNOWNJOB"), Value::Null).await;
    let message = "Ingestion job with id UNKNOWNJOB does not exist.";
    assert_eq!(unknown.error(), (404, "ResourceNotFoundException", message));
    let other = JOBS.replace("LOCALDS001", "OTHERDS001");
    let unknown = fixture.call(Method::PUT, &other, json!({})).await;
    let message = "Data source with id OTHERDS001 does not exist.";
    assert_eq!(unknown.error(), (404, "ResourceNotFoundException", message));
    let denied = fixture.call_with_permission("bedrock:Retrieve", Method::PUT, JOBS, json!({})).await;
    assert_eq!((denied.status, denied.error_type.as_deref()), (403, Some("AccessDeniedException")));
    for body in [json!({ "clientToken": "short" }), json!({ "description": "" }), json!({ "force": true }), json!([])] {
        let refused = fixture.call(Method::PUT, JOBS, body.clone()).await;
        assert_eq!((refused.status, refused.error_type.as_deref()), (400, Some("ValidationException")), "{body}");
    }
    for body in [
        json!({ "maxResults": 0 }),
        json!({ "nextToken": "x" }),
        json!({ "sortBy": { "attribute": "ID", "order": "ASCENDING" } }),
    ] {
        let refused = fixture.call(Method::POST, JOBS, body.clone()).await;
        assert_eq!((refused.status, refused.error_type.as_deref()), (400, Some("ValidationException")), "{body}");
    }
}

#[tokio::test]
async fn documents_are_ingested_with_attributes_of_the_request() {
    let fixture = Fixture::new(&fixture::DOCUMENTS).await;
    let document = |uri: &str| json!({ "content": { "dataSourceType": "S3", "s3": { "s3Location": { "uri": uri } } } });
    let mut leave = document("s3://local-knowledge/leave.md");
    let attribute = json!({ "key": "year", "value": { "type": "NUMBER", "numberValue": 2026 } });
    leave["metadata"] = json!({ "type": "IN_LINE_ATTRIBUTE", "inlineAttributes": [attribute] });
    let request = json!({ "documents": [leave, document("s3://local-knowledge/missing.md")] });
    let response = fixture.call(Method::PUT, DOCUMENTS, request).await;
    let details = response.body["documentDetails"].as_array().unwrap();
    let statuses: Vec<_> = details.iter().map(|detail| detail["status"].as_str().unwrap()).collect();
    assert_eq!((response.status, statuses), (202, vec!["INDEXED", "NOT_FOUND"]));

    let filter = json!({ "equals": { "key": "year", "value": 2026 } });
    let search = json!({
        "retrievalQuery": { "text": "leave" },
        "retrievalConfiguration": { "vectorSearchConfiguration": { "filter": filter } },
    });
    let found = fixture.call(Method::POST, RETRIEVE, search).await;
    assert_eq!(found.body["retrievalResults"].as_array().unwrap().len(), 1, "{found:?}");

    let custom = json!({ "documents": [{ "content": { "dataSourceType": "CUSTOM" } }] });
    for body in [custom, json!({ "documents": [] }), json!({ "documents": vec![document("s3://a/b"); 11] })] {
        let refused = fixture.call(Method::PUT, DOCUMENTS, body.clone()).await;
        assert_eq!((refused.status, refused.error_type.as_deref()), (400, Some("ValidationException")), "{body}");
    }
}
