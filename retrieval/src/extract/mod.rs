//! Text of documents.
//!
//! Every format becomes plain text whose paragraphs are separated by empty lines; Markdown stays as written.
//! Rows of tables become lines. No input panics: parsers that may are run under [`silent_panic`].
mod blocks;
mod csv;
mod docx;
mod html;
mod pdf;
mod silent_panic;

use thiserror::Error;

use crate::document::{Document, Format};

/// A longer text is refused: a small archive can hold a text of any size.
pub const MAX_TEXT_BYTES: usize = 50 * 1024 * 1024;

/// The text of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    pub content: String,
    /// Where each page begins in `content`. Empty for formats without pages.
    pub page_starts: Vec<usize>,
}

/// Why a document has no text, in one sentence.
#[derive(Debug, Error, PartialEq)]
pub enum ExtractError {
    #[error("The file is neither UTF-8 nor UTF-16 text.")]
    Encoding,
    #[error("The file has no text.")]
    Empty,
    #[error("The file's text has more than {} MB.", MAX_TEXT_BYTES / 1024 / 1024)]
    TooLong,
    #[error("The CSV file cannot be read: {0}.")]
    Csv(String),
    #[error("The DOCX file cannot be read: {0}.")]
    Docx(String),
    #[error("The PDF file cannot be read: {0}.")]
    Pdf(String),
}

pub fn extract(document: &Document) -> Result<Text, ExtractError> {
    let content = document.content.as_slice();
    let text = match document.format {
        Format::Text | Format::Markdown => Text::without_pages(decode(content)?),
        Format::Html => Text::without_pages(html::to_text(&decode(content)?)),
        Format::Csv => Text::without_pages(csv::to_text(&decode(content)?)?),
        Format::Docx => Text::without_pages(docx::to_text(content)?),
        Format::Pdf => pdf::to_text(content)?,
    };
    if text.content.len() > MAX_TEXT_BYTES {
        return Err(ExtractError::TooLong);
    }
    if text.content.trim().is_empty() {
        return Err(ExtractError::Empty);
    }
    Ok(text)
}

impl Text {
    fn without_pages(content: String) -> Text {
        Text { content, page_starts: Vec::new() }
    }

    /// The page that holds a byte of the text, counted from 1.
    pub fn page_at(&self, byte: usize) -> Option<u32> {
        let pages_started = self.page_starts.partition_point(|start| *start <= byte);
        u32::try_from(pages_started).ok().filter(|page| *page > 0)
    }
}

/// UTF-8 with or without a byte order mark, or UTF-16 with one. Other encodings cannot be told apart.
fn decode(content: &[u8]) -> Result<String, ExtractError> {
    match content {
        [0xff, 0xfe, units @ ..] => decode_utf16(units, u16::from_le_bytes),
        [0xfe, 0xff, units @ ..] => decode_utf16(units, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] | text => {
            str::from_utf8(text).map(str::to_owned).map_err(|_| ExtractError::Encoding)
        }
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, ExtractError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ExtractError::Encoding);
    }
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<_, _>>()
        .map_err(|_| ExtractError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(format: Format, content: &[u8]) -> Document {
        Document { uri: "s3://bucket/key".into(), format, content: content.to_owned(), attributes: Default::default() }
    }

    #[test]
    fn byte_order_marks_decide_the_encoding() {
        let little: Vec<u8> =
            [0xfeff_u16].into_iter().chain("Größe".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = [0xfeff_u16].into_iter().chain("Größe".encode_utf16()).flat_map(u16::to_be_bytes).collect();
        for content in [little.as_slice(), &big, "\u{feff}Größe".as_bytes(), "Größe".as_bytes()] {
            assert_eq!(extract(&document(Format::Text, content)).unwrap().content, "Größe");
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        for content in [&b"Gr\xf6\xdfe"[..], &[0xff, 0xfe, 0x41], &[0xff, 0xfe, 0x00, 0xd8]] {
            assert_eq!(extract(&document(Format::Markdown, content)), Err(ExtractError::Encoding));
        }
    }

    #[test]
    fn document_without_text_is_refused() {
        assert_eq!(extract(&document(Format::Text, b" \n\t")), Err(ExtractError::Empty));
        assert_eq!(extract(&document(Format::Html, b"<p><script>x</script></p>")), Err(ExtractError::Empty));
        assert_eq!(extract(&document(Format::Csv, b"")), Err(ExtractError::Empty));
    }

    #[test]
    fn byte_lies_on_the_page_that_began_last() {
        let text = Text { content: "one two".into(), page_starts: vec![0, 4, 4] };
        assert_eq!([0, 3, 4, 6].map(|byte| text.page_at(byte)), [Some(1), Some(1), Some(3), Some(3)]);
        assert_eq!(Text::without_pages("one".into()).page_at(0), None);
    }
}
