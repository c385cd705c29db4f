//! Text of PDF, page by page.
use std::collections::BTreeSet;

use pdf_extract::{Dictionary, Document, Object, ObjectId, PlainTextOutput, Stream, output_doc_page};

use super::{ExtractError, MAX_TEXT_BYTES, Text, silent_panic::catch_silently};

/// A longer document is refused.
const MAX_PAGES: usize = 10_000;
/// Forms within forms, and nodes above a page.
const MAX_NESTING: usize = 16;

pub fn to_text(content: &[u8]) -> Result<Text, ExtractError> {
    // The parser panics on many malformed files.
    let text = catch_silently(|| pages_to_text(content));
    text.unwrap_or_else(|| Err(ExtractError::Pdf("its structure is malformed".into())))
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
    check_nesting(&document, pages.values())?;
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

/// The parser follows forms and parents by recursion, and a cycle would overflow the stack.
fn check_nesting<'a>(document: &Document, pages: impl Iterator<Item = &'a ObjectId>) -> Result<(), ExtractError> {
    let mut nodes: BTreeSet<ObjectId> = pages.copied().collect();
    let mut forms: BTreeSet<ObjectId> = form_ids(document).collect();
    for _ in 0..MAX_NESTING {
        nodes = nodes.into_iter().filter_map(|node| parent(document, node)).collect();
        forms = forms.into_iter().flat_map(|form| inner_forms(document, form)).collect();
    }
    if nodes.is_empty() && forms.is_empty() {
        Ok(())
    } else {
        Err(ExtractError::Pdf("its objects contain each other or are nested too deeply".into()))
    }
}

fn parent(document: &Document, node: ObjectId) -> Option<ObjectId> {
    document.get_dictionary(node).ok()?.get(b"Parent").ok()?.as_reference().ok()
}

fn form_ids(document: &Document) -> impl Iterator<Item = ObjectId> {
    document.objects.iter().filter(|(_, object)| as_form(object).is_some()).map(|(id, _)| *id)
}

fn as_form(object: &Object) -> Option<&Stream> {
    let stream = object.as_stream().ok()?;
    let subtype = stream.dict.get(b"Subtype").and_then(Object::as_name).ok()?;
    (subtype == b"Form").then_some(stream)
}

/// The forms that a form may draw.
fn inner_forms(document: &Document, form: ObjectId) -> Vec<ObjectId> {
    let Some(stream) = document.get_object(form).ok().and_then(as_form) else { return Vec::new() };
    let Some(resources) = dictionary(document, &stream.dict, b"Resources") else {
        // It uses the names of whatever draws it, which may be any form's.
        return if draws_objects(stream) { form_ids(document).collect() } else { Vec::new() };
    };
    let Some(objects) = dictionary(document, resources, b"XObject") else { return Vec::new() };
    objects.iter().filter_map(|(_, object)| object.as_reference().ok()).collect()
}

fn dictionary<'a>(document: &'a Document, of: &'a Dictionary, key: &[u8]) -> Option<&'a Dictionary> {
    match of.get(key).ok()? {
        Object::Reference(id) => document.get_dictionary(*id).ok(),
        object => object.as_dict().ok(),
    }
}

fn draws_objects(form: &Stream) -> bool {
    let content = form.get_plain_content().unwrap_or_default();
    content.windows(2).any(|operator| operator == b"Do")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with the objects given, numbered from 1. The first is the catalog.
    fn pdf(objects: &[&str]) -> Vec<u8> {
        let mut file = String::from("%PDF-1.4\n");
        let mut offsets = Vec::new();
        for (index, object) in objects.iter().enumerate() {
            offsets.push(format!("{:010} 00000 n \n", file.len()));
            file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", index + 1));
        }
        let (start, size) = (file.len(), objects.len() + 1);
        let table = format!("xref\n0 {size}\n0000000000 65535 f \n{}", offsets.concat());
        file.push_str(&format!("{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"));
        file.into_bytes()
    }

    fn stream(entries: &str, content: &str) -> String {
        format!("<< {entries} /Length {} >>\nstream\n{content}\nendstream", content.len())
    }

    const CATALOG: &str = "<< /Type /Catalog /Pages 2 0 R >>";
    const FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

    fn page(parent: u32, content: u32, resources: &str) -> String {
        format!(
            "<< /Type /Page /Parent {parent} 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R \
             /Resources << {resources} >> >>"
        )
    }

    fn two_pages() -> Vec<u8> {
        let font = "/Font << /F1 3 0 R >>";
        let text = |text: &str| stream("", &format!("BT /F1 12 Tf 60 780 Td ({text}) Tj ET"));
        pdf(&[
            CATALOG,
            "<< /Type /Pages /Kids [4 0 R 6 0 R] /Count 2 >>",
            FONT,
            &page(2, 5, font),
            &text("First page."),
            &page(2, 7, font),
            &text("Second page."),
        ])
    }

    #[test]
    fn pages_are_told_apart() {
        let text = to_text(&two_pages()).unwrap();
        assert_eq!(text.content, "First page.\n\nSecond page.");
        assert_eq!(text.page_starts, [0, 13]);
    }

    #[test]
    fn truncated_and_damaged_files_never_panic() {
        let complete = two_pages();
        for length in (0..complete.len()).step_by(7) {
            let _ = to_text(&complete[..length]);
        }
        for position in (0..complete.len()).step_by(5) {
            let mut damaged = complete.clone();
            damaged[position] ^= 0x15;
            let _ = to_text(&damaged);
        }
        assert!(to_text(b"no PDF").unwrap_err().to_string().starts_with("The PDF file cannot be read: "));
    }

    #[test]
    fn forms_and_parents_that_contain_each_other_are_refused() {
        let pages = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>";
        let draw = stream("", "/Form Do");
        let form = |resources: &str| stream(&format!("/Type /XObject /Subtype /Form {resources}"), "/Form Do");
        let objects = "/XObject << /Form 5 0 R >>";
        let own_resources = form(&format!("/Resources << {objects} >>"));
        let cycles = [
            pdf(&[CATALOG, pages, &page(2, 4, objects), &draw, &own_resources]),
            pdf(&[CATALOG, pages, &page(2, 4, objects), &draw, &form("")]),
            pdf(&[CATALOG, pages, "<< /Type /Page /Parent 3 0 R /Contents 4 0 R >>", &draw]),
        ];
        let message = "The PDF file cannot be read: its objects contain each other or are nested too deeply.";
        for cycle in cycles {
            assert_eq!(to_text(&cycle).unwrap_err().to_string(), message);
        }
    }
}
