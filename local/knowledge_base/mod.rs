//! Knowledge Bases of Amazon Bedrock over a folder of documents: Retrieve, RetrieveAndGenerate with its
//! stream, ingestion jobs and the ingestion of single documents.
mod answer_parts;
mod document_ingestion;
mod embeddings;
mod folder_watch;
mod generation_prompt;
mod generation_request;
mod generation_sessions;
mod ingestion_job;
mod ingestion_report;
mod ingestion_routes;
mod job_list;
mod pause;
mod retrieve;
mod retrieve_and_generate;
mod routes;
mod service_error;

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use retrieval::{
    Chunking, Folder, Index, IndexError, IngestError, IngestionReport, Vectors, chunking::ChunkingError,
    folder::FolderError,
};
use tempfile::TempDir;
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    fault_injection::{FaultInjector, FaultPlan},
    private_file::{self, FileError},
    stack::{self, VectorStore},
};

pub use embeddings::{EmbedderError, EmbeddingsOptions};
pub use ingestion_job::{IngestionJob, JobStatus};
pub use ingestion_report::{clear_progress, format_statistics, print_reports, show_progress};
pub use job_list::{JobList, Progress};
pub use routes::{Searches, router};

use generation_sessions::Sessions;
use job_list::{StartJob, StartOutcome};
use pause::Pause;

/// The id of the knowledge base of `--knowledge`.
pub const KNOWLEDGE_BASE_ID: &str = "LOCALKB001";
/// The id of its data source, which is the folder.
pub const DATA_SOURCE_ID: &str = "LOCALDS001";
/// The bucket that the folder stands for.
pub const BUCKET: &str = "local-knowledge";
/// What the URI of a document begins with. The path below the folder follows.
pub const URI_PREFIX: &str = "s3://local-knowledge/";

/// How long the end of the server waits for the end of a running ingestion job.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The folder of `--knowledge`, and what its documents are searched by.
#[derive(Clone, Debug)]
pub struct KnowledgeOptions {
    pub folder: PathBuf,
    pub embeddings: EmbeddingsOptions,
}

#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    #[error("{0}")]
    Folder(#[from] FolderError),
    #[error("{0}")]
    Index(#[from] IndexError),
    #[error("{0}")]
    IndexFolder(#[from] FileError),
    #[error("a temporary folder for the index cannot be created: {0}")]
    TemporaryFolder(io::Error),
    #[error("{0}")]
    Embedder(#[from] EmbedderError),
    #[error("{0}")]
    Chunking(#[from] ChunkingError),
}

/// A knowledge base with one data source. Clones share it.
#[derive(Clone)]
pub struct KnowledgeBase(Arc<Inner>);

struct Inner {
    index: Index,
    folder: Folder,
    store: VectorStore,
    jobs: watch::Sender<JobList>,
    sessions: Sessions,
    pause: Pause,
    faults: FaultInjector,
    /// Stops the running ingestion job.
    stop: CancellationToken,
    /// Holds the index of a server that keeps nothing.
    _temporary_folder: Option<TempDir>,
}

impl KnowledgeBase {
    /// Opens the index in a folder, or a new one in a temporary folder. No document is read: ingestion jobs
    /// do that, and make all chunks again if the stack's settings have changed. Must be called within a tokio
    /// runtime.
    pub fn open(
        options: &KnowledgeOptions,
        settings: &stack::KnowledgeBase,
        index_folder: Option<&Path>,
        plan: &FaultPlan,
        faults: &FaultInjector,
    ) -> Result<Self, KnowledgeError> {
        let folder = Folder { path: options.folder.clone(), uri_prefix: URI_PREFIX.to_owned() };
        // A mistyped folder stops the start.
        folder.list()?;
        let (index_folder, temporary_folder) = match index_folder {
            Some(path) => (path.to_owned(), None),
            None => {
                let temporary = tempfile::tempdir().map_err(KnowledgeError::TemporaryFolder)?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let index = open_index(&index_folder, chunking(settings.chunking)?, options.embeddings.vectors()?)?;
        Ok(Self(Arc::new(Inner {
            index,
            folder,
            store: settings.store,
            sessions: Sessions::default(),
            jobs: watch::Sender::default(),
            pause: Pause::new(plan.resume_time, faults.clone()),
            faults: faults.clone(),
            stop: CancellationToken::new(),
            _temporary_folder: temporary_folder,
        })))
    }

    /// The ingestion jobs, and each change of them.
    pub fn jobs(&self) -> watch::Receiver<JobList> {
        self.0.jobs.subscribe()
    }

    /// The data source.
    pub fn folder(&self) -> &Folder {
        &self.0.folder
    }

    /// Documents and chunks that searches find.
    pub fn size(&self) -> IndexSize {
        IndexSize::of(&self.0.index)
    }

    /// Ingests the folder now and after every change of it. Never ends.
    pub async fn ingest_changes(&self) {
        folder_watch::ingest_changes(self).await;
    }

    /// Stops the running ingestion job, which then changes nothing.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let mut jobs = self.jobs();
        let ended = jobs.wait_for(|jobs| jobs.running().is_none());
        if timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("an ingestion job has not ended; the next start repeats it");
        }
    }

    /// Starts a job, unless one is running.
    fn start_job(&self, start: StartJob) -> StartOutcome {
        let mut outcome = StartOutcome::Busy;
        self.0.jobs.send_modify(|jobs| outcome = jobs.start(start));
        if let StartOutcome::Started(job) = &outcome {
            let (knowledge, id) = (self.clone(), job.id.clone());
            tokio::spawn(async move { knowledge.run_job(&id).await });
        }
        outcome
    }

    async fn run_job(&self, id: &str) {
        let (knowledge, job_id) = (self.clone(), id.to_owned());
        let result = spawn_blocking(move || knowledge.ingest(&job_id)).await;
        self.0.jobs.send_modify(|jobs| match result {
            Ok(result) => jobs.end(id, result),
            // A job that panics has ended: another one may run.
            Err(error) => jobs.fail(id, format!("The ingestion ended early: {error}.")),
        });
    }

    fn ingest(&self, job_id: &str) -> Result<IngestionReport, IngestError> {
        let mut on_document = |progress: retrieval::index::Progress<'_>| {
            let progress = Progress { done: progress.documents_done, total: progress.documents };
            self.0.jobs.send_modify(|jobs| jobs.set_progress(job_id, progress));
            if self.0.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.0.index.ingest(&self.0.folder, &mut on_document)
    }
}

/// Opens or creates an index, in a folder that only its owner can read.
pub fn open_index(folder: &Path, chunking: Chunking, vectors: Vectors) -> Result<Index, KnowledgeError> {
    private_file::create_directory(folder)?;
    Ok(Index::open(folder, chunking, vectors)?)
}

/// The chunking of the stack's data source.
fn chunking(setting: stack::Chunking) -> Result<Chunking, ChunkingError> {
    match setting {
        stack::Chunking::FixedSize { max_tokens, overlap_percentage } => {
            let number = |value| usize::try_from(value).unwrap_or(usize::MAX);
            Chunking::fixed_size(number(max_tokens), number(overlap_percentage))
        }
        stack::Chunking::None => Ok(Chunking::None),
    }
}

/// How much an index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSize {
    pub documents: usize,
    pub chunks: usize,
}

impl IndexSize {
    pub fn of(index: &Index) -> Self {
        Self { documents: index.documents().len(), chunks: index.chunk_count() }
    }
}
