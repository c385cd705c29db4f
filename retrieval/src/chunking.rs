//! Chunks of a text, as Bedrock's chunking strategies cut them.
use std::ops::Range;

use serde::{Deserialize, Serialize};
use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter, TextSplitter};
use thiserror::Error;

use crate::{document::Format, extract::Text};

/// Bedrock's bounds of a data source's `maxTokens`.
pub const MAX_TOKENS: Range<usize> = 1..8_193;
/// Bedrock's bounds of a data source's `overlapPercentage`.
pub const OVERLAP_PERCENTAGE: Range<usize> = 1..100;

/// A data source's chunking strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chunking {
    /// Chunks of at most `max_tokens` that share `overlap_percentage` of their tokens with the chunk before.
    FixedSize { max_tokens: usize, overlap_percentage: usize },
    /// A document is one chunk.
    None,
}

#[derive(Debug, Error, PartialEq)]
pub enum ChunkingError {
    #[error("A chunk has 1 to 8192 tokens, not {0}.")]
    MaxTokens(usize),
    #[error("Chunks overlap by 1 to 99 percent, not {0}.")]
    OverlapPercentage(usize),
}

/// A piece of a document's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The chunk's bytes in the document's text.
    pub range: Range<usize>,
    /// The page on which the chunk begins, for formats with pages.
    pub page: Option<u32>,
}

impl Default for Chunking {
    fn default() -> Self {
        Chunking::FixedSize { max_tokens: 300, overlap_percentage: 20 }
    }
}

impl Chunking {
    pub fn fixed_size(max_tokens: usize, overlap_percentage: usize) -> Result<Chunking, ChunkingError> {
        if !MAX_TOKENS.contains(&max_tokens) {
            return Err(ChunkingError::MaxTokens(max_tokens));
        }
        if !OVERLAP_PERCENTAGE.contains(&overlap_percentage) {
            return Err(ChunkingError::OverlapPercentage(overlap_percentage));
        }
        Ok(Chunking::FixedSize { max_tokens, overlap_percentage })
    }

    /// Cuts a text at the borders of headings, paragraphs, sentences or words, whichever are the largest
    /// that fit.
    pub fn split(self, text: &Text, format: Format) -> Vec<Chunk> {
        let ranges = match self {
            Chunking::None => vec![trimmed_range(&text.content)],
            Chunking::FixedSize { max_tokens, overlap_percentage } => {
                let overlap = max_tokens * overlap_percentage / 100;
                // An overlap of all tokens is impossible by the bounds of the percentage.
                let config = ChunkConfig::new(max_tokens).with_sizer(TokenEstimate).with_overlap(overlap);
                let window = max_tokens.saturating_mul(WINDOW_BYTES_PER_TOKEN);
                let splitter = config.map(|config| Splitter::new(config, format));
                splitter.map(|splitter| splitter.split_by_windows(&text.content, window)).unwrap_or_default()
            }
        };
        let chunk = |range: Range<usize>| Chunk { page: text.page_at(range.start), range };
        ranges.into_iter().filter(|range| !range.is_empty()).map(chunk).collect()
    }
}

/// The longest token of `estimate_tokens` has 69 bytes, so that a window has several chunks.
const WINDOW_BYTES_PER_TOKEN: usize = 128;

enum Splitter {
    Markdown(MarkdownSplitter<TokenEstimate>),
    Text(TextSplitter<TokenEstimate>),
}

impl Splitter {
    fn new(config: ChunkConfig<TokenEstimate>, format: Format) -> Splitter {
        match format {
            Format::Markdown => Splitter::Markdown(MarkdownSplitter::new(config)),
            Format::Text | Format::Html | Format::Pdf | Format::Docx | Format::Csv => {
                Splitter::Text(TextSplitter::new(config))
            }
        }
    }

