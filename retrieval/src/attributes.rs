//! Metadata attributes of a document, and the sidecar file that holds them.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// Bedrock's limit for a metadata file.
pub const MAX_SIDECAR_BYTES: usize = 10 * 1024;
/// Bedrock's limit for inline attributes of a document.
pub const MAX_ATTRIBUTES: usize = 50;

/// A document's attributes by key.
pub type Attributes = BTreeMap<String, AttributeValue>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    Boolean(bool),
    Number(Number),
    String(String),
    StringList(Vec<String>),
}

/// Why attributes were refused, in one sentence.
#[derive(Debug, Error, PartialEq)]
pub enum AttributesError {
    #[error("The metadata file has more than {MAX_SIDECAR_BYTES} bytes.")]
    TooLong,
    #[error("The metadata file is not JSON with an object metadataAttributes.")]
    NotAnObject,
    #[error("The document has more than {MAX_ATTRIBUTES} metadata attributes.")]
    TooMany,
    #[error("The metadata attribute {0:?} is not a string, a number, a boolean or a list of strings.")]
    Value(String),
}

/// Parses a file `<document>.metadata.json`: `{"metadataAttributes": {"key": value}}`.
///
/// A value is plain JSON, or Bedrock's long form `{"value": {"type": "STRING", "stringValue": "x"}}`.
pub fn parse_sidecar(content: &[u8]) -> Result<Attributes, AttributesError> {
    if content.len() > MAX_SIDECAR_BYTES {
        return Err(AttributesError::TooLong);
    }
    let json: Value = serde_json::from_slice(content).map_err(|_| AttributesError::NotAnObject)?;
    let Some(Value::Object(entries)) = json.get("metadataAttributes") else {
        return Err(AttributesError::NotAnObject);
    };
    parse_entries(entries)
}

fn parse_entries(entries: &Map<String, Value>) -> Result<Attributes, AttributesError> {
    if entries.len() > MAX_ATTRIBUTES {
        return Err(AttributesError::TooMany);
    }
    let parse_entry = |(key, value): (&String, &Value)| {
        let parsed = match value.get("value") {
            Some(typed) => AttributeValue::from_typed(typed),
            None => AttributeValue::from_json(value),
        };
        parsed.map(|value| (key.clone(), value)).ok_or_else(|| AttributesError::Value(key.clone()))
    };
    entries.iter().map(parse_entry).collect()
}

impl AttributeValue {
    /// The value of plain JSON, or `None` for null, objects and lists of other things than strings.
    pub fn from_json(value: &Value) -> Option<AttributeValue> {
        match value {
            Value::Bool(value) => Some(AttributeValue::Boolean(*value)),
            Value::Number(value) => Some(AttributeValue::Number(value.clone())),
            Value::String(value) => Some(AttributeValue::String(value.clone())),
            Value::Array(members) => strings(members).map(AttributeValue::StringList),
            Value::Null | Value::Object(_) => None,
        }
    }

    /// The value of the API's `MetadataAttributeValue`, whose `type` names the member that holds the value.
    pub fn from_typed(value: &Value) -> Option<AttributeValue> {
        let member = match value.get("type")?.as_str()? {
            "BOOLEAN" => value.get("booleanValue").filter(|value| value.is_boolean()),
            "NUMBER" => value.get("numberValue").filter(|value| value.is_number()),
            "STRING" => value.get("stringValue").filter(|value| value.is_string()),
            "STRING_LIST" => value.get("stringListValue").filter(|value| value.is_array()),
            _ => None,
        };
        AttributeValue::from_json(member?)
    }
}

fn strings(members: &[Value]) -> Option<Vec<String>> {
    members.iter().map(|member| member.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &Value) -> Result<Attributes, AttributesError> {
        parse_sidecar(json.to_string().as_bytes())
    }

    #[test]
    fn sidecar_holds_strings_numbers_booleans_and_string_lists() {
        let values = json!({"team": "support", "year": 2025, "rate": 0.5, "public": true, "tags": ["a", "b"]});
        let attributes = parse(&json!({"metadataAttributes": values})).unwrap();
        assert_eq!(serde_json::to_value(attributes).unwrap(), values);
    }

    #[test]
    fn long_form_reads_as_the_plain_value() {
        let long = json!({"metadataAttributes": {
            "team": {"value": {"type": "STRING", "stringValue": "support"}, "includeForEmbedding": true},
            "tags": {"value": {"type": "STRING_LIST", "stringListValue": ["a"]}},
            "year": {"value": {"type": "NUMBER", "numberValue": 2025}},
            "public": {"value": {"type": "BOOLEAN", "booleanValue": false}},
        }});
        let plain = json!({"metadataAttributes": {"team": "support", "tags": ["a"], "year": 2025, "public": false}});
        assert_eq!(parse(&long), parse(&plain));
    }

    #[test]
    fn refused_sidecars_are_explained_in_one_sentence() {
        let value = AttributesError::Value("team".into());
        for refused in [json!(null), json!({"a": 1}), json!([1]), json!(["a", 1])] {
            assert_eq!(parse(&json!({"metadataAttributes": {"team": refused}})).as_ref(), Err(&value));
        }
        let wrong_member = json!({"value": {"type": "STRING", "numberValue": 1}});
        assert_eq!(parse(&json!({"metadataAttributes": {"team": wrong_member}})), Err(value));
        assert_eq!(parse(&json!({"team": "support"})), Err(AttributesError::NotAnObject));
        assert_eq!(parse_sidecar(b"team: support"), Err(AttributesError::NotAnObject));
        assert_eq!(parse_sidecar(&[b' '; MAX_SIDECAR_BYTES + 1]), Err(AttributesError::TooLong));
        let many: Map<_, _> = (0..=MAX_ATTRIBUTES).map(|number| (number.to_string(), json!(1))).collect();
        assert_eq!(parse(&json!({"metadataAttributes": many})), Err(AttributesError::TooMany));
    }
}
