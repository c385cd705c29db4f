//! Entries of a response's `errors`, in the shapes that AppSync gives them.
use apollo_compiler::parser::{SourceMap, SourceSpan};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

/// An entry of `errors`. `detail` is present if a resolver raised the error or the field was not authorized.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphqlError {
    pub path: Option<Vec<PathSegment>>,
    pub locations: Option<Vec<Location>>,
    pub message: String,
    pub detail: Option<ErrorDetail>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ErrorDetail {
    pub error_type: Option<String>,
    pub data: Value,
    pub info: Value,
}

/// One segment of a response path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathSegment {
    Field(String),
    Index(usize),
}

/// The position of a field or an argument in the document, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub line: usize,
    pub column: usize,
}

impl GraphqlError {
    /// The request as a whole is rejected: nothing was executed.
    pub fn request_error(message: impl Into<String>, location: Option<Location>) -> Self {
        let locations = location.map(|location| vec![location]);
        Self { path: None, locations, message: message.into(), detail: None }
    }

    /// A value does not fit the schema.
    pub fn value_error(message: impl Into<String>, path: Vec<PathSegment>) -> Self {
        Self { path: Some(path), locations: None, message: message.into(), detail: None }
    }

    /// A resolver raised an error, or the caller is not authorized to read the field.
    pub fn field_error(
        message: impl Into<String>,
        detail: ErrorDetail,
        path: Vec<PathSegment>,
        location: Option<Location>,
    ) -> Self {
        let locations = location.map(|location| vec![location]);
        Self { path: Some(path), locations, message: message.into(), detail: Some(detail) }
    }

    /// The line and column of the first location.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        let location = self.locations.as_ref()?.first()?;
        Some((location.line, location.column))
    }

    /// The approximate number of bytes of the message and path.
    pub fn text_bytes(&self) -> usize {
        let path_bytes = self.path.iter().flatten().map(|segment| match segment {
            PathSegment::Field(name) => name.len(),
            PathSegment::Index(_) => size_of::<usize>(),
        });
        self.message.len() + path_bytes.sum::<usize>()
    }
}

impl ErrorDetail {
    pub fn from_type(error_type: &str) -> Self {
        Self { error_type: Some(error_type.to_owned()), data: Value::Null, info: Value::Null }
    }
}

impl Location {
    pub fn from_span(span: Option<SourceSpan>, sources: &SourceMap) -> Option<Self> {
        let start = span?.line_column(sources)?;
        Some(Self { line: start.line, column: start.column })
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({ "line": self.line, "column": self.column, "sourceName": null }).serialize(serializer)
    }
}

impl Serialize for GraphqlError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_map(None)?;
        entry.serialize_entry("path", &self.path)?;
        if let Some(detail) = &self.detail {
            entry.serialize_entry("data", &detail.data)?;
            entry.serialize_entry("errorType", &detail.error_type)?;
            entry.serialize_entry("errorInfo", &detail.info)?;
        }
        entry.serialize_entry("locations", &self.locations)?;
        entry.serialize_entry("message", &self.message)?;
        entry.end()
    }
}

/// Formats a path as AppSync does inside a message: `/posts[0]/title`.
pub fn format_path(path: &[PathSegment]) -> String {
    path.iter().fold(String::new(), |text, segment| match segment {
        PathSegment::Field(name) => format!("{text}/{name}"),
        PathSegment::Index(index) => format!("{text}[{index}]"),
    })
}
