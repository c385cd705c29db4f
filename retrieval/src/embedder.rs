//! The model that turns texts into vectors, provided by the caller.
use thiserror::Error;

/// Texts that one call of [`Embedder::embed`] gets at most.
pub const MAX_BATCH: usize = 32;
/// Bedrock's limit for the dimensions of a vector.
pub const MAX_DIMENSIONS: usize = 4_096;

/// A model for embeddings.
///
/// Calls block: an embedder over a network is called on a thread that may wait, and bounds the wait itself.
pub trait Embedder: Send + Sync {
    /// Identifies the model. Stored with the index: under another name every chunk is embedded again.
    fn name(&self) -> &str;

    /// A vector for each text, in order, all of one length. Their norm does not matter.
    fn embed(&self, texts: &[&str], kind: TextKind) -> Result<Vec<Vec<f32>>, EmbedError>;
}

/// Some models embed questions otherwise than passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    Query,
    Passage,
}

/// Why texts have no vectors. The sentence is for the user.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EmbedError {
    /// The model refuses these texts and would refuse them again. An ingestion goes on without the document.
    #[error("{0}")]
    Refused(String),
    /// The model cannot be reached or gives no usable vectors. An ingestion fails as a whole.
    #[error("{0}")]
    Unavailable(String),
}

/// Embeds texts and checks what comes back. Vectors have length 1, so that their dot product is the cosine.
pub(crate) fn embed_normalized(
    embedder: &dyn Embedder,
    texts: &[&str],
    kind: TextKind,
) -> Result<Vec<Vec<f32>>, EmbedError> {
    let mut vectors = Vec::with_capacity(texts.len());
    for batch in texts.chunks(MAX_BATCH) {
        vectors.extend(embedder.embed(batch, kind)?);
    }
    check(embedder.name(), texts.len(), &vectors).map_err(EmbedError::Unavailable)?;
    vectors.iter_mut().for_each(|vector| normalize(vector));
    Ok(vectors)
}

fn check(name: &str, expected: usize, vectors: &[Vec<f32>]) -> Result<(), String> {
    if vectors.len() != expected {
        return Err(format!("The embedder {name} gave {} vectors for {expected} texts.", vectors.len()));
    }
    let dimensions = vectors.first().map_or(1, Vec::len);
    if dimensions == 0 || dimensions > MAX_DIMENSIONS {
        return Err(format!("The embedder {name} gave vectors of {dimensions} dimensions."));
    }
    if vectors.iter().any(|vector| vector.len() != dimensions) {
        return Err(format!("The embedder {name} gave vectors of different lengths."));
    }
    if vectors.iter().flatten().any(|component| !component.is_finite()) {
        return Err(format!("The embedder {name} gave a vector with a component that is no number."));
    }
    Ok(())
}

/// Scales a vector to length 1. The zero vector stays as it is.
pub(crate) fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|component| *component = (f64::from(*component) / norm) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<Vec<f32>>);

    impl Embedder for Fixed {
        fn name(&self) -> &str {
            "fixed"
        }

        fn embed(&self, _texts: &[&str], _kind: TextKind) -> Result<Vec<Vec<f32>>, EmbedError> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn vectors_have_length_1() {
        let vectors = embed_normalized(&Fixed(vec![vec![3.0, 4.0], vec![0.0, 0.0]]), &["a", "b"], TextKind::Query);
        assert_eq!(vectors.unwrap(), [[0.6, 0.8], [0.0, 0.0]]);
    }

    #[test]
    fn unusable_vectors_are_refused() {
        let refused = [
            (vec![vec![1.0]], "The embedder fixed gave 1 vectors for 2 texts."),
            (vec![vec![], vec![]], "The embedder fixed gave vectors of 0 dimensions."),
            (vec![vec![1.0], vec![1.0, 2.0]], "The embedder fixed gave vectors of different lengths."),
            (vec![vec![1.0], vec![f32::NAN]], "The embedder fixed gave a vector with a component that is no number."),
        ];
        for (vectors, message) in refused {
            let error = embed_normalized(&Fixed(vectors), &["a", "b"], TextKind::Passage).unwrap_err();
            assert_eq!(error, EmbedError::Unavailable(message.into()));
        }
    }
}
