//! Brings the index up to date with its documents, as an ingestion job of Bedrock does.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::ControlFlow,
    sync::{Arc, MutexGuard, TryLockError},
};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    Index, IngestError, Vectors,
    snapshot::{IndexedDocument, Snapshot},
    store::{ChunkRecord, DocumentRecord, StoredChunk, StoredSettings, Writer},
};
use crate::{
    chunking::Chunk,
    document::{Document, MAX_DOCUMENT_BYTES},
    embedder::{EmbedError, TextKind, embed_normalized},
    extract::{ExtractError, Text, extract},
    folder::{FileError, Folder, MAX_URI_BYTES},
    hashed_ngrams,
};

/// Every search compares all vectors, so that the number of chunks is bounded. A document beyond it fails.
pub const MAX_CHUNKS: usize = 50_000;

/// Counters of Bedrock's `IngestionJobStatistics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IngestionStatistics {
    pub documents_scanned: usize,
    pub metadata_documents_scanned: usize,
    pub new_documents_indexed: usize,
    pub modified_documents_indexed: usize,
    /// Documents whose attributes changed and whose content did not.
    pub metadata_documents_modified: usize,
    pub documents_deleted: usize,
    pub documents_failed: usize,
    /// Files of a format that is not supported.
    pub documents_skipped: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestionReport {
    pub statistics: IngestionStatistics,
    pub failures: Vec<DocumentFailure>,
}

/// A document that is not in the index, and why, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFailure {
    pub uri: String,
    pub reason: String,
}

/// Where an ingestion is, told before each document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    pub uri: &'a str,
    pub documents_done: usize,
    pub documents: usize,
}

impl Index {
    /// Makes the index hold what the folder holds.
    ///
    /// Documents are compared by the digest of their content, so that only new and modified ones cost work.
    /// A document that fails is reported, and is not in the index even if an earlier version was.
    /// `progress` may stop the ingestion, which then changes nothing.
    pub fn ingest(
        &self,
        folder: &Folder,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<IngestionReport, IngestError> {
        let mut ingestion = Ingestion::begin(self, Index::current_settings)?;
        let listing = folder.list()?;
        for (done, file) in listing.files.iter().enumerate() {
            let step = Progress { uri: &file.uri, documents_done: done, documents: listing.files.len() };
            if progress(step).is_break() {
                return Err(IngestError::Stopped);
            }
            ingestion.report.statistics.metadata_documents_scanned += usize::from(file.has_sidecar());
            ingestion.put(&file.uri, file.read())?;
        }
        for (path, error) in listing.failures {
            ingestion.put(&path, Err(error))?;
        }
        ingestion.report.statistics.documents_skipped = listing.unsupported.len();
        let present: BTreeSet<&str> = listing.files.iter().map(|file| file.uri.as_str()).collect();
        ingestion.delete_where(|uri| !present.contains(uri));
        ingestion.finish()
    }

    /// Adds documents or replaces them. The next [`Index::ingest`] deletes those that its folder does not
    /// hold.
    ///
    /// Fails where the index has documents of other settings, which [`Index::ingest`] has to make again.
    pub fn put_documents(&self, documents: Vec<Document>) -> Result<IngestionReport, IngestError> {
        let mut ingestion = Ingestion::begin(self, Index::unchanged_settings)?;
        let documents: BTreeMap<String, Document> =
            documents.into_iter().map(|document| (document.uri.clone(), document)).collect();
        for (uri, document) in documents {
            ingestion.put(&uri, Ok(document))?;
        }
        ingestion.finish()
    }

    /// Deletes documents. URIs that the index does not know are ignored.
    pub fn delete_documents(&self, uris: &[&str]) -> Result<IngestionReport, IngestError> {
        let mut ingestion = Ingestion::begin(self, Index::stored_settings)?;
        ingestion.delete_where(|uri| uris.contains(&uri));
        ingestion.finish()
    }

    fn current_settings(&self, _before: &Snapshot) -> Result<StoredSettings, IngestError> {
        let (vectors, dimensions) = match &self.vectors {
            Vectors::HashedNgrams => (hashed_ngrams::NAME.to_owned(), hashed_ngrams::DIMENSIONS),
            Vectors::Embedded(embedder) => {
                // A model may change behind its name. One vector shows its dimensions, and that it can be
                // reached.
                let probe = embed_normalized(embedder.as_ref(), &["dimensions"], TextKind::Passage)?;
                (embedder.name().to_owned(), probe.first().map_or(0, Vec::len))
            }
        };
        Ok(StoredSettings { vectors, dimensions, chunking: self.chunking })
    }

    fn unchanged_settings(&self, before: &Snapshot) -> Result<StoredSettings, IngestError> {
        let settings = self.current_settings(before)?;
        if before.documents.is_empty() || before.settings.as_ref() == Some(&settings) {
            Ok(settings)
        } else {
            Err(IngestError::OtherSettings)
        }
    }

    /// A deletion needs no vectors, and so no embedder.
    fn stored_settings(&self, before: &Snapshot) -> Result<StoredSettings, IngestError> {
        before.settings.clone().map_or_else(|| self.current_settings(before), Ok)
    }
}

/// Changes of the index that are not visible yet.
struct Ingestion<'a> {
    index: &'a Index,
    _one_at_a_time: MutexGuard<'a, ()>,
    before: Arc<Snapshot>,
    settings: StoredSettings,
    writer: Writer<'a>,
    /// Chunks of each document, with the changes so far.
    chunk_counts: HashMap<String, usize>,
    chunks: usize,
    is_changed: bool,
    report: IngestionReport,
}

