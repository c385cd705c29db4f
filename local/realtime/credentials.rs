//! The headers of WebSocket clients, which browsers cannot send as HTTP headers.
use axum::extract::Query;
use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, HOST, SEC_WEBSOCKET_PROTOCOL},
    request::Parts,
};
use serde_json::Value;

use crate::{identity::AuthError, json_input::JsonDocument};

const OPTIONAL_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, OPTIONAL_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, OPTIONAL_PADDING);

/// The headers of a handshake: from the subprotocol `header-…`, else from the query parameter `header`, else
/// the HTTP headers.
pub fn from_handshake(parts: &Parts) -> Result<HeaderMap, AuthError> {
    match encoded_subprotocol(&parts.headers).or_else(|| query_parameter(parts)) {
        Some(encoded) => from_base64(&encoded),
        None => from_http_headers(&parts.headers),
    }
}

/// The headers of a handshake: from the subprotocol `header-…`, else the HTTP headers.
pub fn from_subprotocol_or_headers(parts: &Parts) -> Result<HeaderMap, AuthError> {
    match encoded_subprotocol(&parts.headers) {
        Some(encoded) => from_base64(&encoded),
        None => from_http_headers(&parts.headers),
    }
}

fn encoded_subprotocol(headers: &HeaderMap) -> Option<String> {
    subprotocols(headers).find_map(|protocol| protocol.strip_prefix("header-").map(str::to_owned))
}

fn from_base64(encoded: &str) -> Result<HeaderMap, AuthError> {
    let decoded = BASE64_URL.decode(encoded).or_else(|_| BASE64.decode(encoded)).ok();
    let json = decoded.and_then(|json| JsonDocument::parse(std::str::from_utf8(&json).ok()?));
    from_json(&json.map_or(Value::Null, |document| document.value.to_json()))
}

fn from_http_headers(headers: &HeaderMap) -> Result<HeaderMap, AuthError> {
    if headers.contains_key(AUTHORIZATION) || headers.contains_key("x-api-key") {
        Ok(headers.clone())
    } else {
        Err(AuthError::CredentialsMissing)
    }
}

/// Headers given as a JSON object with names in any case. `host` is required.
pub fn from_json(json: &Value) -> Result<HeaderMap, AuthError> {
    let mut headers = HeaderMap::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name.to_ascii_lowercase()).ok();
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    if headers.contains_key(HOST) { Ok(headers) } else { Err(AuthError::CredentialsMissing) }
}

pub fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn query_parameter(parts: &Parts) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok()?;
    let header = pairs.into_iter().find_map(|(name, value)| (name == "header").then_some(value))?;
    // An unescaped plus sign arrives as a space.
    Some(header.replace(' ', "+"))
}
