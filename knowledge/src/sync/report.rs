//! What the log and the metrics say about an ingestion job that has ended.
use serde_json::{Value, json};

use super::ingestion::{FailedDocument, IngestionJob, JobStatus};

/// How many failed documents of a job are logged.
const MAX_LOGGED_DOCUMENTS: usize = 100;
const MAX_REASON_CHARACTERS: usize = 500;
const NAMESPACE: &str = "Parlance";

/// One line for the job, one for each document that failed.
pub fn log_job(job_id: &str, job: &IngestionJob, failed_documents: &[FailedDocument]) {
    let statistics = job.statistics;
    tracing::info!(
        job = job_id,
        status = ?job.status,
        scanned = statistics.number_of_documents_scanned,
        new = statistics.number_of_new_documents_indexed,
        modified = statistics.number_of_modified_documents_indexed,
        deleted = statistics.number_of_documents_deleted,
        failed = statistics.number_of_documents_failed,
        "ingestion job ended"
    );
    for reason in job.failure_reasons.iter().take(MAX_LOGGED_DOCUMENTS) {
        tracing::warn!(job = job_id, reason = shortened(reason), "ingestion job has a failure");
    }
    for FailedDocument { uri, status, reason } in failed_documents.iter().take(MAX_LOGGED_DOCUMENTS) {
        tracing::warn!(job = job_id, uri, status, reason = shortened(reason), "document failed");
    }
    if failed_documents.len() > MAX_LOGGED_DOCUMENTS {
        let more = failed_documents.len() - MAX_LOGGED_DOCUMENTS;
        tracing::warn!(job = job_id, more, "more documents failed");
    }
}

fn shortened(reason: &str) -> String {
    reason.chars().take(MAX_REASON_CHARACTERS).collect()
}

/// The job's metrics in CloudWatch's embedded metric format: a line of the log.
pub fn job_metrics(knowledge_base_id: &str, job: &IngestionJob, now: u64) -> Value {
    let statistics = job.statistics;
    let indexed = statistics.number_of_new_documents_indexed + statistics.number_of_modified_documents_indexed;
    let counts = [
        ("DocumentsIndexed", indexed),
        ("DocumentsDeleted", statistics.number_of_documents_deleted),
        ("DocumentsFailed", statistics.number_of_documents_failed),
        ("JobsFailed", u64::from(job.status == JobStatus::Failed)),
    ];
    metrics(knowledge_base_id, &counts, now)
}

/// The metric of changes that no more jobs are started for.
pub fn abandoned_metrics(knowledge_base_id: &str, now: u64) -> Value {
    metrics(knowledge_base_id, &[("SyncsAbandoned", 1)], now)
}

fn metrics(knowledge_base_id: &str, counts: &[(&str, u64)], now: u64) -> Value {
    let definitions: Vec<Value> = counts.iter().map(|(name, _)| json!({ "Name": name, "Unit": "Count" })).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now,
            "CloudWatchMetrics": [
                { "Namespace": NAMESPACE, "Dimensions": [["KnowledgeBaseId"]], "Metrics": definitions },
            ],
        },
        "KnowledgeBaseId": knowledge_base_id,
    });
    for (name, count) in counts {
        line[name] = json!(count);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::ingestion::Statistics;

    #[test]
    fn every_metric_has_its_value() {
        let statistics = Statistics {
            number_of_documents_scanned: 9,
            number_of_new_documents_indexed: 3,
            number_of_modified_documents_indexed: 2,
            number_of_documents_deleted: 1,
            number_of_documents_failed: 4,
        };
        let job = IngestionJob { status: JobStatus::Complete, statistics, ..IngestionJob::default() };
        let line = job_metrics("KB12345678", &job, 1_795_000_000_000);
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        let values: Vec<_> = metrics.iter().map(|metric| line[metric["Name"].as_str().unwrap()].as_u64()).collect();
        assert_eq!(values, [Some(5), Some(1), Some(4), Some(0)]);
        assert_eq!(line["KnowledgeBaseId"], "KB12345678");
    }
}
