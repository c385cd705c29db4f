//! The sync function's process, with a queue and ingestion jobs.
mod services;
#[path = "../support/function.rs"]
mod support;

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use services::{QueuedMessage, Services};
use support::{Function, Responses, next_response};

const TIME: Duration = Duration::from_secs(60);
/// More deliveries than any of these tests needs until the queue is empty.
const MAX_BATCHES: usize = 2_000;

fn start(services: &Services) -> Function {
    Function::start(env!("CARGO_BIN_EXE_knowledge-sync"), services.environment(), services.runtime())
}

/// The event with these messages, as Lambda makes it.
fn sqs_event(messages: &[QueuedMessage]) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let records = messages.iter().map(|message| {
        json!({
            "messageId": message.id, "receiptHandle": "r", "body": message.body, "eventSource": "aws:sqs",
            "attributes": { "SentTimestamp": now.to_string(), "ApproximateReceiveCount": "1" },
            "messageAttributes": {}, "md5OfBody": "", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:changes",
        })
    });
    json!({ "Records": Vec::from_iter(records) })
}

/// Delivers one batch and puts back what the function reports as failed.
async fn deliver(services: &Services, responses: &mut Responses, size: usize) {
    let messages = services.simulation().receive(size);
    services.runtime().set_invocation(sqs_event(&messages), TIME);
    let response = next_response(responses).await.expect("a response").expect("the invocation succeeds");
    let failures = response["batchItemFailures"].as_array().expect("a list");
    let has_failed = |message: &QueuedMessage| failures.iter().any(|one| one["itemIdentifier"] == message.id.as_str());
    messages.into_iter().filter(has_failed).for_each(|message| services.simulation().redeliver(message));
}

/// Delivers until the queue is empty.
async fn drain(services: &Services, responses: &mut Responses) {
    for _ in 0..MAX_BATCHES {
        if services.simulation().queue.is_empty() {
            return;
        }
        deliver(services, responses, 1_000).await;
    }
    panic!("the queue is never empty");
}

#[tokio::test]
async fn burst_of_changes_starts_one_job() {
    let (services, mut responses) = Services::start().await;
    let function = start(&services);
    services.simulation().change_bucket(300);
    services.simulation().looks_per_job = 3;
    drain(&services, &mut responses).await;
    let output = function.into_output().await;
    let simulation = services.simulation();
    assert_eq!((simulation.jobs.len(), simulation.indexed_version), (1, 300));
    let metrics = output.lines().find(|line| line.contains("CloudWatchMetrics")).expect("metrics");
    let metrics: Value = serde_json::from_str(metrics).expect("a line of JSON");
    assert_eq!((&metrics["DocumentsIndexed"], &metrics["KnowledgeBaseId"]), (&json!(3), &json!("KB12345678")));
    assert!(!output.contains("aws4_request") && !output.contains(".md"), "{output}");
}

#[tokio::test]
async fn changes_during_a_job_start_another_at_its_end() {
    let (services, mut responses) = Services::start().await;
    let _function = start(&services);
    services.simulation().looks_per_job = 20;
    services.simulation().change_bucket(1);
    for _ in 0..5 {
        deliver(&services, &mut responses, 1_000).await;
        services.simulation().change_bucket(3);
    }
    drain(&services, &mut responses).await;
    let simulation = services.simulation();
    assert_eq!((simulation.jobs.len(), simulation.indexed_version), (2, 16));
    assert!(simulation.failed_changes.is_empty());
}

#[tokio::test]
async fn any_message_starts_a_job() {
    let (services, mut responses) = Services::start().await;
    let _function = start(&services);
    services.simulation().redeliver(QueuedMessage::new("00000000-0000-0000-0000-operator0001", "sync, please"));
    drain(&services, &mut responses).await;
    assert_eq!(services.simulation().jobs.len(), 1);
}

#[tokio::test]
async fn resuming_database_is_waited_for() {
    let (services, mut responses) = Services::start().await;
    let _function = start(&services);
    let message = "The Aurora DB instance arn:a is resuming after being auto-paused. Please wait a few seconds.";
    services.simulation().start_errors.extend([("ValidationException", message); 10]);
    services.simulation().change_bucket(2);
    drain(&services, &mut responses).await;
    let simulation = services.simulation();
    assert_eq!((simulation.indexed_version, simulation.failed_changes.len()), (2, 0));
}

