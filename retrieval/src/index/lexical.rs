//! Scores by words: BM25, as a share of what the question's terms could score.
use std::collections::BTreeSet;

use tantivy::{
    DocAddress, DocId, Score, Searcher, SegmentOrdinal, SegmentReader, Term,
    collector::{Collector, SegmentCollector},
    query::{BooleanQuery, Occur, Query, TermQuery},
    schema::{Field, IndexRecordOption},
    tokenizer::TextAnalyzer,
};

use super::IndexError;

/// Further distinct terms of a question are not searched.
const MAX_TERMS: usize = 1_024;
/// tantivy's parameter k1. A term's weight is at most idf × (k1 + 1).
const K1: f32 = 1.2;

pub struct TermScore {
    pub address: DocAddress,
    /// 0 to 1.
    pub score: f32,
}

/// The chunks that contain a term of the question.
///
/// A BM25 score by itself grows with the number of terms and with their rarity. Divided by the largest sum
/// that the question's terms could reach, it says how much of the question a chunk covers, and scores of
/// two questions can be compared. Terms that no chunk has count in the divisor: their absence is what tells
/// a question without an answer.
pub fn term_scores(
    searcher: &Searcher,
    field: Field,
    analyzer: TextAnalyzer,
    question: &str,
) -> Result<Vec<TermScore>, IndexError> {
    let mut largest_sum = 0.0;
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    for term in distinct_terms(analyzer, question) {
        let term = Term::from_field_text(field, &term);
        largest_sum += inverse_frequency(searcher.doc_freq(&term)?, searcher.num_docs()) * (K1 + 1.0);
        clauses.push((Occur::Should, Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))));
    }
    if clauses.is_empty() {
        return Ok(Vec::new());
    }
    let scores = searcher.search(&BooleanQuery::new(clauses), &AllScores)?;
    let normalized = |(address, score): (DocAddress, Score)| TermScore { address, score: score / largest_sum };
    Ok(scores.into_iter().map(normalized).collect())
}

fn distinct_terms(mut analyzer: TextAnalyzer, question: &str) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    analyzer.token_stream(question).process(&mut |token| {
        if terms.len() < MAX_TERMS {
            terms.insert(token.text.clone());
        }
    });
    terms
}

/// The idf of tantivy's BM25.
fn inverse_frequency(chunks_with_term: u64, chunks: u64) -> f32 {
    let absent = chunks.saturating_sub(chunks_with_term) as f32;
    (1.0 + (absent + 0.5) / (chunks_with_term as f32 + 0.5)).ln()
}

/// Collects every hit: the fusion needs the scores of all chunks, not those of the best.
struct AllScores;

struct SegmentScores {
    segment: SegmentOrdinal,
    scores: Vec<(DocAddress, Score)>,
}

impl Collector for AllScores {
    type Fruit = Vec<(DocAddress, Score)>;
    type Child = SegmentScores;

    fn for_segment(&self, segment: SegmentOrdinal, _reader: &SegmentReader) -> tantivy::Result<SegmentScores> {
        Ok(SegmentScores { segment, scores: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        Ok(segments.concat())
    }
}

impl SegmentCollector for SegmentScores {
    type Fruit = Vec<(DocAddress, Score)>;

    fn collect(&mut self, document: DocId, score: Score) {
        self.scores.push((DocAddress::new(self.segment, document), score));
    }

    fn harvest(self) -> Self::Fruit {
        self.scores
    }
}
