//! Events of API Gateway's WebSocket APIs, as far as they are read.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::caller::Caller;

/// An event of a route, or the event of the authorizer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyEvent {
    pub request_context: RequestContext,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    query_string_parameters: Option<BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<BTreeMap<String, Vec<String>>>,
    pub body: Option<String>,
    /// Only in the authorizer's event.
    pub method_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    pub event_type: EventType,
    pub connection_id: String,
    message_id: Option<String>,
    authorizer: Option<AuthorizerContext>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventType {
    Connect,
    Message,
    Disconnect,
}

/// What the authorizer has returned, as texts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerContext {
    caller: String,
    expires_at: Option<Value>,
}

impl RequestContext {
    /// Empty in events that are no messages.
    pub fn message_id(&self) -> &str {
        self.message_id.as_deref().unwrap_or_default()
    }
}

impl ProxyEvent {
    /// The caller, and when its credential expires, in seconds since 1970.
    pub fn authorized_caller(&self) -> Option<(Caller, Option<u64>)> {
        let context = self.request_context.authorizer.as_ref()?;
        let caller = serde_json::from_str(&context.caller).ok()?;
        let expires_at = match &context.expires_at {
            None => None,
            // A time that cannot be read has passed.
            Some(Value::String(text)) => Some(text.parse::<f64>().map_or(0, |seconds| seconds as u64)),
            Some(value) => Some(value.as_f64().unwrap_or_default() as u64),
        };
        Some((caller, expires_at))
    }

    /// The values of a header. `name`: in lower case.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        values(self.multi_value_headers.as_ref(), self.headers.as_ref(), |own| own.eq_ignore_ascii_case(name))
    }

    /// The values of a parameter of the query.
    pub fn query_values(&self, name: &str) -> Vec<&str> {
        let (all, last) = (&self.multi_value_query_string_parameters, &self.query_string_parameters);
        values(all.as_ref(), last.as_ref(), |own| own == name)
    }
}

/// The values in the map with all values, or in that with the last value of each name.
fn values<'a>(
    all: Option<&'a BTreeMap<String, Vec<String>>>,
    last: Option<&'a BTreeMap<String, String>>,
    is_named: impl Fn(&str) -> bool,
) -> Vec<&'a str> {
    match (all, last) {
        (Some(all), _) => {
            all.iter().filter(|(name, _)| is_named(name)).flat_map(|(_, values)| values).map(String::as_str).collect()
        }
        (None, Some(last)) => last.iter().filter(|(name, _)| is_named(name)).map(|(_, value)| value.as_str()).collect(),
        (None, None) => Vec::new(),
    }
}
