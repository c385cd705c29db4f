//! The index on disk: one tantivy index, which a commit replaces as a whole.
//!
//! Chunks with their text and vector, the documents they belong to, and the settings they were made with
//! are all part of the commit. A process that is killed leaves either the index before the commit or the
//! one after.
use std::{
    fmt::Display,
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tantivy::{
    DocAddress, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, TantivyError, Term,
    directory::MmapDirectory,
    indexer::NoMergePolicy,
    schema::{Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value},
    tokenizer::{LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer},
};

use super::IndexError;
use crate::{attributes::Attributes, chunking::Chunking};

/// The name of the tokenizer in the schema. Another rule needs another name: a stored index keeps its terms.
const TOKENIZER: &str = "letters-and-digits-1";
/// Longer terms are not searched.
const MAX_TERM_BYTES: usize = 64;
/// Texts are flushed to disk when they exceed this.
const WRITER_BYTES: usize = 50_000_000;
/// How long a writer waits for the folder's lock. A process that this one starts has the lock's file open
/// until it executes its program, also after the writer here has ended.
const LOCK_WAIT: Duration = Duration::from_millis(500);
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

pub struct Store {
    index: tantivy::Index,
    reader: IndexReader,
    fields: Fields,
}

#[derive(Clone, Copy)]
struct Fields {
    uri: Field,
    text: Field,
    record: Field,
    vector: Field,
}

/// What the stored chunks were made with. Chunks of other settings are made again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSettings {
    /// The embedder's name, or the method's.
    pub vectors: String,
    pub dimensions: usize,
    pub chunking: Chunking,
}

/// One chunk as it is stored.
pub struct StoredChunk {
    pub uri: String,
    pub text: String,
    /// Of length 1. `None` where the vector is computed from the texts of all chunks.
    pub vector: Option<Vec<f32>>,
    pub record: ChunkRecord,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChunkRecord {
    pub ordinal: u32,
    pub start: usize,
    pub end: usize,
    pub page: Option<u32>,
    /// The chunk's document, stored with its first chunk.
    pub document: Option<DocumentRecord>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// SHA-256 of the content in hexadecimal.
    pub digest: String,
    pub attributes: Attributes,
}

impl Store {
    pub fn open(path: &Path) -> Result<Store, IndexError> {
        let unreadable = |reason: String| IndexError::Unreadable { path: path.to_owned(), reason };
        fs::create_dir_all(path).map_err(|error| unreadable(error.to_string()))?;
        let directory = MmapDirectory::open(path).map_err(|error| unreadable(error.to_string()))?;
        let (schema, fields) = schema();
        let index = tantivy::Index::open_or_create(directory, schema).map_err(|error| unreadable(error.to_string()))?;
        index.tokenizers().register(TOKENIZER, analyzer());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Store { index, reader, fields })
    }

    /// `None` before the first commit.
    pub fn settings(&self) -> Result<Option<StoredSettings>, IndexError> {
        let payload = self.index.load_metas()?.payload;
        payload.map(|payload| serde_json::from_str(&payload).map_err(corrupt)).transpose()
    }

    /// The chunks of the newest commit.
    pub fn searcher(&self) -> Result<Searcher, IndexError> {
        self.reader.reload()?;
        Ok(self.reader.searcher())
    }

    pub fn chunk(&self, searcher: &Searcher, address: DocAddress) -> Result<StoredChunk, IndexError> {
        let document: TantivyDocument = searcher.doc(address)?;
        let text = |field| document.get_first(field).and_then(|value| value.as_str());
        let bytes = |field| document.get_first(field).and_then(|value| value.as_bytes());
        let record = bytes(self.fields.record).unwrap_or_default();
        Ok(StoredChunk {
            uri: text(self.fields.uri).unwrap_or_default().to_owned(),
            text: text(self.fields.text).unwrap_or_default().to_owned(),
            vector: bytes(self.fields.vector).map(vector_from_bytes),
            record: serde_json::from_slice(record).map_err(corrupt)?,
        })
    }

