//! One state of the index in memory, as searches see it.
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use tantivy::{DocAddress, Searcher};

use super::{
    IndexError, lexical,
    store::{ChunkRecord, DocumentRecord, SharedStore, StoredChunk, StoredSettings, corrupt},
};
use crate::{
    attributes::{AttributeValue, Attributes},
    hashed_ngrams::{self, NgramFrequencies},
    search::SOURCE_URI_KEY,
    stop_words::content_words,
};

/// Documents, chunks and vectors of one commit. Texts stay on disk.
pub struct Snapshot {
    store: SharedStore,
    searcher: Searcher,
    pub settings: Option<StoredSettings>,
    /// Ordered by URI.
    pub documents: Vec<IndexedDocument>,
    /// Ordered by document and position.
    pub chunks: Vec<IndexedChunk>,
    rows: HashMap<DocAddress, usize>,
    vectors: Vec<f32>,
    frequencies: Option<NgramFrequencies>,
}

pub struct IndexedDocument {
    pub uri: String,
    pub record: DocumentRecord,
    /// The document's own, and its URI under the key that Bedrock gives it.
    pub attributes: Attributes,
    /// The document's rows in `chunks`.
    pub chunks: Range<usize>,
}

pub struct IndexedChunk {
    /// The chunk's row in `documents`.
    pub document: usize,
    pub ordinal: u32,
    pub range: Range<usize>,
    pub page: Option<u32>,
    address: DocAddress,
}

impl IndexedDocument {
    fn new(uri: String, record: DocumentRecord, first_row: usize) -> IndexedDocument {
        let mut attributes = record.attributes.clone();
        attributes.insert(SOURCE_URI_KEY.to_owned(), AttributeValue::String(uri.clone()));
        IndexedDocument { uri, record, attributes, chunks: first_row..first_row }
    }
}

impl Snapshot {
    pub fn load(store: SharedStore) -> Result<Snapshot, IndexError> {
        let searcher = store.searcher()?;
        let settings = store.settings()?;
        let mut snapshot = Snapshot {
            store,
            searcher,
            settings,
            documents: Vec::new(),
            chunks: Vec::new(),
            rows: HashMap::new(),
            vectors: Vec::new(),
            frequencies: None,
        };
        let texts = snapshot.load_chunks()?;
        if snapshot.settings.as_ref().is_some_and(|settings| settings.vectors == hashed_ngrams::NAME) {
            snapshot.hash_vectors(&texts);
        }
        Ok(snapshot)
    }

    /// Returns the texts of the chunks, by row.
    fn load_chunks(&mut self) -> Result<Vec<String>, IndexError> {
        // By URI and position: the order in the segments depends on when a document was changed.
        let mut stored: BTreeMap<(String, u32), (DocAddress, StoredChunk)> = BTreeMap::new();
        for (segment, reader) in (0..).zip(self.searcher.segment_readers()) {
            for document in reader.doc_ids_alive() {
                let address = DocAddress::new(segment, document);
                let chunk = self.store.chunk(&self.searcher, address)?;
                stored.insert((chunk.uri.clone(), chunk.record.ordinal), (address, chunk));
            }
        }
        let mut texts = Vec::with_capacity(stored.len());
        for (row, (address, chunk)) in stored.into_values().enumerate() {
            let ChunkRecord { ordinal, start, end, page, document } = chunk.record;
            if let Some(document) = document {
                self.documents.push(IndexedDocument::new(chunk.uri, document, row));
            }
            let Some(current) = self.documents.last_mut() else {
                return Err(corrupt("a chunk has no document"));
            };
            current.chunks.end = row + 1;
            let document = self.documents.len() - 1;
            self.chunks.push(IndexedChunk { document, ordinal, range: start..end, page, address });
            self.rows.insert(address, row);
            self.vectors.extend(chunk.vector.into_iter().flatten());
            texts.push(chunk.text);
        }
        Ok(texts)
    }

    fn hash_vectors(&mut self, texts: &[String]) {
        let frequencies = NgramFrequencies::count(texts.iter().map(String::as_str));
        self.vectors = texts.iter().flat_map(|text| frequencies.vector(text)).collect();
        self.frequencies = Some(frequencies);
    }

    pub fn document(&self, uri: &str) -> Option<&IndexedDocument> {
        let position = self.documents.binary_search_by(|document| document.uri.as_str().cmp(uri)).ok()?;
        self.documents.get(position)
    }

    pub fn text(&self, row: usize) -> Result<String, IndexError> {
        Ok(self.store.chunk(&self.searcher, self.chunks[row].address)?.text)
    }

    /// The stored vector of a chunk; empty in an index without vectors.
    pub fn vector(&self, row: usize) -> &[f32] {
        let dimensions = self.dimensions();
        self.vectors.get(row * dimensions..(row + 1) * dimensions).unwrap_or_default()
    }

    pub fn dimensions(&self) -> usize {
        self.settings.as_ref().map_or(0, |settings| settings.dimensions)
    }

    /// The vector of a question where vectors are hashed n-grams.
    pub fn hashed_vector(&self, question: &str) -> Option<Vec<f32>> {
        self.frequencies.as_ref().map(|frequencies| frequencies.vector(&content_words(question)))
    }

    /// The share of the question's terms that each chunk covers, by row.
    pub fn lexical_scores(&self, question: &str) -> Result<Vec<f32>, IndexError> {
        let (field, analyzer) = self.store.text_terms();
        let mut scores = vec![0.0; self.chunks.len()];
        for hit in lexical::term_scores(&self.searcher, field, analyzer, &content_words(question))? {
            if let Some(row) = self.rows.get(&hit.address) {
                scores[*row] = hit.score;
            }
        }
        Ok(scores)
    }

    /// The cosine of each chunk with a vector of length 1, by row.
    pub fn cosines(&self, vector: &[f32]) -> Vec<f32> {
        self.vectors.chunks_exact(vector.len().max(1)).map(|row| dot(row, vector)).collect()
    }
}

/// Summed in lanes, which the compiler turns into vector instructions.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (left_lanes, left_rest) = left.as_chunks::<LANES>();
    let (right_lanes, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (left, right) in left_lanes.iter().zip(right_lanes) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f32>() + rest
}
