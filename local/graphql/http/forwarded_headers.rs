//! The request headers that resolvers see.
use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde_json::{Map, Value, json};

/// `ctx.request`: header names in lower case, a repeated header as a list, without cookies.
pub(crate) fn forwarded_request(headers: &HeaderMap) -> Value {
    let forwarded: Map<String, Value> = headers
        .keys()
        .filter(|name| **name != COOKIE)
        .map(|name| (name.to_string(), header_value(headers.get_all(name).iter())))
        .collect();
    json!({ "headers": forwarded, "domainName": null })
}

fn header_value<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Value {
    let mut values: Vec<Value> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect();
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}
