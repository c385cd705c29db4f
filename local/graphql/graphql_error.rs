//! Entries of a response's `errors`, in the shapes AppSync gives them.
use apollo_compiler::parser::{SourceMap, SourceSpan};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

/// One step of the way from the response's root to a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Segment {
    Field(String),
    Index(usize),
}

/// Where in the document a field or an argument stands, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub line: usize,
    pub column: usize,
}

/// An entry of `errors`. `detail` is there when a resolver or the authorization of a field raised it.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphqlError {
    pub path: Option<Vec<Segment>>,
    pub locations: Option<Vec<Location>>,
    pub message: String,
    pub detail: Option<Detail>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    pub error_type: Option<String>,
    pub data: Value,
    pub info: Value,
}

impl GraphqlError {
    /// A fault of the request as a whole: nothing was executed.
    pub fn of_request(message: impl Into<String>, location: Option<Location>) -> Self {
        let locations = location.map(|location| vec![location]);
        Self { path: None, locations, message: message.into(), detail: None }
    }

    /// A value that does not fit the schema.
    pub fn of_value(message: impl Into<String>, path: Vec<Segment>) -> Self {
        Self { path: Some(path), locations: None, message: message.into(), detail: None }
    }

    /// What a resolver raised, or a denial.
    pub fn of_field(
        message: impl Into<String>,
        detail: Detail,
        path: Vec<Segment>,
        location: Option<Location>,
    ) -> Self {
        let locations = location.map(|location| vec![location]);
        Self { path: Some(path), locations, message: message.into(), detail: Some(detail) }
    }
}

impl GraphqlError {
    /// Line and column of what it is about.
    pub fn place(&self) -> Option<(usize, usize)> {
        let location = self.locations.as_ref()?.first()?;
        Some((location.line, location.column))
    }

    /// How much text it holds, roughly.
    pub fn text_bytes(&self) -> usize {
        let names = self.path.iter().flatten().map(|segment| match segment {
            Segment::Field(name) => name.len(),
            Segment::Index(_) => size_of::<usize>(),
        });
        self.message.len() + names.sum::<usize>()
    }
}

impl Detail {
    pub fn of_type(error_type: &str) -> Self {
        Self { error_type: Some(error_type.to_owned()), data: Value::Null, info: Value::Null }
    }
}

impl Location {
    pub fn of(span: Option<SourceSpan>, sources: &SourceMap) -> Option<Self> {
        let found = span?.line_column(sources)?;
        Some(Self { line: found.line, column: found.column })
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

/// `/posts[0]/title`: how AppSync writes a path inside a sentence.
pub fn written(path: &[Segment]) -> String {
    path.iter().fold(String::new(), |written, segment| match segment {
        Segment::Field(name) => format!("{written}/{name}"),
        Segment::Index(index) => format!("{written}[{index}]"),
    })
}
