//! An ingestion job and its JSON.
use jiff::Timestamp;
use retrieval::{
    IngestError, IngestionReport,
    index::{DocumentFailure, IngestionStatistics},
};
use serde_json::{Value, json};

use super::{DATA_SOURCE_ID, KNOWLEDGE_BASE_ID};

/// The failed documents that the JSON of a job names.
const MAX_FAILURE_REASONS: usize = 100;

/// One comparison of the index with the folder.
#[derive(Clone, Debug)]
pub struct IngestionJob {
    pub id: String,
    pub client_token: Option<String>,
    pub description: Option<String>,
    pub status: JobStatus,
    /// Empty before the job is complete.
    pub report: IngestionReport,
    /// Why the job failed as a whole.
    pub failure: Option<String>,
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    Starting,
    InProgress,
    Complete,
    Failed,
    Stopped,
}

impl IngestionJob {
    pub fn is_running(&self) -> bool {
        matches!(self.status, JobStatus::Starting | JobStatus::InProgress)
    }

    /// Sets the state in which the job ends.
    pub fn end(&mut self, result: Result<IngestionReport, IngestError>) {
        self.updated_at = Timestamp::now();
        match result {
            Ok(report) => {
                self.status = JobStatus::Complete;
                self.report = report;
            }
            Err(IngestError::Stopped) => self.status = JobStatus::Stopped,
            Err(error) => self.fail(error.to_string()),
        }
    }

    pub fn fail(&mut self, reason: String) {
        self.updated_at = Timestamp::now();
        self.status = JobStatus::Failed;
        self.failure = Some(reason);
    }

    /// As GetIngestionJob returns it.
    pub fn to_json(&self) -> Value {
        let mut job = self.to_summary_json();
        let failures = self.report.failures.iter().take(MAX_FAILURE_REASONS);
        let failures = failures.map(|DocumentFailure { uri, reason }| format!("{uri}: {reason}"));
        let reasons: Vec<String> = self.failure.iter().cloned().chain(failures).collect();
        if !reasons.is_empty() {
            job["failureReasons"] = json!(reasons);
        }
        job
    }

    /// As ListIngestionJobs returns it: without the reasons of failures.
    pub fn to_summary_json(&self) -> Value {
        let mut job = json!({
            "ingestionJobId": self.id,
            "knowledgeBaseId": KNOWLEDGE_BASE_ID,
            "dataSourceId": DATA_SOURCE_ID,
            "status": self.status.name(),
            "statistics": statistics_json(&self.report.statistics),
            "startedAt": self.started_at.to_string(),
            "updatedAt": self.updated_at.to_string(),
        });
        if let Some(description) = &self.description {
            job["description"] = json!(description);
        }
        job
    }
}

impl JobStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::InProgress => "IN_PROGRESS",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Bedrock has no number of skipped documents.
fn statistics_json(statistics: &IngestionStatistics) -> Value {
    json!({
        "numberOfDocumentsScanned": statistics.documents_scanned,
        "numberOfMetadataDocumentsScanned": statistics.metadata_documents_scanned,
        "numberOfNewDocumentsIndexed": statistics.new_documents_indexed,
        "numberOfModifiedDocumentsIndexed": statistics.modified_documents_indexed,
        "numberOfMetadataDocumentsModified": statistics.metadata_documents_modified,
        "numberOfDocumentsDeleted": statistics.documents_deleted,
        "numberOfDocumentsFailed": statistics.documents_failed,
    })
}