#[tokio::test]
async fn refused_start_keeps_the_changes() {
    let (services, mut responses) = Services::start().await;
    let _function = start(&services);
    services.simulation().start_errors.extend([("AccessDeniedException", "no"); 10]);
    services.simulation().change_bucket(2);
    drain(&services, &mut responses).await;
    assert_eq!(services.simulation().failed_changes.len(), 2);
}

#[tokio::test]
async fn failing_jobs_are_started_three_times() {
    let (services, mut responses) = Services::start().await;
    let function = start(&services);
    services.simulation().job_ends.extend(["FAILED"; 4]);
    services.simulation().change_bucket(1);
    drain(&services, &mut responses).await;
    let output = function.into_output().await;
    assert_eq!(services.simulation().jobs.len(), 3);
    assert_eq!(output.matches("\"JobsFailed\":1").count(), 3, "{output}");
    assert_eq!(output.matches("\"SyncsAbandoned\":1").count(), 1, "{output}");
    assert!(output.contains("The store cannot be reached."), "{output}");
}

#[tokio::test]
async fn failed_documents_are_listed() {
    let (services, mut responses) = Services::start().await;
    let function = start(&services);
    services.simulation().failed_documents = 130;
    services.simulation().change_bucket(1);
    drain(&services, &mut responses).await;
    let output = function.into_output().await;
    assert_eq!(output.matches("The file is encrypted.").count(), 100);
    assert!(output.contains("s3://documents/0.pdf") && output.contains("s3://documents/99.pdf"), "{output}");
    assert!(output.contains("more=30") && output.contains("\"DocumentsFailed\":130"), "{output}");
    assert!(!output.contains("good.md"));
}

/// Changes, failures of every service before and after their effects, and kills of the process, at random.
#[tokio::test]
async fn no_change_is_lost_whatever_fails() {
    let seed =
        std::env::var("PARLANCE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("PARLANCE_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let (services, mut responses) = Services::start().await;
    let mut function = start(&services);
    for round in 0..40 {
        {
            let mut simulation = services.simulation();
            simulation.rng = rng.fork();
            simulation.failure_probability = rng.f64() * 0.4;
            simulation.looks_per_job = rng.u32(1..6);
            simulation.job_ends = (0..rng.usize(0..3)).map(|_| "FAILED").collect();
        }
        for _ in 0..rng.usize(1..8) {
            services.simulation().change_bucket(rng.usize(0..4));
            if rng.u8(..) < 40 {
                kill_during_delivery(&services, &mut responses, &mut function, &mut rng).await;
            } else {
                deliver(&services, &mut responses, rng.usize(1..6)).await;
            }
        }
        {
            let mut simulation = services.simulation();
            simulation.failure_probability = 0.0;
            simulation.job_ends.clear();
        }
        drain(&services, &mut responses).await;
        // An operator moves failed changes back.
        let failed: Vec<_> = services.simulation().failed_changes.drain(..).collect();
        failed.into_iter().for_each(|message| services.simulation().redeliver(message.fresh()));
        drain(&services, &mut responses).await;
        let simulation = services.simulation();
        assert_eq!(simulation.indexed_version, simulation.bucket_version, "round {round}");
    }
}

/// The messages of a batch whose process dies come back, and perhaps a moment of its work remains.
async fn kill_during_delivery(services: &Services, responses: &mut Responses, function: &mut Function, rng: &mut Rng) {
    let messages = services.simulation().receive(5);
    services.runtime().set_invocation(sqs_event(&messages), TIME);
    tokio::time::sleep(Duration::from_millis(rng.u64(0..20))).await;
    function.kill().await;
    services.runtime().clear_invocation();
    *function = start(services);
    // A response that is on its way arrives.
    tokio::time::sleep(Duration::from_millis(20)).await;
    while responses.try_recv().is_ok() {}
    messages.into_iter().for_each(|message| services.simulation().redeliver(message));
}
