//! The services around the sync function: ingestion jobs of Bedrock and the queue.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Responses, RuntimeApi, environment};

pub const KNOWLEDGE_BASE: &str = "KB12345678";
pub const DATA_SOURCE: &str = "DS12345678";
/// After as many deliveries the queue moves a message to the queue of failed changes.
const MAX_DELIVERIES: u32 = 5;

#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    client_token: String,
    /// The version of the bucket that the job indexes.
    version: u64,
    pub status: &'static str,
    /// After as many looks, or refused starts of other jobs, it ends.
    remaining_looks: u32,
    ends_as: &'static str,
}

#[derive(Clone, Debug)]
pub struct QueuedMessage {
    pub id: String,
    pub body: String,
    deliveries: u32,
}

impl QueuedMessage {
    pub fn new(id: &str, body: &str) -> Self {
        Self { id: id.into(), body: body.into(), deliveries: 0 }
    }

    /// The message as if it had never been delivered.
    pub fn fresh(self) -> Self {
        Self { deliveries: 0, ..self }
    }
}

/// All that changes.
#[derive(Default)]
pub struct Simulation {
    /// Counts the changes of the bucket.
    pub bucket_version: u64,
    pub indexed_version: u64,
    pub jobs: Vec<Job>,
    pub queue: VecDeque<QueuedMessage>,
    pub failed_changes: Vec<QueuedMessage>,
    /// How long jobs run, in looks at them.
    pub looks_per_job: u32,
    /// How the next jobs end; then they complete.
    pub job_ends: VecDeque<&'static str>,
    pub failed_documents: usize,
    /// The errors of the next calls of StartIngestionJob.
    pub start_errors: VecDeque<(&'static str, &'static str)>,
    /// The probability that a call fails, half of them after their effect.
    pub failure_probability: f64,
    pub rng: Rng,
    message_count: u32,
}

pub struct Services {
    simulation: Mutex<Simulation>,
    runtime: Arc<RuntimeApi>,
    url: String,
}

impl Simulation {
    pub fn change_bucket(&mut self, objects: usize) {
        for number in 0..objects {
            self.bucket_version += 1;
            let detail = json!({ "object": { "key": format!("{number}.md") } });
            let event = json!({ "source": "aws.s3", "detail-type": "Object Created", "detail": detail });
            self.send(event.to_string());
        }
    }

    fn send(&mut self, body: String) {
        self.message_count += 1;
        let id = format!("00000000-0000-0000-0000-{:012}", self.message_count);
        self.queue.push_back(QueuedMessage { id, body, deliveries: 0 });
    }

    /// Takes messages as Lambda's event source mapping does.
    pub fn receive(&mut self, count: usize) -> Vec<QueuedMessage> {
        let count = count.min(self.queue.len());
        self.queue.drain(..count).collect()
    }

    /// Puts a message back whose delivery has failed.
    pub fn redeliver(&mut self, mut message: QueuedMessage) {
        message.deliveries += 1;
        if message.deliveries >= MAX_DELIVERIES {
            self.failed_changes.push(message);
        } else {
            self.queue.push_back(message);
        }
    }

    fn running_job(&self) -> Option<String> {
        self.jobs.iter().find(|job| job.status == "IN_PROGRESS").map(|job| job.id.clone())
    }

    fn start_job(&mut self, client_token: &str) -> Response {
        assert!(client_token.len() >= 33, "{client_token}");
        if let Some((kind, message)) = self.start_errors.pop_front() {
            return error(400, kind, message);
        }
        if let Some(job) = self.jobs.iter().find(|job| job.client_token == client_token) {
            return job.response(self.failed_documents);
        }
        // Time passes for jobs that nobody looks at, too.
        if let Some(id) = self.running_job() {
            self.look(&id);
            return error(409, "ConflictException", "A job is in progress.");
        }
        let job = Job {
            id: format!("JOB{:07}", self.jobs.len()),
            client_token: client_token.into(),
            version: self.bucket_version,
            status: "IN_PROGRESS",
            remaining_looks: self.looks_per_job,
            ends_as: self.job_ends.pop_front().unwrap_or("COMPLETE"),
        };
        self.jobs.push(job);
        self.jobs.last().expect("a job").response(self.failed_documents)
    }

    fn look(&mut self, id: &str) -> Response {
        let failed_documents = self.failed_documents;
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else {
            return error(404, "ResourceNotFoundException", "There is no such job.");
        };
        job.remaining_looks = job.remaining_looks.saturating_sub(1);
        if job.remaining_looks == 0 && job.status == "IN_PROGRESS" {
            job.status = job.ends_as;
            if job.status == "COMPLETE" {
                self.indexed_version = self.indexed_version.max(job.version);
            }
        }
        job.response(failed_documents)
    }
}

