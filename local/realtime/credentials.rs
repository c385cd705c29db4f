//! Where a WebSocket client puts the headers that a browser would not let it send.
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

use crate::identity::Denial;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The headers of a handshake: from a sub-protocol, else from the query, else its own.
pub fn of_handshake(parts: &Parts) -> Result<HeaderMap, Denial> {
    let encoded = protocols(&parts.headers).find_map(|protocol| protocol.strip_prefix("header-").map(str::to_owned));
    if let Some(encoded) = encoded.or_else(|| of_query(parts)) {
        let decoded = BASE64_URL.decode(&encoded).or_else(|_| BASE64.decode(&encoded)).ok();
        let written = decoded.and_then(|json| serde_json::from_slice(&json).ok());
        return of_json(&written.unwrap_or_default());
    }
    let own = &parts.headers;
    if own.contains_key(AUTHORIZATION) || own.contains_key("x-api-key") {
        Ok(own.clone())
    } else {
        Err(Denial::CredentialsMissing)
    }
}

/// Headers written as a JSON object. Their names may be of any case; `host` has to be among them.
pub fn of_json(written: &Value) -> Result<HeaderMap, Denial> {
    let members = written.as_object().into_iter().flatten();
    let headers: HeaderMap = members
        .filter_map(|(name, value)| {
            let name = HeaderName::try_from(name.to_ascii_lowercase()).ok()?;
            Some((name, HeaderValue::from_str(value.as_str()?).ok()?))
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.insert(name, value);
            headers
        });
    if headers.contains_key(HOST) { Ok(headers) } else { Err(Denial::CredentialsMissing) }
}

pub fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn of_query(parts: &Parts) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok()?;
    let header = pairs.into_iter().find_map(|(name, value)| (name == "header").then_some(value))?;
    // A plus sign that the client did not escape arrives as a space.
    Some(header.replace(' ', "+"))
}
