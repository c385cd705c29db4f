//! Blocks of a Converse message as parts of a chat message.
use base64::{Engine, prelude::BASE64_STANDARD};
use retrieval::{Attributes, Document, Format, extract::extract};
use serde_json::{Value, json};

use crate::bedrock::BedrockError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// A data URL.
    Image(String),
}

impl Part {
    pub fn into_value(self) -> Value {
        match self {
            Self::Text(text) => json!({ "type": "text", "text": text }),
            Self::Image(url) => json!({ "type": "image_url", "image_url": { "url": url } }),
        }
    }

    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Image(text) => text,
        }
    }
}

/// `None` for a block that servers do not need.
pub(super) fn part(kind: &str, value: &Value) -> Result<Option<Part>, BedrockError> {
    match kind {
        "text" => text(value).map(Some),
        "guardContent" => text(&value["text"]["text"]).map(Some),
        // As Bedrock says it of models that do not cite. The handler then sends numbered text and asks for
        // markers.
        "searchResult" => Err(BedrockError::validation("This model doesn't support the searchResult field.")),
        "citationsContent" => Ok(Some(Part::Text(joined_texts(&value["content"], "")))),
        "document" => document(value).map(Some),
        "image" => image(value).map(Some),
        "cachePoint" | "reasoningContent" => Ok(None),
        _ => Err(unsupported(kind)),
    }
}

/// The message of a tool's result, and the result's images, which such a message cannot have.
pub(super) fn tool_result(result: &Value) -> Result<(Value, Vec<Part>), BedrockError> {
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for (kind, value) in result["content"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten() {
        match (kind.as_str(), value) {
            ("json", document) => texts.push(document.to_string()),
            (kind, value) => match part(kind, value)? {
                Some(image @ Part::Image(_)) => images.push(image),
                Some(Part::Text(text)) => texts.push(text),
                None => {}
            },
        }
    }
    // Chat completions do not tell an error from a result.
    let prefix = if result["status"] == "error" { "Error: " } else { "" };
    let content = format!("{prefix}{}", texts.join("\n\n"));
    Ok((json!({ "role": "tool", "tool_call_id": result["toolUseId"], "content": content }), images))
}

fn text(value: &Value) -> Result<Part, BedrockError> {
    value.as_str().map(|text| Part::Text(text.to_owned())).ok_or_else(BedrockError::malformed_request)
}

fn joined_texts(blocks: &Value, separator: &str) -> String {
    let texts: Vec<&str> = blocks.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()).collect();
    texts.join(separator)
}

fn image(image: &Value) -> Result<Part, BedrockError> {
    let (Some(format), Some(bytes)) = (image["format"].as_str(), image["source"]["bytes"].as_str()) else {
        return Err(unsupported("image in S3"));
    };
    Ok(Part::Image(format!("data:image/{format};base64,{bytes}")))
}

/// The text of a document below its name.
fn document(document: &Value) -> Result<Part, BedrockError> {
    let source = &document["source"];
    let text = match (&source["text"], &source["content"], &source["bytes"]) {
        (Value::String(text), ..) => text.clone(),
        (_, blocks @ Value::Array(_), _) => joined_texts(blocks, "\n\n"),
        (.., Value::String(bytes)) => extracted_text(document["format"].as_str().unwrap_or_default(), bytes)?,
        _ => return Err(unsupported("document in S3")),
    };
    let name = document["name"].as_str().unwrap_or("document");
    Ok(Part::Text(format!("Document {name}:\n\n{text}")))
}

fn extracted_text(format: &str, bytes: &str) -> Result<String, BedrockError> {
    let content = BASE64_STANDARD.decode(bytes).map_err(|_| BedrockError::malformed_request())?;
    let Some(known) = Format::from_name(&format!("document.{format}")) else {
        return Err(unsupported(&format!("{format} document")));
    };
    let document = Document { uri: String::new(), format: known, content, attributes: Attributes::default() };
    match extract(&document) {
        Ok(text) => Ok(text.content),
        Err(error) => Err(BedrockError::validation(format!("The document has no text that could be sent: {error}"))),
    }
}

fn unsupported(kind: &str) -> BedrockError {
    BedrockError::validation(format!("This model doesn't support the {kind} content block that you provided."))
}
