//! The ingestion jobs of a data source: at most one runs, and the newest are kept.
use std::collections::VecDeque;

use jiff::Timestamp;
use retrieval::{IngestError, IngestionReport};
use uuid::Uuid;

use super::ingestion_job::{IngestionJob, JobStatus};

/// Older jobs are forgotten.
const MAX_JOBS: usize = 100;

/// The newest job is the last. They do not outlive the server.
#[derive(Clone, Debug, Default)]
pub struct JobList {
    jobs: VecDeque<IngestionJob>,
    /// Of the running job.
    progress: Option<Progress>,
}

/// How many of its documents a job has compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: usize,
    pub total: usize,
}

#[derive(Clone, Debug, Default)]
pub struct StartJob {
    pub client_token: Option<String>,
    pub description: Option<String>,
}

#[derive(Debug)]
pub enum StartOutcome {
    Started(IngestionJob),
    /// The job that was started with the same client token.
    Known(IngestionJob),
    /// Another job is running.
    Busy,
}

impl JobList {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &IngestionJob> {
        self.jobs.iter()
    }

    pub fn get(&self, id: &str) -> Option<&IngestionJob> {
        self.jobs.iter().find(|job| job.id == id)
    }

    pub fn running(&self) -> Option<&IngestionJob> {
        self.jobs.back().filter(|job| job.is_running())
    }

    /// The newest job that has ended.
    pub fn last_ended(&self) -> Option<&IngestionJob> {
        self.jobs.iter().rfind(|job| !job.is_running())
    }

    pub fn progress(&self) -> Option<Progress> {
        self.progress
    }

    pub fn start(&mut self, StartJob { client_token, description }: StartJob) -> StartOutcome {
        let is_same = |job: &&IngestionJob| client_token.is_some() && job.client_token == client_token;
        if let Some(known) = self.jobs.iter().find(is_same) {
            return StartOutcome::Known(known.clone());
        }
        if self.running().is_some() {
            return StartOutcome::Busy;
        }
        if self.jobs.len() == MAX_JOBS {
            self.jobs.pop_front();
        }
        let now = Timestamp::now();
        let job = IngestionJob {
            id: new_job_id(),
            client_token,
            description,
            status: JobStatus::Starting,
            report: IngestionReport::default(),
            failure: None,
            started_at: now,
            updated_at: now,
        };
        self.jobs.push_back(job.clone());
        StartOutcome::Started(job)
    }

    pub fn set_progress(&mut self, id: &str, progress: Progress) {
        if let Some(job) = self.get_mut(id) {
            job.status = JobStatus::InProgress;
            job.updated_at = Timestamp::now();
            self.progress = Some(progress);
        }
    }

    pub fn end(&mut self, id: &str, result: Result<IngestionReport, IngestError>) {
        self.progress = None;
        if let Some(job) = self.get_mut(id) {
            job.end(result);
        }
    }

    /// Ends a job that has no result.
    pub fn fail(&mut self, id: &str, reason: String) {
        self.progress = None;
        if let Some(job) = self.get_mut(id) {
            job.fail(reason);
        }
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut IngestionJob> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }
}

/// Ten upper-case letters and digits, as Bedrock's ids have them.
fn new_job_id() -> String {
    Uuid::new_v4().simple().to_string()[..10].to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(jobs: &mut JobList, token: Option<&str>) -> StartOutcome {
        jobs.start(StartJob { client_token: token.map(str::to_owned), description: None })
    }

    fn started(outcome: StartOutcome) -> String {
        match outcome {
            StartOutcome::Started(job) => job.id,
            other => panic!("the job is started, not {other:?}"),
        }
    }

    #[test]
    fn second_job_is_refused_while_the_first_runs() {
        let mut jobs = JobList::default();
        let first = started(start(&mut jobs, None));
        assert!(matches!(start(&mut jobs, None), StartOutcome::Busy));
        jobs.set_progress(&first, Progress { done: 0, total: 1 });
        assert!(matches!(start(&mut jobs, None), StartOutcome::Busy));
        jobs.end(&first, Ok(IngestionReport::default()));
        assert_eq!(jobs.last_ended().map(|job| job.status), Some(JobStatus::Complete));
        assert_ne!(started(start(&mut jobs, None)), first);
    }

    #[test]
    fn same_client_token_returns_the_same_job() {
        let mut jobs = JobList::default();
        let first = started(start(&mut jobs, Some("token")));
        for is_ended in [false, true] {
            if is_ended {
                jobs.end(&first, Ok(IngestionReport::default()));
            }
            assert!(matches!(start(&mut jobs, Some("token")), StartOutcome::Known(job) if job.id == first));
        }
        started(start(&mut jobs, Some("another")));
    }

    #[test]
    fn stopped_and_failed_jobs_are_told_apart() {
        for (error, status, failure) in [
            (IngestError::Stopped, JobStatus::Stopped, None),
            (IngestError::Busy, JobStatus::Failed, Some("An ingestion of this index is running.")),
        ] {
            let mut jobs = JobList::default();
            let id = started(start(&mut jobs, None));
            jobs.end(&id, Err(error));
            let job = jobs.get(&id).unwrap();
            assert_eq!((job.status, job.failure.as_deref()), (status, failure));
        }
    }

    #[test]
    fn oldest_job_is_forgotten() {
        let mut jobs = JobList::default();
        let ids: Vec<String> = (0..=MAX_JOBS)
            .map(|_| {
                let id = started(start(&mut jobs, None));
                jobs.end(&id, Ok(IngestionReport::default()));
                id
            })
            .collect();
        assert!(jobs.get(&ids[0]).is_none() && jobs.get(&ids[1]).is_some());
        assert_eq!(jobs.iter().count(), MAX_JOBS);
    }
}
