//! GraphQL requests as clients send them, and the context of a call.
use std::borrow::Cow;

use serde_json::Value;

use super::{lone_surrogates, schema::input_coercion::JsonObject};
use crate::identity::Caller;

/// A GraphQL request: the body of a POST, or the data of a subscription's start frame.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub query: String,
    #[serde(default)]
    pub variables: Option<JsonObject>,
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Whether the texts contain placeholders for lone surrogates.
    #[serde(skip)]
    pub has_lone_surrogates: bool,
}

/// The caller of a request, and the HTTP request that resolvers see.
#[derive(Clone)]
pub struct CallContext {
    pub caller: Caller,
    /// `ctx.request`.
    pub request: Value,
}

impl Request {
    /// Parses a client's JSON; returns `None` if it is not a GraphQL request.
    pub fn parse(json: &str) -> Option<Self> {
        let encoded = lone_surrogates::encode(json);
        let has_lone_surrogates = matches!(encoded, Cow::Owned(_));
        let request: Self = serde_json::from_str(&encoded).ok()?;
        let is_empty = request.query.trim().is_empty();
        (!is_empty).then_some(Self { has_lone_surrogates, ..request })
    }
}
