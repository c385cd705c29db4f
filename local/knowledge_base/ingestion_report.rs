//! What the terminal shows of ingestion jobs: the progress of the running one, and a report of each.
use std::{io::Write, time::Duration};

use retrieval::{IngestionReport, index::DocumentFailure};

use super::{IndexSize, IngestionJob, JobStatus, KnowledgeBase, Progress, URI_PREFIX};

/// The failed documents that a report names.
const MAX_NAMED_FAILURES: usize = 20;

/// The width of the progress bar, in characters.
const BAR_WIDTH: usize = 30;

/// Moves to the start of the line and erases it.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// Prints until the knowledge base ends.
pub async fn print_reports(knowledge: KnowledgeBase, mut output: impl Write, is_terminal: bool) {
    let mut jobs = knowledge.jobs();
    let mut printed_job = None;
    let mut printed_failure = None;
    loop {
        let (progress, ended) = {
            let jobs = jobs.borrow_and_update();
            (jobs.progress(), jobs.last_ended().cloned())
        };
        if let Some(progress) = progress.filter(|_| is_terminal) {
            show_progress(&mut output, progress);
        }
        if let Some(job) = ended.filter(|job| printed_job.as_ref() != Some(&job.id)) {
            if is_terminal {
                clear_progress(&mut output);
            }
            // A job that fails again for the same reason has been reported.
            if job.failure.is_none() || job.failure != printed_failure {
                drop(output.write_all(format_job(&job, knowledge.size()).as_bytes()));
            }
            printed_job = Some(job.id);
            printed_failure = job.failure;
        }
        if jobs.changed().await.is_err() {
            return;
        }
    }
}

/// Replaces the line of the terminal. Its reader may be gone, which changes nothing here.
pub fn show_progress(output: &mut impl Write, progress: Progress) {
    drop(write!(output, "{CLEAR_LINE}{}", format_progress(progress)).and_then(|()| output.flush()));
}

fn format_progress(Progress { done, total }: Progress) -> String {
    let filled = (done * BAR_WIDTH).checked_div(total).unwrap_or(BAR_WIDTH).min(BAR_WIDTH);
    format!("Documents: [{}{}] {done} of {total}", "#".repeat(filled), " ".repeat(BAR_WIDTH - filled))
}

pub fn clear_progress(output: &mut impl Write) {
    drop(output.write_all(CLEAR_LINE.as_bytes()).and_then(|()| output.flush()));
}

fn format_job(job: &IngestionJob, size: IndexSize) -> String {
    match job.status {
        JobStatus::Failed => format!("Documents: not ingested. {}\n", job.failure.as_deref().unwrap_or_default()),
        JobStatus::Stopped => "Documents: the ingestion was stopped.\n".to_owned(),
        JobStatus::Starting | JobStatus::InProgress | JobStatus::Complete => {
            let time = job.updated_at.duration_since(job.started_at).unsigned_abs();
            format_statistics(&job.report, size, time)
        }
    }
}

/// One line, and one for each failed document.
pub fn format_statistics(report: &IngestionReport, size: IndexSize, time: Duration) -> String {
    let IngestionReport { statistics, failures } = report;
    let counts = [
        (statistics.new_documents_indexed, "new"),
        (statistics.modified_documents_indexed + statistics.metadata_documents_modified, "changed"),
        (statistics.documents_deleted, "deleted"),
        (statistics.documents_failed, "failed"),
        (statistics.documents_skipped, "of other formats"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let changes = if counts.is_empty() { "no changes".to_owned() } else { counts.join(", ") };
    let IndexSize { documents, chunks } = size;
    let seconds = time.as_secs_f64();
    let mut text = format!("Documents: {changes}; {documents} in {chunks} chunks ({seconds:.1} s)\n");
    for DocumentFailure { uri, reason } in failures.iter().take(MAX_NAMED_FAILURES) {
        text += &format!("  {}: {reason}\n", uri.strip_prefix(URI_PREFIX).unwrap_or(uri));
    }
    if let Some(unnamed) = failures.len().checked_sub(MAX_NAMED_FAILURES).filter(|unnamed| *unnamed > 0) {
        text += &format!("  and {unnamed} more\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use retrieval::{IngestError, index::IngestionStatistics};

    use super::*;
    use crate::knowledge_base::job_list::{JobList, StartJob, StartOutcome};

    fn text(statistics: IngestionStatistics, failures: Vec<DocumentFailure>) -> String {
        let size = IndexSize { documents: 12, chunks: 40 };
        format_statistics(&IngestionReport { statistics, failures }, size, Duration::from_millis(1_250))
    }

    #[test]
    fn progress_is_a_bar() {
        let mut output = Vec::new();
        show_progress(&mut output, Progress { done: 50, total: 200 });
        let bar = format!("{CLEAR_LINE}Documents: [#######{}] 50 of 200", " ".repeat(23));
        assert_eq!(String::from_utf8(output).unwrap(), bar);
        for (done, total) in [(0, 0), (5, 5)] {
            assert!(format_progress(Progress { done, total }).contains(&format!("[{}]", "#".repeat(30))));
        }
    }

    #[test]
    fn report_counts_what_has_changed() {
        let statistics = IngestionStatistics {
            documents_scanned: 14,
            new_documents_indexed: 3,
            modified_documents_indexed: 1,
            metadata_documents_modified: 1,
            documents_deleted: 2,
            documents_skipped: 1,
            ..IngestionStatistics::default()
        };
        let line = "Documents: 3 new, 2 changed, 2 deleted, 1 of other formats; 12 in 40 chunks (1.2 s)\n";
        assert_eq!(text(statistics, Vec::new()), line);
        let unchanged = text(IngestionStatistics::default(), Vec::new());
        assert_eq!(unchanged, "Documents: no changes; 12 in 40 chunks (1.2 s)\n");
    }

    #[test]
    fn report_names_failed_documents() {
        let failure = |number: usize| DocumentFailure {
            uri: format!("s3://local-knowledge/a/{number}.pdf"),
            reason: "The file is no PDF.".into(),
        };
        let statistics = IngestionStatistics { documents_failed: 22, ..IngestionStatistics::default() };
        let text = text(statistics, (0..22).map(failure).collect());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["Documents: 22 failed; 12 in 40 chunks (1.2 s)", "  a/0.pdf: The file is no PDF."]);
        assert_eq!(lines[20..], ["  a/19.pdf: The file is no PDF.", "  and 2 more"]);
    }

    #[test]
    fn report_of_a_failed_job_says_why() {
        let mut jobs = JobList::default();
        let StartOutcome::Started(job) = jobs.start(StartJob::default()) else { panic!("no job runs") };
        jobs.end(&job.id, Err(IngestError::Busy));
        let line = "Documents: not ingested. An ingestion of this index is running.\n";
        assert_eq!(format_job(jobs.last_ended().unwrap(), IndexSize { documents: 0, chunks: 0 }), line);
    }
}
