//! Keeps the index like its folder: looks for changes and starts ingestion jobs.
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use retrieval::{Folder, folder::ListedFile};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    JobStatus, KnowledgeBase, URI_PREFIX,
    job_list::{StartJob, StartOutcome},
};

/// How often the folder is looked at. A change is ingested once the folder stays the same for so long.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long after a job that failed as a whole it is repeated, though nothing has changed.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// What a folder holds, or why it cannot be read.
type FolderState = Result<BTreeMap<PathBuf, FileVersion>, String>;

/// Another version of a file has another length or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileVersion {
    length: u64,
    /// When content or attributes changed, in nanoseconds since 1970; tools that copy files cannot set it.
    changed_at: i128,
}

/// The state that the newest job began with.
struct Ingested {
    state: FolderState,
    /// When the job failed as a whole, if it did.
    failed_at: Option<Instant>,
}

/// Never ends.
pub async fn ingest_changes(knowledge: &KnowledgeBase) {
    let mut ingested: Option<Ingested> = None;
    let mut previous: Option<FolderState> = None;
    loop {
        let state = read_state(knowledge).await;
        let is_settled = ingested.is_none() || previous.as_ref() == Some(&state);
        if is_settled
            && ingested.as_ref().is_none_or(|ingested| ingested.is_outdated(&state))
            && let Some(status) = run_job(knowledge).await
        {
            let failed_at = (status == JobStatus::Failed).then(Instant::now);
            ingested = Some(Ingested { state: state.clone(), failed_at });
        }
        previous = Some(state);
        sleep(POLL_INTERVAL).await;
    }
}

impl Ingested {
    fn is_outdated(&self, state: &FolderState) -> bool {
        let is_retry_due = self.failed_at.is_some_and(|moment| moment.elapsed() >= RETRY_INTERVAL);
        self.state != *state || is_retry_due
    }
}

/// Runs a job to its end. None if another job runs, which may have begun before the last change.
async fn run_job(knowledge: &KnowledgeBase) -> Option<JobStatus> {
    let StartOutcome::Started(job) = knowledge.start_job(StartJob::default()) else { return None };
    let mut jobs = knowledge.jobs();
    let ended = jobs.wait_for(|jobs| jobs.get(&job.id).is_none_or(|job| !job.is_running())).await.ok()?;
    ended.get(&job.id).map(|job| job.status)
}

async fn read_state(knowledge: &KnowledgeBase) -> FolderState {
    let knowledge = knowledge.clone();
    let state = spawn_blocking(move || folder_state(&knowledge.0.folder)).await;
    state.unwrap_or_else(|error| Err(error.to_string()))
}

/// Documents and their metadata files. A file that has vanished since the listing has no version.
fn folder_state(folder: &Folder) -> FolderState {
    let listing = folder.list().map_err(|error| error.to_string())?;
    let paths = listing.files.iter().flat_map(|file| watched_paths(&folder.path, file));
    Ok(paths.filter_map(|path| Some((path.clone(), file_version(&path)?))).collect())
}

fn watched_paths(folder: &Path, file: &ListedFile) -> impl Iterator<Item = PathBuf> {
    let relative = file.uri.strip_prefix(URI_PREFIX).unwrap_or(&file.uri).to_owned();
    let sidecar = file.has_sidecar().then(|| folder.join(format!("{relative}.metadata.json")));
    [folder.join(relative)].into_iter().chain(sidecar)
}

fn file_version(path: &Path) -> Option<FileVersion> {
    let metadata = fs::metadata(path).ok()?;
    let changed_at = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    Some(FileVersion { length: metadata.len(), changed_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_documents_and_metadata_is_another_state() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder { path: directory.path().to_owned(), uri_prefix: URI_PREFIX.to_owned() };
        let path = |name: &str| directory.path().join(name);
        let mut states = vec![folder_state(&folder)];
        let mut add_state = || states.push(folder_state(&folder));
        fs::create_dir(path("a")).unwrap();
        fs::write(path("a/b.md"), "one").unwrap();
        add_state();
        fs::write(path("a/b.md"), "two!").unwrap();
        add_state();
        fs::write(path("a/b.md.metadata.json"), "{}").unwrap();
        add_state();
        fs::rename(path("a/b.md"), path("a/c.md")).unwrap();
        add_state();
        fs::remove_file(path("a/c.md")).unwrap();
        add_state();
        assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{states:?}");
        fs::write(path("picture.png"), "no document").unwrap();
        assert_eq!(&folder_state(&folder), states.last().unwrap());
        drop(directory);
        assert!(folder_state(&folder).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn failed_job_is_repeated_after_a_while() {
        let state = Ok(BTreeMap::new());
        let ingested = |failed_at| Ingested { state: state.clone(), failed_at };
        assert!(!ingested(None).is_outdated(&state) && !ingested(Some(Instant::now())).is_outdated(&state));
        assert!(ingested(Instant::now().checked_sub(RETRY_INTERVAL)).is_outdated(&state));
        assert!(ingested(None).is_outdated(&Err("The folder cannot be read.".into())));
    }
}
