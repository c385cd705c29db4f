//! GraphQL requests as clients send them, and the context of a call.
use serde_json::Value;

use crate::{
    identity::Caller,
    json_input::{InputObject, JsonDocument, JsonInput},
    lone_surrogates,
};

/// A GraphQL request: the body of a POST, the parameters of a GET, or the data of a subscription's start
/// frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub query: String,
    pub variables: InputObject,
    pub operation_name: Option<String>,
    /// Whether the texts are encoded by `lone_surrogates`.
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
        let JsonDocument { value, has_lone_surrogates } = JsonDocument::parse(json)?;
        let members = value.as_object()?;
        let member = |name: &str| members.get(name).unwrap_or(&JsonInput::Null);
        let query = member("query").as_text()?.to_owned();
        let variables = parse_variables(member("variables"))?;
        let operation_name = match member("operationName") {
            JsonInput::Null => None,
            name => Some(name.as_text()?.to_owned()),
        };
        Self { query, variables, operation_name, has_lone_surrogates }.unless_empty()
    }

    /// Makes a request of the parameters of a GET; `variables` is JSON.
    pub fn from_parameters(query: &str, variables: Option<&str>, operation_name: Option<&str>) -> Option<Self> {
        let variables = variables.map_or(Some(JsonDocument::empty()), JsonDocument::parse)?;
        let has_lone_surrogates = variables.has_lone_surrogates;
        let encode = |text: &str| if has_lone_surrogates { lone_surrogates::encode(text) } else { text.to_owned() };
        let (query, operation_name) = (encode(query), operation_name.map(encode));
        let variables = parse_variables(&variables.value)?;
        Self { query, variables, operation_name, has_lone_surrogates }.unless_empty()
    }

    fn unless_empty(self) -> Option<Self> {
        let is_empty = self.query.trim().is_empty();
        (!is_empty).then_some(self)
    }
}

fn parse_variables(json: &JsonInput) -> Option<InputObject> {
    match json {
        JsonInput::Null => Some(InputObject::default()),
        json => json.as_object().cloned(),
    }
}