    /// Cuts a text window by window: the splitter's time grows with the square of the length of its text. The
    /// last chunk of a window may be cut off by the window's end, so the next window begins with it.
    fn split_by_windows(&self, text: &str, window: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let end = window_end(text, start, window);
            let cut = self.split(&text[start..end]);
            let next_start = match cut.as_slice() {
                [_, .., last] if end < text.len() => start + last.start,
                _ => end,
            };
            let cut = cut.into_iter().map(|range| start + range.start..start + range.end);
            ranges.extend(cut.take_while(|range| range.start < next_start));
            start = next_start;
        }
        ranges
    }

    fn split(&self, text: &str) -> Vec<Range<usize>> {
        let range = |(start, chunk): (usize, &str)| start..start + chunk.len();
        match self {
            Splitter::Markdown(splitter) => splitter.chunk_indices(text).map(range).collect(),
            Splitter::Text(splitter) => splitter.chunk_indices(text).map(range).collect(),
        }
    }
}

/// At a line's end where there is one in the second half of the window, else between two characters.
fn window_end(text: &str, start: usize, window: usize) -> usize {
    let limit = text.floor_char_boundary(start.saturating_add(window));
    if limit == text.len() {
        return limit;
    }
    let middle = text.floor_char_boundary(start + window / 2);
    text[middle..limit].rfind('\n').map_or(limit, |line_end| middle + line_end + 1)
}

