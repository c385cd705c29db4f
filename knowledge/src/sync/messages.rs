//! Messages of the function's queue, and what a batch of them asks for.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A batch of messages as Lambda delivers them.
#[derive(Deserialize)]
pub struct SqsEvent {
    #[serde(rename = "Records")]
    pub records: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub message_id: String,
    pub body: String,
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attributes {
    /// Milliseconds since 1970.
    pub sent_timestamp: String,
}

/// A message that the function sends to itself. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Message {
    /// The knowledge base is behind the bucket: a job is to be started.
    Start {
        /// The oldest change that no job covers.
        since: u64,
        /// Jobs for these changes that have failed, one after the other.
        failures: u32,
    },
    /// A job runs.
    Watch { job_id: String, started_at: u64, failures: u32 },
}

impl Message {
    /// Any message that the function has not sent itself is a change: an event of the bucket, or what an
    /// operator sends to have a job started.
    fn from_record(record: &Record) -> Self {
        serde_json::from_str(&record.body).unwrap_or_else(|_| Self::Start {
            since: record.attributes.sent_timestamp.parse().unwrap_or_default(),
            failures: 0,
        })
    }
}

/// What a batch of messages asks for: any number of changes asks for one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub start: Option<JobRequest>,
    /// The jobs to look at, by id.
    pub watched: BTreeMap<String, WatchedJob>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    pub since: u64,
    pub failures: u32,
    /// The messages that ask for the job.
    pub message_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedJob {
    pub started_at: u64,
    pub failures: u32,
    pub message_ids: Vec<String>,
}

impl Plan {
    pub fn from_records(records: &[Record]) -> Self {
        let mut plan = Self::default();
        for record in records {
            let id = record.message_id.clone();
            match Message::from_record(record) {
                Message::Start { since, failures } => plan.add_start(since, failures, id),
                Message::Watch { job_id, started_at, failures } => {
                    let new = WatchedJob { started_at, failures, message_ids: Vec::new() };
                    plan.watched.entry(job_id).or_insert(new).message_ids.push(id);
                }
            }
        }
        plan
    }

    fn add_start(&mut self, since: u64, failures: u32, message_id: String) {
        let new = JobRequest { since, failures, message_ids: Vec::new() };
        let request = self.start.get_or_insert(new);
        request.since = request.since.min(since);
        request.failures = request.failures.max(failures);
        request.message_ids.push(message_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, sent_at: u64, body: &str) -> Record {
        let attributes = Attributes { sent_timestamp: sent_at.to_string() };
        Record { message_id: id.into(), body: body.into(), attributes }
    }

    #[test]
    fn many_changes_ask_for_one_job() {
        let event = r#"{"detail-type":"Object Created","source":"aws.s3","detail":{"object":{"key":"a.md"}}}"#;
        let later = serde_json::to_string(&Message::Start { since: 7, failures: 1 }).unwrap();
        let records = [record("m1", 20, event), record("m2", 10, "no JSON"), record("m3", 30, &later)];
        let message_ids = ["m1", "m2", "m3"].map(str::to_owned).to_vec();
        let start = Some(JobRequest { since: 7, failures: 1, message_ids });
        assert_eq!(Plan::from_records(&records), Plan { start, watched: BTreeMap::new() });
    }

    #[test]
    fn a_job_is_looked_at_once_per_batch() {
        let watch = r#"{"type":"watch","jobId":"J1","startedAt":5,"failures":0}"#;
        let plan = Plan::from_records(&[record("m1", 1, watch), record("m2", 2, watch)]);
        let watched = WatchedJob { started_at: 5, failures: 0, message_ids: vec!["m1".into(), "m2".into()] };
        assert_eq!(plan, Plan { start: None, watched: [("J1".to_owned(), watched)].into() });
    }
}
