//! Text of DOCX: the paragraphs and tables of `word/document.xml`.
use std::io::{BufReader, Cursor, Read};

use quick_xml::{
    Reader,
    events::{BytesRef, Event},
};
use zip::ZipArchive;

use super::{ExtractError, MAX_TEXT_BYTES, blocks::BlockWriter};

/// Markup is several times as long as its text. Reading ends here, whatever the archive claims.
const MAX_XML_BYTES: u64 = 4 * MAX_TEXT_BYTES as u64;
const MAIN_PART: &str = "word/document.xml";

pub fn to_text(content: &[u8]) -> Result<String, ExtractError> {
    let mut archive = ZipArchive::new(Cursor::new(content)).map_err(error)?;
    let part = archive.by_name(MAIN_PART).map_err(error)?;
    let mut reader = Reader::from_reader(BufReader::new(part.take(MAX_XML_BYTES)));
    let mut writer = BlockWriter::default();
    let mut in_text = false;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(error)? {
            Event::Start(tag) => match tag.name().as_ref() {
                "w:t" => in_text = true,
                "w:tc" => writer.begin_cell(),
                "w:tr" => writer.end_row(),
                _ => {}
            },
            Event::Empty(tag) => match tag.name().as_ref() {
                "w:tab" => writer.push_space(),
                "w:br" | "w:cr" => writer.end_line(),
                "w:p" => writer.end_paragraph(),
                _ => {}
            },
            Event::End(tag) => match tag.name().as_ref() {
                "w:t" => in_text = false,
                "w:p" => writer.end_paragraph(),
                "w:tr" => writer.end_row(),
                "w:tbl" => writer.end_paragraph(),
                _ => {}
            },
            Event::Text(text) if in_text => writer.push_text(&text),
            Event::GeneralRef(reference) if in_text => writer.push_text(&resolve(&reference)?),
            Event::Eof => break,
            _ => {}
        }
        if writer.len() > MAX_TEXT_BYTES {
            return Err(ExtractError::TooLong);
        }
    }
    Ok(writer.finish())
}

/// The text of `&amp;` or `&#228;`. Word writes no other entities.
fn resolve(reference: &BytesRef<'_>) -> Result<String, ExtractError> {
    if let Some(character) = reference.resolve_char_ref().map_err(error)? {
        return Ok(character.to_string());
    }
    let text = quick_xml::escape::resolve_predefined_entity(reference).map(str::to_owned);
    text.ok_or_else(|| ExtractError::Docx(format!("the entity {:?} is unknown", reference.as_ref())))
}

fn error(error: impl std::fmt::Display) -> ExtractError {
    ExtractError::Docx(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn docx(body: &str) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file(MAIN_PART, SimpleFileOptions::default()).unwrap();
        write!(archive, "<?xml version=\"1.0\"?><w:document><w:body>{body}</w:body></w:document>").unwrap();
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn runs_of_a_paragraph_are_joined() {
        let body = "<w:p><w:r><w:t>War</w:t></w:r><w:r><w:t xml:space=\"preserve\">ranty &amp; </w:t><w:tab/><w:t>re&#112;air</w:t></w:r></w:p>
            <w:p/><w:p><w:r><w:t>Two</w:t><w:br/><w:t>lines</w:t><w:delText>deleted</w:delText></w:r></w:p>";
        assert_eq!(to_text(&docx(body)).unwrap(), "Warranty & repair\n\nTwo\nlines");
    }

    #[test]
    fn rows_of_a_table_are_lines() {
        let cell = |text: &str| format!("<w:tc><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>");
        let row = |one: &str, two: &str| format!("<w:tr>{}{}</w:tr>", cell(one), cell(two));
        let body = format!("<w:tbl>{}{}</w:tbl><w:p><w:r><w:t>after</w:t></w:r></w:p>", row("a", "b"), row("c", "d"));
        assert_eq!(to_text(&docx(&body)).unwrap(), "a | b\nc | d\n\nafter");
    }

    #[test]
    fn broken_files_are_explained() {
        let error = |content: &[u8]| to_text(content).unwrap_err().to_string();
        assert!(error(b"no archive").starts_with("The DOCX file cannot be read: "));
        assert!(error(&docx("<w:p></w:t>")).starts_with("The DOCX file cannot be read: "));
        let complete = docx("<w:p><w:r><w:t>text</w:t></w:r></w:p>");
        for length in 0..complete.len() {
            assert!(to_text(&complete[..length]).is_err(), "cut at {length}");
        }
    }
}
