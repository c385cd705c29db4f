//! AppSync's `nextToken`, which is valid only for the request that returned it.
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::{appsync_error::AppSyncError, request_document::RequestDocument};

/// The members of a request that must not change from page to page.
const FIXED_MEMBERS: [&str; 6] = ["operation", "query", "index", "scanIndexForward", "segment", "totalSegments"];

pub fn next_token(table: &str, document: &RequestDocument<'_>, last_key: &Value) -> String {
    BASE64.encode(json!([request_hash(table, document), last_key]).to_string())
}

/// The `ExclusiveStartKey` of the request's `nextToken`. Fails for a token of another request.
pub fn exclusive_start_key(table: &str, document: &RequestDocument<'_>) -> Result<Option<Value>, AppSyncError> {
    if document.optional("nextToken").is_none() {
        return Ok(None);
    }
    let bytes = BASE64.decode(document.text("nextToken")?).map_err(|_| AppSyncError::invalid_next_token())?;
    let (hash, key): (u64, Value) = serde_json::from_slice(&bytes).map_err(|_| AppSyncError::invalid_next_token())?;
    if hash == request_hash(table, document) { Ok(Some(key)) } else { Err(AppSyncError::invalid_next_token()) }
}

fn request_hash(table: &str, document: &RequestDocument<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    table.hash(&mut hasher);
    for member in FIXED_MEMBERS {
        document.optional(member).map(Value::to_string).hash(&mut hasher);
    }
    hasher.finish()
}
