//! Calls of Bedrock's ingestion jobs.
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::{Aws, BEDROCK_AGENT, CallError};

/// How many pages of documents are searched for failed ones; a page has up to 1,000 documents.
const MAX_PAGES: usize = 20;
const PAGE_SIZE: usize = 1_000;

/// The knowledge base's data source.
pub struct DataSource<'a> {
    pub aws: &'a Aws,
    pub knowledge_base_id: &'a str,
    pub data_source_id: &'a str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngestionJob {
    pub ingestion_job_id: String,
    #[serde(deserialize_with = "job_status")]
    pub status: JobStatus,
    pub statistics: Statistics,
    pub failure_reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobStatus {
    /// Also any status that this version does not know.
    #[default]
    Running,
    Complete,
    Failed,
    Stopped,
}

fn job_status<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<JobStatus, D::Error> {
    Ok(match String::deserialize(deserializer)?.as_str() {
        "COMPLETE" => JobStatus::Complete,
        "FAILED" => JobStatus::Failed,
        "STOPPED" => JobStatus::Stopped,
        _ => JobStatus::Running,
    })
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Statistics {
    pub number_of_documents_scanned: u64,
    pub number_of_new_documents_indexed: u64,
    pub number_of_modified_documents_indexed: u64,
    pub number_of_documents_deleted: u64,
    pub number_of_documents_failed: u64,
}

/// A document that is not in the knowledge base, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDocument {
    pub uri: String,
    pub status: String,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobResponse {
    ingestion_job: IngestionJob,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DocumentsPage {
    document_details: Vec<DocumentDetail>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentDetail {
    identifier: Value,
    status: String,
    #[serde(default)]
    status_reason: String,
}

impl DataSource<'_> {
    /// Returns the job's id. A token has at least 33 characters.
    pub async fn start_job(&self, client_token: &str) -> Result<String, CallError> {
        let path = self.path("ingestionjobs/");
        let request = json!({ "clientToken": client_token, "description": "The bucket has changed." });
        let response: JobResponse = self.aws.call_rest(BEDROCK_AGENT, Method::PUT, &path, &request).await?;
        Ok(response.ingestion_job.ingestion_job_id)
    }

    pub async fn job(&self, id: &str) -> Result<IngestionJob, CallError> {
        let path = self.path(&format!("ingestionjobs/{id}"));
        let response: JobResponse = self.aws.call_rest(BEDROCK_AGENT, Method::GET, &path, &Value::Null).await?;
        Ok(response.ingestion_job)
    }

    /// The documents that failed, in the first pages of all documents.
    pub async fn failed_documents(&self) -> Result<Vec<FailedDocument>, CallError> {
        let path = self.path("documents");
        let mut failed = Vec::new();
        let mut next_token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut request = json!({ "maxResults": PAGE_SIZE });
            if let Some(token) = &next_token {
                request["nextToken"] = json!(token);
            }
            let page: DocumentsPage = self.aws.call_rest(BEDROCK_AGENT, Method::POST, &path, &request).await?;
            failed.extend(page.document_details.into_iter().filter_map(DocumentDetail::into_failed));
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        Ok(failed)
    }

    fn path(&self, rest: &str) -> String {
        format!("/knowledgebases/{}/datasources/{}/{rest}", self.knowledge_base_id, self.data_source_id)
    }
}

impl DocumentDetail {
    fn into_failed(self) -> Option<FailedDocument> {
        let has_failed = ["FAILED", "PARTIALLY_INDEXED", "METADATA_PARTIALLY_INDEXED", "METADATA_UPDATE_FAILED"]
            .contains(&self.status.as_str());
        let uri = self.identifier["s3"]["uri"].as_str().unwrap_or_default().to_owned();
        has_failed.then_some(FailedDocument { uri, status: self.status, reason: self.status_reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_status_counts_as_running() {
        for (text, expected) in [
            ("STARTING", JobStatus::Running),
            ("STOPPING", JobStatus::Running),
            ("NOT_INVENTED_YET", JobStatus::Running),
            ("COMPLETE", JobStatus::Complete),
            ("FAILED", JobStatus::Failed),
            ("STOPPED", JobStatus::Stopped),
        ] {
            let job: IngestionJob = serde_json::from_value(json!({ "status": text })).unwrap();
            assert_eq!(job.status, expected, "{text}");
        }
    }
}
