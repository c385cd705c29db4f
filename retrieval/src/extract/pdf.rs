//! Text of PDF, page by page.
use std::panic::{AssertUnwindSafe, catch_unwind};

use pdf_extract::{Document, PlainTextOutput, output_doc_page};

use super::{ExtractError, MAX_TEXT_BYTES, Text};

/// A longer document is refused.
const MAX_PAGES: usize = 10_000;

pub fn to_text(content: &[u8]) -> Result<Text, ExtractError> {
    // The parser panics on many malformed files.
    let text = catch_unwind(AssertUnwindSafe(|| pages_to_text(content)));
    text.unwrap_or_else(|_| Err(ExtractError::Pdf("its structure is malformed".into())))
}

fn pages_to_text(content: &[u8]) -> Result<Text, ExtractError> {
    let mut document = Document::load_mem(content).map_err(error)?;
    if document.is_encrypted() {
        // Many files are encrypted without a password for reading.
        document.decrypt("").map_err(|_| ExtractError::Pdf("it is protected by a password".into()))?;
    }
    let pages = document.get_pages();
    if pages.len() > MAX_PAGES {
        return Err(ExtractError::Pdf(format!("it has more than {MAX_PAGES} pages")));
    }
    let mut text = Text::default();
    for number in pages.into_keys() {
        let page = page_text(&document, number)?;
        if !text.content.is_empty() {
            text.content.push_str("\n\n");
        }
        text.page_starts.push(text.content.len());
        text.content.push_str(page.trim());
        if text.content.len() > MAX_TEXT_BYTES {
            return Err(ExtractError::TooLong);
        }
    }
    Ok(text)
}

fn page_text(document: &Document, number: u32) -> Result<String, ExtractError> {
    let mut page = String::new();
    output_doc_page(document, &mut PlainTextOutput::new(&mut page), number)
        .map_err(|problem| ExtractError::Pdf(format!("page {number}: {problem}")))?;
    Ok(page)
}

fn error(error: impl std::fmt::Display) -> ExtractError {
    ExtractError::Pdf(error.to_string())
}
