//! Vectors without a model: hashed character n-grams.
//!
//! A text's n-grams are weighted by how rare they are among the chunks (idf) and added up, each with the sign
//! and in the dimension that its hash gives it. Such vectors tolerate typos, inflection and compounds. They
//! compare spelling: a synonym or a translation is another text to them.
use std::hash::Hasher;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::embedder::normalize;

pub const DIMENSIONS: usize = 1_024;
/// Stored with the index. A change of the method changes the version, so that old vectors are not used.
pub const NAME: &str = "hashed-ngrams-1";

/// Lengths of n-grams, borders of the term included.
const LENGTHS: std::ops::RangeInclusive<usize> = 3..=5;
const BORDER: char = ' ';
/// Only the beginning of a longer chunk is in its vector.
const MAX_CHARACTERS: usize = 100_000;
/// Frequencies are counted by this many bits of the hash: few of the n-grams of a large index share a
/// counter.
const COUNTER_BITS: u32 = 20;

/// In how many chunks each n-gram occurs.
pub struct NgramFrequencies {
    chunks: u32,
    counters: Vec<u32>,
}

impl NgramFrequencies {
    pub fn count<'a>(texts: impl Iterator<Item = &'a str>) -> NgramFrequencies {
        let mut frequencies = NgramFrequencies { chunks: 0, counters: vec![0; 1 << COUNTER_BITS] };
        for text in texts {
            frequencies.chunks += 1;
            for (hash, _) in hashed_ngrams(text) {
                frequencies.counters[counter(hash)] += 1;
            }
        }
        frequencies
    }

    /// The vector of a text, of length 1; the zero vector for a text without letters and digits.
    pub fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; DIMENSIONS];
        for (hash, occurrences) in hashed_ngrams(text) {
            let weight = (1.0 + (occurrences as f32).ln()) * self.inverse_frequency(hash);
            let sign = if hash & 1 == 0 { 1.0 } else { -1.0 };
            vector[dimension(hash)] += sign * weight;
        }
        normalize(&mut vector);
        vector
    }

    fn inverse_frequency(&self, hash: u32) -> f32 {
        let frequency = self.counters[counter(hash)] as f32;
        ((self.chunks as f32 + 1.0) / (frequency + 0.5)).ln().max(0.0)
    }
}

/// The counter and the dimension use different bits of the hash, and the sign one that neither uses.
fn counter(hash: u32) -> usize {
    (hash >> (u32::BITS - COUNTER_BITS)) as usize
}

fn dimension(hash: u32) -> usize {
    (hash >> 1) as usize % DIMENSIONS
}

/// The distinct n-grams of a text by hash, with the number of their occurrences.
fn hashed_ngrams(text: &str) -> impl Iterator<Item = (u32, usize)> {
    let mut hashes = Vec::new();
    let mut term = vec![BORDER];
    for character in text.chars().take(MAX_CHARACTERS).nfkd().filter(|character| !is_combining_mark(*character)) {
        if character.is_alphanumeric() {
            term.extend(character.to_lowercase());
        } else if term.len() > 1 {
            hash_term(&mut term, &mut hashes);
        }
    }
    hash_term(&mut term, &mut hashes);
    hashes.sort_unstable();
    let groups: Vec<_> = hashes.chunk_by(|left, right| left == right).map(|group| (group[0], group.len())).collect();
    groups.into_iter()
}

/// Hashes the n-grams of one term and empties it up to the border that the next one begins with.
fn hash_term(term: &mut Vec<char>, hashes: &mut Vec<u32>) {
    term.push(BORDER);
    for length in LENGTHS {
        hashes.extend(term.windows(length).map(hash));
    }
    term.truncate(1);
}

/// FNV-1a of 64 bits, folded. The hash is part of the stored method and may not vary between builds.
fn hash(ngram: &[char]) -> u32 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    ngram.iter().for_each(|character| hasher.write_u32(*character as u32));
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(left: &str, right: &str) -> f32 {
        let others = ["The pump runs at night.", "Invoices are due in May.", "A holiday is a day without work."];
        let frequencies = NgramFrequencies::count(others.into_iter().chain([left, right]));
        frequencies.vector(left).iter().zip(frequencies.vector(right)).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn equal_texts_have_cosine_1_whatever_their_case_and_accents() {
        assert!((cosine("Größe, naïve", "GROßE; naive") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn typo_and_inflection_stay_close_and_other_texts_do_not() {
        assert!(cosine("calibration of sensors", "calbration of a sensor") > 0.4);
        assert!(cosine("calibration of sensors", "a bill for travel").abs() < 0.2);
    }

    #[test]
    fn text_without_letters_is_the_zero_vector() {
        assert!(
            NgramFrequencies::count(["a text"].into_iter()).vector("?! —").iter().all(|component| *component == 0.0)
        );
        assert!(NgramFrequencies::count([].into_iter()).vector("word").iter().all(|component| component.is_finite()));
    }

    #[test]
    fn vectors_have_length_1() {
        let frequencies = NgramFrequencies::count(["one two", "three"].into_iter());
        let norm: f32 = frequencies.vector("one three 保証").iter().map(|component| component.powi(2)).sum();
        assert!((norm - 1.0).abs() < 1e-4);
    }
}
