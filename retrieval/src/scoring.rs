//! Scores that can be compared between questions, and their fusion.

/// The share of the lexical score in the fused one.
///
/// Chosen on the odd-numbered questions of `tests/knowledge/questions.jsonl`: of 0.0, 0.1 … 1.0 it has the
/// largest sum of recall@5 and mean reciprocal rank, over hashed n-grams and the embeddings of
/// multilingual-e5-small.
pub const LEXICAL_WEIGHT: f32 = 0.5;

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
pub fn fused_score(lexical: f32, semantic: f32) -> f32 {
    LEXICAL_WEIGHT * lexical + (1.0 - LEXICAL_WEIGHT) * semantic
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
        let fused = fused_score(0.2, 0.8);
        assert!(fused > 0.2 && fused < 0.8);
        assert_eq!(fused_score(1.0, 1.0), 1.0);
    }
}