    /// The field and the rule that turns a text into its terms.
    pub fn text_terms(&self) -> (Field, TextAnalyzer) {
        (self.fields.text, analyzer())
    }

    /// Whether a commit was killed before its segments were merged.
    pub fn is_fragmented(&self) -> Result<bool, IndexError> {
        let segments = self.index.searchable_segment_metas()?;
        Ok(segments.len() > 1 || segments.iter().any(|segment| segment.has_deletes()))
    }

    /// Begins changes. Nothing is visible, or kept after a crash, before [`Writer::commit`].
    pub fn writer(&self) -> Result<Writer<'_>, IndexError> {
        let writer = self.locked_writer()?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        // Files of a commit that was killed have the names that the next commit uses.
        writer.garbage_collect_files().wait()?;
        Ok(Writer { store: self, writer })
    }

    /// Fails with `LockFailure` if another writer has the folder for `LOCK_WAIT`.
    fn locked_writer(&self) -> Result<IndexWriter, TantivyError> {
        let end = Instant::now() + LOCK_WAIT;
        loop {
            // One thread: the order of chunks, and with it the order of equal scores, is that of the
            // documents.
            match self.index.writer_with_num_threads(1, WRITER_BYTES) {
                Err(TantivyError::LockFailure(..)) if Instant::now() < end => thread::sleep(LOCK_INTERVAL),
                result => return result,
            }
        }
    }
}

pub struct Writer<'a> {
    store: &'a Store,
    writer: IndexWriter,
}

impl Writer<'_> {
    pub fn delete(&self, uri: &str) {
        self.writer.delete_term(Term::from_field_text(self.store.fields.uri, uri));
    }

    pub fn add(&self, chunk: &StoredChunk) -> Result<(), IndexError> {
        let fields = self.store.fields;
        let record = serde_json::to_vec(&chunk.record).map_err(corrupt)?;
        let mut document = TantivyDocument::new();
        document.add_text(fields.uri, &chunk.uri);
        document.add_text(fields.text, &chunk.text);
        document.add_bytes(fields.record, &record);
        if let Some(vector) = &chunk.vector {
            document.add_bytes(fields.vector, &vector_to_bytes(vector));
        }
        self.writer.add_document(document)?;
        Ok(())
    }

    pub fn commit(mut self, settings: &StoredSettings) -> Result<(), IndexError> {
        let payload = serde_json::to_string(settings).map_err(corrupt)?;
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        self.merge()?;
        self.writer.wait_merging_threads()?;
        Ok(())
    }

    /// Leaves one segment without deleted chunks: those would count in the statistics of BM25, and the same
    /// documents would have other scores after another history.
    fn merge(&mut self) -> Result<(), IndexError> {
        if self.store.is_fragmented()? {
            let segments = self.store.index.searchable_segment_ids()?;
            self.writer.merge(&segments).wait()?;
        }
        Ok(())
    }
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::WithFreqs)
        .set_fieldnorms(true);
    let fields = Fields {
        uri: schema.add_text_field("uri", STRING | STORED),
        text: schema.add_text_field("text", TextOptions::default().set_indexing_options(indexing) | STORED),
        record: schema.add_bytes_field("record", STORED),
        vector: schema.add_bytes_field("vector", STORED),
    };
    (schema.build(), fields)
}

fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_TERM_BYTES))
        .filter(LowerCaser)
        .build()
}

fn vector_to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|component| component.to_le_bytes()).collect()
}

fn vector_from_bytes(bytes: &[u8]) -> Vec<f32> {
    let (components, _) = bytes.as_chunks::<4>();
    components.iter().map(|component| f32::from_le_bytes(*component)).collect()
}

pub fn corrupt(reason: impl Display) -> IndexError {
    IndexError::Store(TantivyError::InternalError(reason.to_string()))
}

impl From<TantivyError> for IndexError {
    fn from(error: TantivyError) -> IndexError {
        IndexError::Store(error)
    }
}

/// A store that several snapshots read.
pub type SharedStore = Arc<Store>;
