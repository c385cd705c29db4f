//! The function that brings the knowledge base up to date when objects of its bucket change.
//!
//! Events of the bucket come through a queue, many at a time, and one ingestion job covers all that came
//! before it. The function never waits for a job: it sends itself a message that is delivered later. A
//! message is deleted only once a job covers it or another message replaces it.
mod decisions;
mod ingestion;
pub mod messages;
mod report;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Serialize, de::IgnoredAny};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    StartError,
    aws::{Aws, CallError, SQS},
    variable,
};
use decisions::{NextStep, after_look, after_start};
use ingestion::{DataSource, IngestionJob, JobStatus};
use messages::{JobRequest, Message, Plan, SqsEvent, WatchedJob};

/// When a message to the function itself is delivered.
const DELAY_SECONDS: u32 = 30;
/// How long failed documents are searched for.
const LISTING_TIMEOUT: Duration = Duration::from_secs(30);

struct Synchronizer {
    aws: Aws,
    knowledge_base_id: String,
    data_source_id: String,
    queue_url: String,
}

/// The messages that Lambda is to deliver again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchResponse {
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

/// Serves invocations until Lambda shuts the environment down.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let sync = Arc::new(Synchronizer::from_environment()?);
    lambda_runtime::run(service_fn(move |event| serve(event, Arc::clone(&sync)))).await
}

async fn serve(event: LambdaEvent<SqsEvent>, sync: Arc<Synchronizer>) -> Result<BatchResponse, Infallible> {
    let plan = Plan::from_records(&event.payload.records);
    let mut redelivered = Vec::new();
    for (job_id, watched) in &plan.watched {
        if !sync.look_at_job(job_id, watched).await {
            redelivered.extend(watched.message_ids.iter().cloned());
        }
    }
    if let Some(request) = &plan.start
        && !sync.start_job(request).await
    {
        redelivered.extend(request.message_ids.iter().cloned());
    }
    let failures = redelivered.into_iter().map(|item_identifier| BatchItemFailure { item_identifier });
    Ok(BatchResponse { batch_item_failures: failures.collect() })
}

impl Synchronizer {
    fn from_environment() -> Result<Self, StartError> {
        Ok(Self {
            aws: Aws::from_environment()?,
            knowledge_base_id: variable("KNOWLEDGE_BASE_ID")?,
            data_source_id: variable("DATA_SOURCE_ID")?,
            queue_url: variable("QUEUE_URL")?,
        })
    }

    fn data_source(&self) -> DataSource<'_> {
        let Self { aws, knowledge_base_id, data_source_id, .. } = self;
        DataSource { aws, knowledge_base_id, data_source_id }
    }

    /// Whether the messages that ask for the job are done.
    async fn start_job(&self, request: &JobRequest) -> bool {
        // A new token each time. With the token of an earlier request Bedrock would return its job, which
        // does not cover the changes after its start.
        let client_token = Uuid::new_v4().to_string();
        let result = self.data_source().start_job(&client_token).await;
        match &result {
            Ok(job) => tracing::info!(job, changes = request.message_ids.len(), "ingestion job started"),
            Err(error) => tracing::info!(%error, "ingestion job not started"),
        }
        self.take(after_start(request, &result, epoch_milliseconds())).await
    }

    /// Whether the messages about the job are done.
    async fn look_at_job(&self, job_id: &str, watched: &WatchedJob) -> bool {
        let job = match self.data_source().job(job_id).await {
            Ok(job) => job,
            Err(error) => {
                tracing::warn!(job = job_id, %error, "ingestion job cannot be read");
                return false;
            }
        };
        let now = epoch_milliseconds();
        let is_done = self.take(after_look(job_id, watched, &job, now)).await;
        if is_done && job.status != JobStatus::Running {
            self.report(job_id, &job, now).await;
        }
        is_done
    }

    async fn take(&self, step: NextStep) -> bool {
        match step {
            NextStep::Done => true,
            NextStep::Send(message) => match self.send_to_itself(&message).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "message not sent");
                    false
                }
            },
            NextStep::Redeliver => false,
            NextStep::GiveUp => {
                tracing::error!("ingestion jobs keep failing; no more are started for these changes");
                println!("{}", report::abandoned_metrics(&self.knowledge_base_id, epoch_milliseconds()));
                true
            }
        }
    }

    async fn report(&self, job_id: &str, job: &IngestionJob, now: u64) {
        let mut failed_documents = Vec::new();
        if job.statistics.number_of_documents_failed > 0 {
            match timeout(LISTING_TIMEOUT, self.data_source().failed_documents()).await {
                Ok(Ok(documents)) => failed_documents = documents,
                Ok(Err(error)) => tracing::warn!(job = job_id, %error, "failed documents cannot be listed"),
                Err(_) => tracing::warn!(job = job_id, "failed documents cannot be listed in time"),
            }
        }
        report::log_job(job_id, job, &failed_documents);
        println!("{}", report::job_metrics(&self.knowledge_base_id, job, now));
    }

    async fn send_to_itself(&self, message: &Message) -> Result<(), CallError> {
        let body = serde_json::to_string(message).map_err(|error| CallError::Request(error.to_string()))?;
        let request = json!({ "QueueUrl": self.queue_url, "MessageBody": body, "DelaySeconds": DELAY_SECONDS });
        self.aws.call_json::<IgnoredAny>(SQS, "AmazonSQS.SendMessage", &request).await.map(drop)
    }
}

fn epoch_milliseconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