impl Job {
    fn response(&self, failed_documents: usize) -> Response {
        let job = json!({
            "ingestionJobId": self.id, "knowledgeBaseId": KNOWLEDGE_BASE, "dataSourceId": DATA_SOURCE,
            "status": self.status,
            "statistics": { "numberOfDocumentsScanned": 7, "numberOfNewDocumentsIndexed": 3,
                "numberOfDocumentsFailed": failed_documents },
            "failureReasons": if self.status == "FAILED" { vec!["The store cannot be reached."] } else { vec![] },
        });
        (StatusCode::ACCEPTED, Json(json!({ "ingestionJob": job }))).into_response()
    }
}

impl Services {
    pub async fn start() -> (Arc<Self>, Responses) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (runtime, responses) = RuntimeApi::new();
        let simulation = Mutex::new(Simulation { looks_per_job: 1, ..Simulation::default() });
        let services = Arc::new(Self { simulation, runtime: Arc::clone(&runtime), url });
        let data_source = format!("/knowledgebases/{KNOWLEDGE_BASE}/datasources/{DATA_SOURCE}");
        let router = Router::new()
            .route(&format!("{data_source}/ingestionjobs/"), put(start_job))
            .route(&format!("{data_source}/ingestionjobs/{{id}}"), get(look))
            .route(&format!("{data_source}/documents"), post(list_documents))
            .route("/", post(send_message))
            .with_state(Arc::clone(&services))
            .merge(runtime.router());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (services, responses)
    }

    pub fn simulation(&self) -> MutexGuard<'_, Simulation> {
        self.simulation.lock().unwrap()
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = environment(&self.url);
        variables.extend([
            ("AWS_ENDPOINT_URL_BEDROCK_AGENT", self.url.clone()),
            ("AWS_ENDPOINT_URL_SQS", self.url.clone()),
            ("KNOWLEDGE_BASE_ID", KNOWLEDGE_BASE.into()),
            ("DATA_SOURCE_ID", DATA_SOURCE.into()),
            ("QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/changes".into()),
        ]);
        variables
    }

    pub fn runtime(&self) -> &Arc<RuntimeApi> {
        &self.runtime
    }

    /// Serves a call, which may fail before or after its effect.
    fn serve(&self, headers: &HeaderMap, service: &str, call: impl FnOnce(&mut Simulation) -> Response) -> Response {
        let authorization = headers["authorization"].to_str().expect("text");
        assert!(authorization.contains(&format!("/us-east-1/{service}/aws4_request")), "{authorization}");
        let mut simulation = self.simulation();
        let fails = simulation.rng.f64() < simulation.failure_probability;
        if fails && simulation.rng.bool() {
            return error(500, "InternalServerException", "before");
        }
        let response = call(&mut simulation);
        if fails { error(500, "InternalServerException", "after") } else { response }
    }
}

async fn start_job(State(services): State<Arc<Services>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    let token = request["clientToken"].as_str().expect("a token");
    services.serve(&headers, "bedrock", |simulation| simulation.start_job(token))
}

async fn look(State(services): State<Arc<Services>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    services.serve(&headers, "bedrock", |simulation| simulation.look(&id))
}

/// One page has half of the documents.
async fn list_documents(State(services): State<Arc<Services>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    let is_first = request["nextToken"].is_null();
    services.serve(&headers, "bedrock", |simulation| {
        let half = simulation.failed_documents / 2;
        let range = if is_first { 0..half } else { half..simulation.failed_documents };
        let details = range.map(|number| {
            json!({
                "identifier": { "dataSourceType": "S3", "s3": { "uri": format!("s3://documents/{number}.pdf") } },
                "status": "FAILED", "statusReason": "The file is encrypted.",
            })
        });
        let indexed = json!({ "identifier": { "s3": { "uri": "s3://documents/good.md" } }, "status": "INDEXED" });
        let details: Vec<Value> = details.chain([indexed]).collect();
        let next_token = is_first.then_some("second");
        Json(json!({ "documentDetails": details, "nextToken": next_token })).into_response()
    })
}

async fn send_message(State(services): State<Arc<Services>>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["x-amz-target"], "AmazonSQS.SendMessage");
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(request["DelaySeconds"], 30);
    services.serve(&headers, "sqs", |simulation| {
        simulation.send(request["MessageBody"].as_str().expect("a body").to_owned());
        Json(json!({ "MessageId": "m" })).into_response()
    })
}

fn error(status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("x-amzn-errortype", kind.to_owned())], Json(json!({ "message": message }))).into_response()
}
