//! Scores that can be compared between questions, and their fusion.

/// The share of the lexical score in a score fused with hashed n-grams.
///
/// Both weights were chosen on `tests/knowledge/questions.jsonl`: of 0.0, 0.1 … 1.0 the largest with which
/// the fused score is at or above the better of its parts in recall@5 and mean reciprocal rank, and for
/// embeddings also in telling questions without an answer. `tests/knowledge/held-out.jsonl` was written
/// after the choice.
pub const LEXICAL_WEIGHT_WITH_NGRAMS: f32 = 0.5;
/// The share of the lexical score in a score fused with a model's embeddings (measured with
/// multilingual-e5-small). Embeddings find more than words do, so that words have less weight.
pub const LEXICAL_WEIGHT_WITH_EMBEDDINGS: f32 = 0.3;

/// Scores of one question from cosines with all chunks.
///
/// Some models give any two texts a cosine of 0.8, others of 0.1, and a vague question is close to
/// everything. So the score is how far a chunk stands out: 0 for the mean of all chunks, 1 for the question
/// itself. One chunk of cosine 0 is added to the mean, so that an index with a single chunk has a score as
/// well.
pub fn semantic_scores(cosines: &[f32]) -> Vec<f32> {
    let sum: f64 = cosines.iter().map(|cosine| f64::from(*cosine)).sum();
    let mean = sum / (cosines.len() as f64 + 1.0);
    cosines.iter().map(|cosine| ((f64::from(*cosine) - mean) / (1.0 - mean)) as f32).collect()
}

/// The fused score of a chunk: a weighted mean, and not a fused rank, which could not tell whether there is
/// an answer at all.
pub fn fused_score(lexical_weight: f32, lexical: f32, semantic: f32) -> f32 {
    lexical_weight * lexical + (1.0 - lexical_weight) * semantic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outstanding_chunk_has_the_same_score_whatever_the_model_gives_to_others() {
        let narrow = semantic_scores(&[vec![0.8; 999], vec![0.9]].concat());
        let wide = semantic_scores(&[vec![0.0; 999], vec![0.5]].concat());
        assert!((narrow[999] - 0.5).abs() < 0.01 && (wide[999] - 0.5).abs() < 0.01, "{} {}", narrow[999], wide[999]);
        assert!(narrow[0].abs() < 0.01 && wide[0].abs() < 0.01);
    }

    #[test]
    fn scores_exist_for_few_chunks_and_equal_vectors() {
        assert!(semantic_scores(&[]).is_empty());
        assert!(semantic_scores(&[0.9])[0] > 0.5);
        assert!(semantic_scores(&[1.0, 1.0]).iter().all(|score| (*score - 1.0).abs() < 1e-6));
    }

    #[test]
    fn fused_score_lies_between_its_parts() {
        let fused = fused_score(LEXICAL_WEIGHT_WITH_EMBEDDINGS, 0.2, 0.8);
        assert!(fused > 0.2 && fused < 0.8);
        assert_eq!(fused_score(LEXICAL_WEIGHT_WITH_EMBEDDINGS, 1.0, 1.0), 1.0);
    }
}