impl<'a> Ingestion<'a> {
    fn begin(
        index: &'a Index,
        settings: impl Fn(&Index, &Snapshot) -> Result<StoredSettings, IngestError>,
    ) -> Result<Ingestion<'a>, IngestError> {
        let guard = match index.ingestion.try_lock() {
            Ok(guard) => guard,
            // A panic left no change behind: those are made by the commit.
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(IngestError::Busy),
        };
        let before = index.snapshot();
        let settings = settings(index, &before)?;
        let chunk_count = |document: &IndexedDocument| (document.uri.clone(), document.chunks.len());
        Ok(Ingestion {
            index,
            _one_at_a_time: guard,
            is_changed: before.settings.as_ref() != Some(&settings) || index.store.is_fragmented()?,
            chunk_counts: before.documents.iter().map(chunk_count).collect(),
            chunks: before.chunks.len(),
            settings,
            writer: index.store.writer()?,
            before,
            report: IngestionReport::default(),
        })
    }

    /// Takes one document up, unless the index has it in this version.
    fn put(&mut self, uri: &str, document: Result<Document, FileError>) -> Result<(), IngestError> {
        self.report.statistics.documents_scanned += 1;
        let document = match document {
            Ok(document) => document,
            Err(error) => return self.fail(uri, error.to_string()),
        };
        if let Some(refusal) = bounds_refusal(&document) {
            return self.fail(uri, refusal);
        }
        let record = DocumentRecord { digest: digest(&document), attributes: document.attributes.clone() };
        let before = self.before.clone();
        let existing = before.document(uri);
        let has_same_settings = before.settings.as_ref() == Some(&self.settings);
        if has_same_settings && existing.is_some_and(|existing| existing.record == record) {
            return Ok(());
        }
        let (text, chunks) = match self.cut(&document) {
            Ok(cut) => cut,
            Err(refusal) => return self.fail(uri, refusal),
        };
        let vectors = match self.vectors(&text, &chunks, existing) {
            Ok(vectors) => vectors,
            Err(EmbedError::Refused(refusal)) => return self.fail(uri, refusal),
            Err(error) => return Err(IngestError::Embedder(error)),
        };
        self.count(existing, &record, has_same_settings);
        self.remove(uri);
        self.chunks += chunks.len();
        self.chunk_counts.insert(uri.to_owned(), chunks.len());
        self.write(uri, record, &text, chunks, vectors)
    }

    fn cut(&self, document: &Document) -> Result<(Text, Vec<Chunk>), String> {
        let text = extract(document).map_err(|error| error.to_string())?;
        let chunks = self.settings.chunking.split(&text, document.format);
        if chunks.is_empty() {
            return Err(ExtractError::Empty.to_string());
        }
        let others = self.chunks - self.chunk_counts.get(&document.uri).copied().unwrap_or_default();
        if others + chunks.len() > MAX_CHUNKS {
            return Err(format!("The index has no room for the document: it holds at most {MAX_CHUNKS} chunks."));
        }
        Ok((text, chunks))
    }

    /// The vectors of the chunks, none where vectors are hashed. A chunk whose text the document had before
    /// keeps its vector.
    fn vectors(
        &self,
        text: &Text,
        chunks: &[Chunk],
        existing: Option<&IndexedDocument>,
    ) -> Result<Vec<Option<Vec<f32>>>, EmbedError> {
        let Vectors::Embedded(embedder) = &self.index.vectors else {
            return Ok(vec![None; chunks.len()]);
        };
        let known = self.known_vectors(existing);
        let texts: Vec<&str> = chunks.iter().map(|chunk| &text.content[chunk.range.clone()]).collect();
        let unknown: Vec<&str> = texts.iter().copied().filter(|text| !known.contains_key(*text)).collect();
        let embedded = embed_normalized(embedder.as_ref(), &unknown, TextKind::Passage)?;
        if embedded.iter().any(|vector| vector.len() != self.settings.dimensions) {
            let message = format!("The embedder {} changed its dimensions.", embedder.name());
            return Err(EmbedError::Unavailable(message));
        }
        let mut embedded = embedded.into_iter();
        Ok(texts.into_iter().map(|text| known.get(text).cloned().or_else(|| embedded.next())).collect())
    }

    fn known_vectors(&self, existing: Option<&IndexedDocument>) -> HashMap<String, Vec<f32>> {
        let is_same_model = self.before.settings.as_ref().is_some_and(|settings| {
            settings.vectors == self.settings.vectors && settings.dimensions == self.settings.dimensions
        });
        let rows = existing.filter(|_| is_same_model).map_or(0..0, |existing| existing.chunks.clone());
        // A text that cannot be read is embedded again.
        rows.filter_map(|row| Some((self.before.text(row).ok()?, self.before.vector(row).to_vec()))).collect()
    }

    fn count(&mut self, existing: Option<&IndexedDocument>, record: &DocumentRecord, has_same_settings: bool) {
        let statistics = &mut self.report.statistics;
        match existing {
            None => statistics.new_documents_indexed += 1,
            Some(existing) if has_same_settings && existing.record.digest == record.digest => {
                statistics.metadata_documents_modified += 1;
            }
            Some(_) => statistics.modified_documents_indexed += 1,
        }
    }

    fn write(
        &mut self,
        uri: &str,
        record: DocumentRecord,
        text: &Text,
        chunks: Vec<Chunk>,
        vectors: Vec<Option<Vec<f32>>>,
    ) -> Result<(), IngestError> {
        let mut record = Some(record);
        for (ordinal, (Chunk { range, page }, vector)) in (0..).zip(chunks.into_iter().zip(vectors)) {
            let document = record.take();
            let record = ChunkRecord { ordinal, start: range.start, end: range.end, page, document };
            let text = text.content[range].to_owned();
            self.writer.add(&StoredChunk { uri: uri.to_owned(), text, vector, record })?;
        }
        self.is_changed = true;
        Ok(())
    }

    fn fail(&mut self, uri: &str, reason: String) -> Result<(), IngestError> {
        self.remove(uri);
        self.report.statistics.documents_failed += 1;
        self.report.failures.push(DocumentFailure { uri: uri.to_owned(), reason });
        Ok(())
    }

    /// Removes a document's chunks, if there are any.
    fn remove(&mut self, uri: &str) {
        if let Some(chunks) = self.chunk_counts.remove(uri) {
            self.chunks -= chunks;
            self.writer.delete(uri);
            self.is_changed = true;
        }
    }

    fn delete_where(&mut self, is_deleted: impl Fn(&str) -> bool) {
        let before = self.before.clone();
        for document in before.documents.iter().filter(|document| is_deleted(&document.uri)) {
            self.remove(&document.uri);
            self.report.statistics.documents_deleted += 1;
        }
    }

    fn finish(self) -> Result<IngestionReport, IngestError> {
        if self.is_changed {
            self.writer.commit(&self.settings)?;
            self.index.reload()?;
        }
        Ok(self.report)
    }
}

fn bounds_refusal(document: &Document) -> Option<String> {
    if document.content.len() > MAX_DOCUMENT_BYTES {
        return Some(FileError::TooLong.to_string());
    }
    (document.uri.len() > MAX_URI_BYTES).then(|| FileError::PathTooLong.to_string())
}

/// Of the content and its format: the same bytes have another text under another extension.
fn digest(document: &Document) -> String {
    let mut digest = Sha256::new();
    digest.update([document.format as u8]);
    digest.update(&document.content);
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
