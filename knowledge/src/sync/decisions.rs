//! What follows the start of an ingestion job, and a look at one.
use crate::aws::CallError;

use super::{
    ingestion::{IngestionJob, JobStatus},
    messages::{JobRequest, Message, WatchedJob},
};

/// Changes wait no longer than this for a job, and a job is not watched longer: 24 hours.
const MAX_AGE_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;
/// How many jobs in a row may fail before the function starts no more for the same changes.
const MAX_FAILURES: u32 = 3;
/// Words of the error and of a job's failure reason while Aurora resumes.
const RESUMING: &str = "is resuming after being auto-paused";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The messages are done.
    Done,
    /// This message, delivered later, replaces them.
    Send(Message),
    /// The messages come back; the queue's limit of deliveries ends that.
    Redeliver,
    /// The changes are not in the knowledge base, and no more jobs are started for them.
    GiveUp,
}

/// After StartIngestionJob.
pub fn after_start(request: &JobRequest, result: &Result<String, CallError>, now: u64) -> NextStep {
    let JobRequest { since, failures, .. } = *request;
    match result {
        Ok(job_id) => NextStep::Send(Message::Watch { job_id: job_id.clone(), started_at: now, failures }),
        Err(error) if is_busy(error) && now.saturating_sub(since) < MAX_AGE_MILLISECONDS => {
            NextStep::Send(Message::Start { since, failures })
        }
        Err(_) => NextStep::Redeliver,
    }
}

/// Whether another job runs, or the database resumes: a later request may succeed.
fn is_busy(error: &CallError) -> bool {
    error.kind() == "ConflictException" || error.message().contains(RESUMING)
}

/// After GetIngestionJob.
pub fn after_look(job_id: &str, watched: &WatchedJob, job: &IngestionJob, now: u64) -> NextStep {
    let WatchedJob { started_at, failures, .. } = *watched;
    match job.status {
        JobStatus::Running if now.saturating_sub(started_at) < MAX_AGE_MILLISECONDS => {
            NextStep::Send(Message::Watch { job_id: job_id.to_owned(), started_at, failures })
        }
        JobStatus::Running => NextStep::Redeliver,
        JobStatus::Failed if failures + 1 < MAX_FAILURES => {
            NextStep::Send(Message::Start { since: now, failures: failures + 1 })
        }
        JobStatus::Failed => NextStep::GiveUp,
        // Somebody has stopped the job on purpose.
        JobStatus::Complete | JobStatus::Stopped => NextStep::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = MAX_AGE_MILLISECONDS;

    fn request() -> JobRequest {
        JobRequest { since: 1_000, failures: 1, message_ids: vec!["m1".into()] }
    }

    fn error(kind: &str, message: &str) -> Result<String, CallError> {
        Err(CallError::Service { status: 400, kind: kind.into(), message: message.into() })
    }

    fn job(status: JobStatus) -> IngestionJob {
        IngestionJob { status, ..IngestionJob::default() }
    }

    #[test]
    fn started_job_is_watched() {
        let watch = Message::Watch { job_id: "J1".into(), started_at: 2_000, failures: 1 };
        assert_eq!(after_start(&request(), &Ok("J1".into()), 2_000), NextStep::Send(watch));
    }

    #[test]
    fn changes_wait_for_a_running_job_and_a_resuming_database() {
        let later = NextStep::Send(Message::Start { since: 1_000, failures: 1 });
        let resuming = "The Aurora DB instance arn:… is resuming after being auto-paused. Please wait a few seconds";
        for busy in [error("ConflictException", ""), error("ValidationException", resuming)] {
            assert_eq!(after_start(&request(), &busy, 1_000 + DAY - 1), later);
            assert_eq!(after_start(&request(), &busy, 1_000 + DAY), NextStep::Redeliver);
        }
        assert_eq!(after_start(&request(), &error("AccessDeniedException", ""), 2_000), NextStep::Redeliver);
    }

    #[test]
    fn running_job_is_watched_for_a_day() {
        let watched = WatchedJob { started_at: 1_000, failures: 0, message_ids: Vec::new() };
        let again = Message::Watch { job_id: "J1".into(), started_at: 1_000, failures: 0 };
        let look = |now: u64| after_look("J1", &watched, &job(JobStatus::Running), now);
        assert_eq!(look(999 + DAY), NextStep::Send(again));
        assert_eq!(look(1_000 + DAY), NextStep::Redeliver);
    }

    #[test]
    fn failed_job_is_started_again_twice() {
        let look = |status: JobStatus, failures: u32| {
            let watched = WatchedJob { started_at: 1_000, failures, message_ids: Vec::new() };
            after_look("J1", &watched, &job(status), 5_000)
        };
        assert_eq!(look(JobStatus::Failed, 0), NextStep::Send(Message::Start { since: 5_000, failures: 1 }));
        assert_eq!(look(JobStatus::Failed, 1), NextStep::Send(Message::Start { since: 5_000, failures: 2 }));
        assert_eq!(look(JobStatus::Failed, 2), NextStep::GiveUp);
        assert_eq!(look(JobStatus::Complete, 2), NextStep::Done);
        assert_eq!(look(JobStatus::Stopped, 0), NextStep::Done);
    }
}
