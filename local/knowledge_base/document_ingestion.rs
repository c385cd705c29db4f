//! The operation IngestKnowledgeBaseDocuments for documents of the folder.
use std::collections::BTreeMap;

use jiff::Timestamp;
use retrieval::{AttributeValue, Attributes, Document, IngestError, IngestionReport, attributes::MAX_ATTRIBUTES};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{
    DATA_SOURCE_ID, KNOWLEDGE_BASE_ID, KnowledgeBase,
    service_error::{self, constraint},
};
use crate::{bedrock::BedrockError, json_service::parse_request, object_only};

/// Bedrock's limit of documents in a request.
const MAX_DOCUMENTS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IngestRequest {
    /// The operation has the same effect however often it is repeated.
    #[serde(rename = "clientToken")]
    _client_token: Option<String>,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    documents: Vec<GivenDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenDocument {
    #[serde(deserialize_with = "object_only::deserialize")]
    content: GivenContent,
    #[serde(default, deserialize_with = "object_only::deserialize_option")]
    metadata: Option<GivenMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenContent {
    data_source_type: String,
    s3: Option<S3Content>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct S3Content {
    #[serde(deserialize_with = "object_only::deserialize")]
    s3_location: S3Location,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct S3Location {
    uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenMetadata {
    r#type: String,
    #[serde(default, deserialize_with = "object_only::deserialize_list")]
    inline_attributes: Vec<InlineAttribute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InlineAttribute {
    key: String,
    value: Value,
}

/// A document of the folder to ingest. Attributes that are given replace those of its metadata file.
struct Target {
    uri: String,
    attributes: Option<Attributes>,
}

/// What became of a document.
struct Outcome {
    uri: String,
    status: &'static str,
    reason: Option<String>,
}

/// Reads the documents from the folder and replaces them in the index.
pub async fn ingest(knowledge: &KnowledgeBase, body: &[u8]) -> Result<Value, BedrockError> {
    let request: IngestRequest = parse_request(body).map_err(BedrockError::validation)?;
    if request.documents.is_empty() || request.documents.len() > MAX_DOCUMENTS {
        return Err(constraint("documents", &format!("have length between 1 and {MAX_DOCUMENTS}")));
    }
    let targets = request.documents.into_iter().map(target).collect::<Result<Vec<_>, _>>()?;
    let knowledge = knowledge.clone();
    let outcomes = spawn_blocking(move || put_documents(&knowledge, targets)).await.map_err(|error| {
        tracing::error!(%error, "an ingestion of documents ended early");
        BedrockError::internal_error()
    })?;
    let details: Vec<Value> = outcomes.map_err(ingest_error)?.iter().map(document_detail).collect();
    Ok(json!({ "documentDetails": details }))
}

fn target(GivenDocument { content, metadata }: GivenDocument) -> Result<Target, BedrockError> {
    let s3 = content.s3.filter(|_| content.data_source_type == "S3");
    let s3 = s3.ok_or_else(|| {
        BedrockError::validation("A data source of the type S3 takes documents of the dataSourceType S3 alone.")
    })?;
    Ok(Target { uri: s3.s3_location.uri, attributes: metadata.map(parse_attributes).transpose()? })
}

fn parse_attributes(metadata: GivenMetadata) -> Result<Attributes, BedrockError> {
    if metadata.r#type != "IN_LINE_ATTRIBUTE" {
        let message = "The metadata of a document is read from the file beside it, or given as IN_LINE_ATTRIBUTE.";
        return Err(BedrockError::validation(message));
    }
    if metadata.inline_attributes.len() > MAX_ATTRIBUTES {
        let rule = format!("have length less than or equal to {MAX_ATTRIBUTES}");
        return Err(constraint("documents.metadata.inlineAttributes", &rule));
    }
    let parse = |InlineAttribute { key, value }| {
        let parsed = AttributeValue::from_typed(&value);
        let parsed = parsed.ok_or_else(|| {
            BedrockError::validation(format!("The value of the metadata attribute {key:?} is not of its type."))
        })?;
        Ok((key, parsed))
    };
    metadata.inline_attributes.into_iter().map(parse).collect()
}

/// The outcomes are in the order of the targets.
fn put_documents(knowledge: &KnowledgeBase, targets: Vec<Target>) -> Result<Vec<Outcome>, IngestError> {
    let listing = knowledge.0.folder.list()?;
    let files: BTreeMap<&str, _> = listing.files.iter().map(|file| (file.uri.as_str(), file)).collect();
    let mut documents = Vec::new();
    let mut outcomes = Vec::new();
    for Target { uri, attributes } in targets {
        let (status, reason) = match files.get(uri.as_str()).map(|file| file.read()) {
            None => ("NOT_FOUND", None),
            Some(Err(error)) => ("FAILED", Some(error.to_string())),
            Some(Ok(document)) => {
                let attributes = attributes.unwrap_or_else(|| document.attributes.clone());
                documents.push(Document { attributes, ..document });
                ("INDEXED", None)
            }
        };
        outcomes.push(Outcome { uri, status, reason });
    }
    let IngestionReport { failures, .. } = knowledge.0.index.put_documents(documents)?;
    for failure in failures {
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.uri == failure.uri) {
            outcome.status = "FAILED";
            outcome.reason = Some(failure.reason.clone());
        }
    }
    Ok(outcomes)
}

fn ingest_error(error: IngestError) -> BedrockError {
    match error {
        IngestError::Busy => service_error::job_is_running(),
        IngestError::Embedder(error) => service_error::dependency_failed(error.to_string()),
        IngestError::Stopped | IngestError::Folder(_) | IngestError::OtherSettings | IngestError::Index(_) => {
            tracing::error!(%error, "documents cannot be ingested");
            BedrockError::internal_error()
        }
    }
}

fn document_detail(Outcome { uri, status, reason }: &Outcome) -> Value {
    let mut detail = json!({
        "knowledgeBaseId": KNOWLEDGE_BASE_ID,
        "dataSourceId": DATA_SOURCE_ID,
        "identifier": { "dataSourceType": "S3", "s3": { "uri": uri } },
        "status": status,
        "updatedAt": Timestamp::now().to_string(),
    });
    if let Some(reason) = reason {
        detail["statusReason"] = json!(reason);
    }
    detail
}
