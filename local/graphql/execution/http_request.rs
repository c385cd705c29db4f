//! Requests and responses of HTTP data sources.
//!
//! AppSync documents the members of a request: `method`, `resourcePath` and `params` with `headers`,
//! `query` and `body`. A response of any status is `ctx.result`, with the members `statusCode`, `headers`
//! and `body`, which is text; only a request without a response is `ctx.error`. It is not documented what
//! AppSync does with a body that is not text: its examples that call AWS services give an object and expect
//! its JSON to be sent.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::resolver_error::ResolverError;

/// The content types that AppSync sends, besides those that begin with `text/`.
const CONTENT_TYPES: [&str; 7] = [
    "application/xml",
    "application/json",
    "application/soap+xml",
    "application/x-amz-json-1.0",
    "application/x-amz-json-1.1",
    "application/vnd.api+json",
    "application/x-ndjson",
];

#[derive(Debug, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: Method,
    /// It begins with `/`.
    pub resource_path: String,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    pub query: Map<String, Value>,
    pub body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Put,
    Post,
    Get,
    Delete,
    Patch,
}

#[derive(Debug, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RequestDocument {
    #[serde(rename = "version")]
    _version: Option<String>,
    method: Method,
    resource_path: String,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(default)]
    body: Value,
}

impl HttpRequest {
    /// Reads what a request handler returned.
    pub fn parse(document: &Value) -> Result<Self, ResolverError> {
        let invalid = |message: String| ResolverError::invalid_request(format!("Invalid HTTP request: {message}."));
        let RequestDocument { method, resource_path, params, .. } =
            RequestDocument::deserialize(document).map_err(|error| invalid(error.to_string()))?;
        if !resource_path.starts_with('/') {
            return Err(invalid(format!("the resourcePath {resource_path} does not begin with /")));
        }
        let headers = params.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let headers: BTreeMap<String, String> = headers.collect();
        if let Some(content_type) = headers.get("content-type")
            && !is_supported(content_type)
        {
            return Err(invalid(format!("the content type {content_type} is not supported")));
        }
        let body = match params.body {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self { method, resource_path, headers, query: params.query, body })
    }

    /// A header's value by its name in lower case; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

fn is_supported(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/") || CONTENT_TYPES.contains(&media_type.as_str())
}

impl HttpResponse {
    /// `ctx.result` of a response handler.
    pub fn into_result(self) -> Value {
        json!({ "statusCode": self.status, "headers": self.headers, "body": self.body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_message(document: Value) -> String {
        match HttpRequest::parse(&document).unwrap_err() {
            ResolverError::Raised(error) => error.message,
            _ => panic!("another error"),
        }
    }

    #[test]
    fn object_in_the_body_is_sent_as_json() {
        let request = |body: Value| {
            let headers = json!({ "Content-Type": "application/x-amz-json-1.1; charset=utf-8" });
            let params = json!({ "headers": headers, "query": { "a": 1 }, "body": body });
            let document = json!({ "method": "POST", "resourcePath": "/", "params": params });
            HttpRequest::parse(&document).ok().unwrap()
        };
        assert_eq!(request(json!({ "b": [1] })).body, "{\"b\":[1]}");
        assert_eq!(request(json!("{\"b\": 1}")).body, "{\"b\": 1}");
        let bare = request(Value::Null);
        assert_eq!((bare.method, bare.body.as_str(), &bare.query["a"]), (Method::Post, "", &json!(1)));
        assert_eq!(bare.header("content-type"), "application/x-amz-json-1.1; charset=utf-8");
        assert_eq!(bare.header("x-amz-target"), "");
    }

    #[test]
    fn unsupported_request_is_refused_by_its_member() {
        let content_type = json!({ "headers": { "content-type": "image/png" } });
        let cases = [
            (json!({ "resourcePath": "/" }), "missing field `method`"),
            (json!({ "method": "GET" }), "missing field `resourcePath`"),
            (json!({ "method": "HEAD", "resourcePath": "/" }), "unknown variant `HEAD`"),
            (json!({ "method": "GET", "resourcePath": "a" }), "the resourcePath a does not begin with /"),
            (json!({ "method": "GET", "resourcePath": "/", "body": 1 }), "unknown field `body`"),
            (
                json!({ "method": "GET", "resourcePath": "/", "params": content_type }),
                "the content type image/png is not supported",
            ),
        ];
        for (document, reason) in cases {
            let message = error_message(document);
            assert!(message.starts_with(&format!("Invalid HTTP request: {reason}")), "{message}");
        }
    }
}
