//! `nextToken`: AppSync's own, good only for the request that it came from.
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::appsync_error::Refusal;
use super::request_document::Document;

/// The members of a request that a token is bound to.
const BOUND: [&str; 6] = ["operation", "query", "index", "scanIndexForward", "segment", "totalSegments"];

pub fn token(table: &str, document: &Document<'_>, last_key: &Value) -> String {
    BASE64.encode(json!([binding(table, document), last_key]).to_string())
}

/// The key after which the request goes on.
pub fn start_key(table: &str, document: &Document<'_>) -> Result<Option<Value>, Refusal> {
    if document.optional("nextToken").is_none() {
        return Ok(None);
    }
    let bytes = BASE64.decode(document.text("nextToken")?).map_err(|_| Refusal::token())?;
    let (bound, key): (u64, Value) = serde_json::from_slice(&bytes).map_err(|_| Refusal::token())?;
    if bound == binding(table, document) { Ok(Some(key)) } else { Err(Refusal::token()) }
}

fn binding(table: &str, document: &Document<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    table.hash(&mut hasher);
    for member in BOUND {
        document.optional(member).map(Value::to_string).hash(&mut hasher);
    }
    hasher.finish()
}
