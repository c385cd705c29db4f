//! The sentences of passages that fit a question best.
use std::cmp::Ordering;

use retrieval::content_words;
use unicode_segmentation::UnicodeSegmentation;

/// The most sentences that are quoted.
const MAX_QUOTES: usize = 2;
/// The largest length of a quote, in characters.
const MAX_QUOTE_CHARACTERS: usize = 300;
/// A further quote fits at least so well, as a share of the best one's score.
const MIN_SHARE_OF_BEST: f64 = 0.7;
/// The weight of the words around a sentence: they say what it is about.
const PASSAGE_WEIGHT: f64 = 0.5;
/// A word of at least this many characters that begins another word counts as a form of it.
const STEM_CHARACTERS: usize = 4;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quote<'a> {
    /// The index of its passage.
    pub passage: usize,
    pub text: &'a str,
}

/// At most one quote of each passage, the best first. Empty if the passages share no
/// word with the question.
pub(super) fn best_quotes<'a>(question: &str, passages: &[&'a str]) -> Vec<Quote<'a>> {
    let question = Weights::new(&content_words(question), passages);
    let mut quotes: Vec<(f64, Quote)> = passages
        .iter()
        .enumerate()
        .filter_map(|(passage, text)| {
            let (score, sentence) = question.best_sentence(text)?;
            Some((score + PASSAGE_WEIGHT * question.score(text), Quote { passage, text: shortened(sentence) }))
        })
        .collect();
    // The sort is stable: of equal quotes, that of the better passage comes first.
    quotes.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let best = quotes.first().map_or(0.0, |(score, _)| *score);
    let is_fitting = |score: f64| score > 0.0 && score >= best * MIN_SHARE_OF_BEST;
    quotes.into_iter().filter(|(score, _)| is_fitting(*score)).take(MAX_QUOTES).map(|(_, quote)| quote).collect()
}

/// The words of a question, weighted by how rare they are in the sentences of all passages.
struct Weights {
    words: Vec<(String, f64)>,
}

impl Weights {
    fn new(question: &str, passages: &[&str]) -> Self {
        let sentences: Vec<Vec<String>> = passages.iter().flat_map(|passage| sentences(passage)).map(words).collect();
        let weight = |word: &String| {
            let occurrences = sentences.iter().filter(|sentence| contains(sentence, word)).count();
            (1.0 + sentences.len() as f64 / (1.0 + occurrences as f64)).ln()
        };
        Self { words: words(question).into_iter().map(|word| (word.clone(), weight(&word))).collect() }
    }

    fn score(&self, text: &str) -> f64 {
        let words = words(text);
        self.words.iter().filter(|(word, _)| contains(&words, word)).map(|(_, weight)| weight).sum()
    }

    /// The first of the sentences with the best score.
    fn best_sentence<'a>(&self, passage: &'a str) -> Option<(f64, &'a str)> {
        let scored = sentences(passage).map(|sentence| (self.score(sentence), sentence));
        scored.reduce(|best, next| if next.0.total_cmp(&best.0) == Ordering::Greater { next } else { best })
    }
}

fn sentences(passage: &str) -> impl Iterator<Item = &str> {
    passage.unicode_sentences().map(str::trim).filter(|sentence| !sentence.is_empty())
}

fn words(text: &str) -> Vec<String> {
    text.unicode_words().map(str::to_lowercase).collect()
}

fn contains(words: &[String], word: &str) -> bool {
    words.iter().any(|other| is_form_of(other, word))
}

fn is_form_of(left: &str, right: &str) -> bool {
    let has_stem = left.chars().count() >= STEM_CHARACTERS && right.chars().count() >= STEM_CHARACTERS;
    left == right || has_stem && (left.starts_with(right) || right.starts_with(left))
}

fn shortened(sentence: &str) -> &str {
    let end = sentence.char_indices().nth(MAX_QUOTE_CHARACTERS).map_or(sentence.len(), |(index, _)| index);
    &sentence[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGES: [&str; 3] = [
        "The W8 is large. The pressure is 2.5 bar. The battery lasts 8 years.",
        "The W2 is small. The pressure is 1.6 bar. The battery lasts 14 years.",
        "Never throw a battery away. It lasts and lasts.",
    ];

    #[test]
    fn words_around_a_sentence_tell_what_it_is_about() {
        let quotes = best_quotes("How long does the battery of the W2 last?", &PASSAGES);
        assert_eq!(quotes[0], Quote { passage: 1, text: "The battery lasts 14 years." });
    }

    #[test]
    fn sentence_does_not_end_within_a_number() {
        let quotes = best_quotes("Which pressure?", &PASSAGES);
        assert_eq!(quotes[0].text, "The pressure is 2.5 bar.");
    }

    #[test]
    fn nothing_is_quoted_without_a_common_word() {
        assert_eq!(best_quotes("Zebra?", &PASSAGES), []);
        assert_eq!(best_quotes("W8", &["", " \n"]), []);
        assert_eq!(best_quotes("?", &[]), []);
    }

    #[test]
    fn quote_is_cut_at_a_character() {
        let text = "é".repeat(400);
        assert_eq!(best_quotes("éééé", &[&text])[0].text.chars().count(), MAX_QUOTE_CHARACTERS);
    }
}
