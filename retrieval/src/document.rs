//! Documents as they arrive, before their text is extracted.
use crate::attributes::Attributes;

/// Bedrock's limit for a file of a data source.
pub const MAX_DOCUMENT_BYTES: usize = 50 * 1024 * 1024;

/// A file with its address and metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The address that answers name as the source, for example `s3://bucket/key`.
    pub uri: String,
    pub format: Format,
    pub content: Vec<u8>,
    pub attributes: Attributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Markdown,
    Html,
    Pdf,
    Docx,
    Csv,
}

impl Format {
    /// The format that a file's extension stands for, or `None` where the format is not supported.
    pub fn from_name(name: &str) -> Option<Format> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "txt" => Some(Format::Text),
            "md" => Some(Format::Markdown),
            "html" | "htm" => Some(Format::Html),
            "pdf" => Some(Format::Pdf),
            "docx" => Some(Format::Docx),
            "csv" => Some(Format::Csv),
            _ => None,
        }
    }

    /// The format of a media type without parameters, as `byteContent.mimeType` of a direct ingestion has it.
    pub fn from_mime_type(mime_type: &str) -> Option<Format> {
        match mime_type.to_ascii_lowercase().as_str() {
            "text/plain" => Some(Format::Text),
            "text/markdown" => Some(Format::Markdown),
            "text/html" => Some(Format::Html),
            "application/pdf" => Some(Format::Pdf),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Some(Format::Docx),
            "text/csv" => Some(Format::Csv),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_decides_the_format_in_any_case() {
        assert_eq!(Format::from_name("a.b/Manual.PDF"), Some(Format::Pdf));
        assert_eq!(Format::from_name("index.htm"), Some(Format::Html));
        assert_eq!(Format::from_name("picture.png"), None);
        assert_eq!(Format::from_name("README"), None);
    }

    #[test]
    fn media_type_decides_the_format_of_inline_content() {
        assert_eq!(Format::from_mime_type("Text/CSV"), Some(Format::Csv));
        assert_eq!(Format::from_mime_type("image/png"), None);
    }
}