fn trimmed_range(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

/// Letters that one token stands for.
const LETTERS_PER_TOKEN: usize = 6;
/// Spaces that cost no token: the one before a term belongs to the term's token.
const SPACES_PER_TOKEN: usize = 16;

/// The number of tokens of a text, estimated without a model's vocabulary.
///
/// A run of letters and digits is a token for each six of its characters begun, a character of a script
/// without spaces between words is one, and so is any other visible character. English prose has about 1.3
/// tokens a word by this rule, as with the vocabularies of embedding models.
pub fn estimate_tokens(text: &str) -> usize {
    let mut tokens = 0;
    let mut letters = 0;
    let mut spaces = 0;
    for character in text.chars() {
        let is_letter = character.is_alphanumeric() && !is_unspaced(character);
        letters = if is_letter { letters + 1 } else { 0 };
        spaces = if character.is_whitespace() { spaces + 1 } else { 0 };
        let begins_token = match (is_letter, character.is_whitespace()) {
            (true, _) => letters % LETTERS_PER_TOKEN == 1,
            (false, true) => spaces % SPACES_PER_TOKEN == 0,
            (false, false) => true,
        };
        tokens += usize::from(begins_token);
    }
    tokens
}

/// Chinese, Japanese, Korean, and the scripts of South East Asia.
fn is_unspaced(character: char) -> bool {
    matches!(character, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{11ff}' | '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..)
}

struct TokenEstimate;

impl ChunkSizer for TokenEstimate {
    fn size(&self, chunk: &str) -> usize {
        estimate_tokens(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(chunking: Chunking, text: &str, format: Format) -> Vec<String> {
        let text = Text { content: text.into(), page_starts: Vec::new() };
        chunking.split(&text, format).into_iter().map(|chunk| text.content[chunk.range].to_owned()).collect()
    }

    #[test]
    fn default_is_bedrocks() {
        assert_eq!(Chunking::default(), Chunking::fixed_size(300, 20).unwrap());
    }

    #[test]
    fn bounds_are_bedrocks() {
        assert_eq!(Chunking::fixed_size(0, 20), Err(ChunkingError::MaxTokens(0)));
        assert_eq!(Chunking::fixed_size(8_193, 20), Err(ChunkingError::MaxTokens(8_193)));
        assert_eq!(Chunking::fixed_size(300, 100), Err(ChunkingError::OverlapPercentage(100)));
        assert!(Chunking::fixed_size(1, 99).is_ok() && Chunking::fixed_size(8_192, 1).is_ok());
    }

    #[test]
    fn estimate_counts_words_punctuation_and_unspaced_scripts() {
        assert_eq!(estimate_tokens(""), 0);
        assert_eq!(estimate_tokens("The valve, closed."), 5);
        assert_eq!(estimate_tokens("recalibration"), 3);
        assert_eq!(estimate_tokens("保証期間"), 4);
        assert_eq!(estimate_tokens(&" ".repeat(32)), 2);
    }

    #[test]
    fn chunks_end_at_sentences_and_overlap() {
        let sentences: Vec<String> = (10..30).map(|number| format!("Step {number} is short.")).collect();
        let chunks = chunks(Chunking::fixed_size(25, 20).unwrap(), &sentences.join(" "), Format::Text);
        assert!(chunks.len() > 4);
        for pair in chunks.windows(2) {
            let (_, last_sentence) = pair[0].rsplit_once("Step").unwrap();
            assert!(pair[1].starts_with(&format!("Step{last_sentence}")), "{pair:?}");
        }
        for chunk in chunks {
            assert!(estimate_tokens(&chunk) <= 25 && chunk.ends_with('.'), "{chunk:?}");
        }
    }

    #[test]
    fn paragraphs_stay_whole_where_they_fit() {
        let text = "One two three.\n\nFour five six. Seven.\n\nEight nine.";
        let chunks = chunks(Chunking::FixedSize { max_tokens: 7, overlap_percentage: 1 }, text, Format::Text);
        assert_eq!(chunks, ["One two three.", "Four five six. Seven.", "Eight nine."]);
    }

    #[test]
    fn markdown_is_cut_at_headings() {
        let text = "# A\n\none two\n\nthree\n\n# B\n\nfour five";
        let chunks = chunks(Chunking::FixedSize { max_tokens: 7, overlap_percentage: 1 }, text, Format::Markdown);
        assert_eq!(chunks, ["# A\n\none two\n\nthree", "# B\n\nfour five"]);
    }

    #[test]
    fn text_without_borders_is_cut_all_the_same() {
        let text = "x".repeat(10_000);
        let chunks = chunks(Chunking::fixed_size(100, 20).unwrap(), &text, Format::Text);
        assert!(chunks.iter().all(|chunk| estimate_tokens(chunk) <= 100));
        assert!(chunks.iter().map(String::len).sum::<usize>() >= text.len());
    }

    /// With an overlap of a fifth.
    fn splitter(max_tokens: usize, format: Format) -> Splitter {
        let config = ChunkConfig::new(max_tokens).with_sizer(TokenEstimate);
        Splitter::new(config.with_overlap(max_tokens / 5).unwrap(), format)
    }

    /// Of sentences with numbers, in paragraphs.
    fn long_text(sentences: usize) -> String {
        let sentence = |number: usize| {
            let end = if number.is_multiple_of(7) { "\n\n" } else { " " };
            format!("Step {number} follows step {}.{end}", number.saturating_sub(1))
        };
        (0..sentences).map(sentence).collect()
    }

    #[test]
    fn chunks_of_a_long_text_do_not_depend_on_its_windows() {
        let text = long_text(3_000);
        for format in [Format::Text, Format::Markdown] {
            let splitter = splitter(100, format);
            let whole = splitter.split(&text);
            assert!(whole.len() > 200);
            assert_eq!(splitter.split_by_windows(&text, 8_192), whole, "{format:?}");
        }
    }

    #[test]
    fn no_text_is_lost_between_windows() {
        let unusual = [long_text(500), "x".repeat(9_000), "保証".repeat(2_000), "a\n".repeat(4_000)];
        for text in unusual {
            for format in [Format::Text, Format::Markdown] {
                let mut covered = 0;
                for range in splitter(50, format).split_by_windows(&text, 1_000) {
                    let gap = text.get(covered..range.start).unwrap_or_default();
                    assert!(gap.trim().is_empty(), "{format:?} {gap:?}");
                    assert!(estimate_tokens(&text[range.clone()]) <= 50);
                    covered = covered.max(range.end);
                }
                assert!(text[covered..].trim().is_empty(), "{format:?}");
            }
        }
    }

    #[test]
    fn text_of_spaces_has_no_chunk() {
        assert!(chunks(Chunking::default(), &" ".repeat(500_000), Format::Text).is_empty());
    }

    #[test]
    fn whole_document_is_one_chunk_without_chunking() {
        assert_eq!(chunks(Chunking::None, "\n a\n\nb \n", Format::Text), ["a\n\nb"]);
    }

    #[test]
    fn chunk_has_the_page_on_which_it_begins() {
        let text = Text { content: "One two three.\n\nFour five six.".into(), page_starts: vec![0, 16] };
        let chunks = Chunking::FixedSize { max_tokens: 4, overlap_percentage: 1 }.split(&text, Format::Pdf);
        assert_eq!(chunks.iter().map(|chunk| chunk.page).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }
}
