//! Searches: the best chunks for a question.
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    attributes::Attributes,
    embedder::{EmbedError, TextKind, embed_normalized},
    filter::Filter,
    index::{Index, IndexError, Snapshot, Vectors},
    scoring::{LEXICAL_WEIGHT_WITH_EMBEDDINGS, LEXICAL_WEIGHT_WITH_NGRAMS, fused_score, semantic_scores},
};

/// Bedrock's limit for `numberOfResults`.
pub const MAX_RESULTS: usize = 100;
/// A longer question is refused.
pub const MAX_QUESTION_BYTES: usize = 20_000;
/// Filters may name a document's URI by this key, as on Bedrock.
pub const SOURCE_URI_KEY: &str = "x-amz-bedrock-kb-source-uri";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Method {
    /// BM25 alone. Bedrock has no such search; evaluations compare with it.
    Lexical,
    /// Vectors alone.
    Semantic,
    /// Both.
    Hybrid,
}

#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pub text: &'a str,
    pub method: Method,
    /// The number of passages of a page.
    pub results: usize,
    pub filter: Option<&'a Filter>,
    /// The token of the page before, for the same question, method and filter.
    pub next_page: Option<&'a str>,
}

impl<'a> Query<'a> {
    /// A hybrid search for five passages, which is Bedrock's default.
    pub fn new(text: &'a str) -> Query<'a> {
        Query { text, method: Method::Hybrid, results: 5, filter: None, next_page: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SearchPage {
    /// Best first. Equal scores are in order of URI and position.
    pub passages: Vec<Passage>,
    /// `None` on the last page.
    pub next_page: Option<String>,
}

/// A chunk as found.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    pub chunk_id: String,
    pub uri: String,
    pub text: String,
    /// The chunk's bytes in the document's text.
    pub range: Range<usize>,
    pub page: Option<u32>,
    /// 0 to 1. Scores of one method and index can be compared between questions.
    pub score: f64,
    pub attributes: Attributes,
}

#[derive(Debug, Error)]
pub enum SearchError {
    #[error("The question is empty.")]
    EmptyQuestion,
    #[error("The question has more than {MAX_QUESTION_BYTES} bytes.")]
    QuestionTooLong,
    #[error("A page has 1 to {MAX_RESULTS} results, not {0}.")]
    Results(usize),
    #[error("The token for the next page belongs to another search.")]
    PageToken,
    #[error("The index has vectors of another model; documents have to be ingested again.")]
    OtherVectors,
    #[error(transparent)]
    Embedder(#[from] EmbedError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Index {
    /// Finds the best passages. A filter is applied first, so that it never shortens a page.
    pub fn search(&self, query: &Query<'_>) -> Result<SearchPage, SearchError> {
        check_bounds(query)?;
        let skipped = query.next_page.map_or(Ok(0), |token| parse_page_token(token, query))?;
        let snapshot = self.snapshot();
        let scores = self.scores(&snapshot, query)?;
        let ranked = rank(&snapshot, query, &scores);
        let end = ranked.len().min(skipped + query.results);
        let rows = ranked.get(skipped..end).unwrap_or_default();
        Ok(SearchPage {
            passages: rows.iter().map(|row| passage(&snapshot, *row, scores[*row])).collect::<Result<_, _>>()?,
            next_page: (end < ranked.len()).then(|| page_token(end, query)),
        })
    }

    /// The score of every chunk, by row.
    fn scores(&self, snapshot: &Snapshot, query: &Query<'_>) -> Result<Vec<f32>, SearchError> {
        if snapshot.chunks.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match query.method {
            Method::Lexical => snapshot.lexical_scores(query.text)?,
            Method::Semantic => self.semantic_scores(snapshot, query.text)?,
            Method::Hybrid => {
                let lexical = snapshot.lexical_scores(query.text)?;
                let semantic = self.semantic_scores(snapshot, query.text)?;
                let weight = self.lexical_weight();
                let fused = |(lexical, semantic)| fused_score(weight, lexical, semantic);
                lexical.into_iter().zip(semantic).map(fused).collect()
            }
        })
    }

    fn lexical_weight(&self) -> f32 {
        match &self.vectors {
            Vectors::HashedNgrams => LEXICAL_WEIGHT_WITH_NGRAMS,
            Vectors::Embedded(_) => LEXICAL_WEIGHT_WITH_EMBEDDINGS,
        }
    }

    fn semantic_scores(&self, snapshot: &Snapshot, question: &str) -> Result<Vec<f32>, SearchError> {
        let vector = self.question_vector(snapshot, question)?;
        if vector.len() != snapshot.dimensions() {
            return Err(SearchError::OtherVectors);
        }
        Ok(semantic_scores(&snapshot.cosines(&vector)))
    }

    fn question_vector(&self, snapshot: &Snapshot, question: &str) -> Result<Vec<f32>, SearchError> {
        match &self.vectors {
            Vectors::HashedNgrams => snapshot.hashed_vector(question).ok_or(SearchError::OtherVectors),
            Vectors::Embedded(embedder) => {
                if snapshot.settings.as_ref().is_none_or(|settings| settings.vectors != embedder.name()) {
                    return Err(SearchError::OtherVectors);
                }
                let vectors = embed_normalized(embedder.as_ref(), &[question], TextKind::Query)?;
                Ok(vectors.into_iter().next().unwrap_or_default())
            }
        }
    }
}

fn check_bounds(query: &Query<'_>) -> Result<(), SearchError> {
    if query.text.trim().is_empty() {
        return Err(SearchError::EmptyQuestion);
    }
    if query.text.len() > MAX_QUESTION_BYTES {
        return Err(SearchError::QuestionTooLong);
    }
    if query.results == 0 || query.results > MAX_RESULTS {
        return Err(SearchError::Results(query.results));
    }
    Ok(())
}

/// The rows that the search may return, best first.
fn rank(snapshot: &Snapshot, query: &Query<'_>, scores: &[f32]) -> Vec<usize> {
    let is_allowed: Vec<bool> = snapshot
        .documents
        .iter()
        .map(|document| query.filter.is_none_or(|filter| filter.matches(&document.attributes)))
        .collect();
    let is_hit = |row: &usize| {
        // Without a common term there is nothing to rank by.
        let has_score = query.method != Method::Lexical || scores[*row] > 0.0;
        has_score && is_allowed[snapshot.chunks[*row].document]
    };
    let mut rows: Vec<usize> = (0..scores.len()).filter(is_hit).collect();
    // The sort is stable: rows are in order of URI and position.
    rows.sort_by(|left, right| scores[*right].total_cmp(&scores[*left]));
    rows
}

fn passage(snapshot: &Snapshot, row: usize, score: f32) -> Result<Passage, IndexError> {
    let chunk = &snapshot.chunks[row];
    let document = &snapshot.documents[chunk.document];
    Ok(Passage {
        chunk_id: chunk_id(&document.uri, &document.record.digest, chunk.ordinal),
        uri: document.uri.clone(),
        text: snapshot.text(row)?,
        range: chunk.range.clone(),
        page: chunk.page,
        score: f64::from(score).clamp(0.0, 1.0),
        attributes: document.attributes.clone(),
    })
}

/// Stays the same while the document does.
fn chunk_id(uri: &str, digest: &str, ordinal: u32) -> String {
    short_digest(&[uri, digest, &ordinal.to_string()])
}

/// A token holds the number of passages before the page, and a digest of the search it belongs to.
fn page_token(skipped: usize, query: &Query<'_>) -> String {
    format!("{skipped:x}-{}", search_digest(query))
}

fn parse_page_token(token: &str, query: &Query<'_>) -> Result<usize, SearchError> {
    let (skipped, digest) = token.split_once('-').ok_or(SearchError::PageToken)?;
    let skipped = u32::from_str_radix(skipped, 16).map_err(|_| SearchError::PageToken)?;
    if digest == search_digest(query) { Ok(skipped as usize) } else { Err(SearchError::PageToken) }
}

fn search_digest(query: &Query<'_>) -> String {
    short_digest(&[query.text, &format!("{:?}", query.method), &format!("{:?}", query.filter)])
}

fn short_digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}
