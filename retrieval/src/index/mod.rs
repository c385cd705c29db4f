//! The index of a knowledge base: kept in a folder, changed by ingestions, read by searches.
mod ingestion;
mod lexical;
mod snapshot;
mod store;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tantivy::TantivyError;
use thiserror::Error;

use crate::{
    attributes::Attributes,
    chunking::Chunking,
    embedder::{EmbedError, Embedder},
    folder::FolderError,
};
pub use ingestion::{DocumentFailure, IngestionReport, IngestionStatistics, MAX_CHUNKS, Progress};
pub(crate) use snapshot::Snapshot;
use store::{SharedStore, Store};

/// A searchable index. Searches go on during an ingestion and see the state before it.
pub struct Index {
    pub(crate) vectors: Vectors,
    chunking: Chunking,
    store: SharedStore,
    snapshot: RwLock<Arc<Snapshot>>,
    ingestion: Mutex<()>,
}

/// Where vectors come from.
#[derive(Clone)]
pub enum Vectors {
    /// Hashed character n-grams: no model, no meaning, see [`crate::hashed_ngrams`].
    HashedNgrams,
    Embedded(Arc<dyn Embedder>),
}

#[derive(Debug, Error)]
pub enum IndexError {
    #[error("The index in {} cannot be opened ({reason}); delete the folder to build it again.", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("The index cannot be read or written: {0}.")]
    Store(TantivyError),
}

#[derive(Debug, Error)]
pub enum IngestError {
    #[error("An ingestion of this index is running.")]
    Busy,
    #[error("The ingestion was stopped.")]
    Stopped,
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("The index has documents of another model or chunking; the folder has to be ingested again first.")]
    OtherSettings,
    #[error(transparent)]
    Embedder(#[from] EmbedError),
    #[error(transparent)]
    Index(IndexError),
}

/// An indexed document.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentSummary {
    pub uri: String,
    pub chunks: usize,
    pub attributes: Attributes,
}

impl Index {
    /// Opens the index in a folder, or creates an empty one. No document is read: [`Index::ingest`] does
    /// that.
    ///
    /// The folder belongs to the index alone. Other settings than the stored ones take effect with the next
    /// ingestion, which makes all chunks again.
    pub fn open(path: &Path, chunking: Chunking, vectors: Vectors) -> Result<Index, IndexError> {
        let store = Arc::new(Store::open(path)?);
        let snapshot = RwLock::new(Arc::new(Snapshot::load(store.clone())?));
        Ok(Index { vectors, chunking, store, snapshot, ingestion: Mutex::new(()) })
    }

    /// The indexed documents, ordered by URI.
    pub fn documents(&self) -> Vec<DocumentSummary> {
        let snapshot = self.snapshot();
        let summary = |document: &snapshot::IndexedDocument| DocumentSummary {
            uri: document.uri.clone(),
            chunks: document.chunks.len(),
            attributes: document.record.attributes.clone(),
        };
        snapshot.documents.iter().map(summary).collect()
    }

    pub fn chunk_count(&self) -> usize {
        self.snapshot().chunks.len()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets searches see the newest commit.
    fn reload(&self) -> Result<(), IndexError> {
        let snapshot = Arc::new(Snapshot::load(self.store.clone())?);
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(())
    }
}

impl From<IndexError> for IngestError {
    fn from(error: IndexError) -> IngestError {
        match error {
            // Another process has the folder open for writing.
            IndexError::Store(TantivyError::LockFailure(..)) => IngestError::Busy,
            error => IngestError::Index(error),
        }
    }
}
