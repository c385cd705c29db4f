//! Request documents of resolvers, and the DynamoDB requests that are built from them.
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{appsync_error::AppSyncError, attribute_values::to_attribute_values};

/// A request document, or an object in one.
#[derive(Clone, Copy)]
pub struct RequestDocument<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> RequestDocument<'a> {
    pub fn parse(value: &'a Value) -> Result<Self, AppSyncError> {
        match value.as_object() {
            Some(members) => Ok(RequestDocument { members }),
            None => Err(AppSyncError::invalid_document(format!("A request is an object, not {value}."))),
        }
    }

    /// The member, or `None` if it is absent or null.
    pub fn optional(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub fn required(&self, name: &str) -> Result<&'a Value, AppSyncError> {
        let missing = || AppSyncError::invalid_document(format!("Value for field '$[{name}]' not found."));
        self.optional(name).ok_or_else(missing)
    }

    pub fn text(&self, name: &str) -> Result<&'a str, AppSyncError> {
        self.required(name)?.as_str().ok_or_else(|| wrong_type(name, "a string"))
    }

    pub fn list(&self, name: &str) -> Result<&'a [Value], AppSyncError> {
        self.required(name)?.as_array().map(Vec::as_slice).ok_or_else(|| wrong_type(name, "a list"))
    }

    pub fn map(&self, name: &str) -> Result<&'a Map<String, Value>, AppSyncError> {
        self.required(name)?.as_object().ok_or_else(|| wrong_type(name, "an object"))
    }

    /// The object in an optional member.
    pub fn child(&self, name: &str) -> Result<Option<RequestDocument<'a>>, AppSyncError> {
        match self.optional(name) {
            Some(_) => self.map(name).map(|members| Some(RequestDocument { members })),
            None => Ok(None),
        }
    }

    /// A required map of attribute values.
    pub fn attribute_values(&self, name: &str) -> Result<Value, AppSyncError> {
        to_attribute_values(self.map(name)?)
    }

    /// Fails if the document has one of these members.
    pub fn reject_members(&self, names: &[&str]) -> Result<(), AppSyncError> {
        match names.iter().find(|name| self.optional(name).is_some()) {
            Some(name) => Err(AppSyncError::invalid_document(format!("The local server does not support '{name}'."))),
            None => Ok(()),
        }
    }
}

pub fn wrong_type(name: &str, expected: &str) -> AppSyncError {
    AppSyncError::invalid_document(format!("Field '$[{name}]' is to be {expected}."))
}

/// Builds a DynamoDB request from the members of a request document.
pub struct RequestBuilder(Map<String, Value>);

impl RequestBuilder {
    pub fn for_table(table: &str) -> Self {
        RequestBuilder(Map::from_iter([("TableName".to_owned(), json!(table))]))
    }

    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Copies a member of the document, if it is present.
    pub fn copy(self, name: &str, document: &RequestDocument<'_>, member: &str) -> Self {
        match document.optional(member) {
            Some(value) => self.set(name, value.clone()),
            None => self,
        }
    }

    /// Adds an `{expression, expressionNames, expressionValues}` object, if it is present. All expressions of
    /// a request share names and values.
    pub fn expression(mut self, name: &str, document: Option<RequestDocument<'_>>) -> Result<Self, AppSyncError> {
        let Some(document) = document else { return Ok(self) };
        self = self.set(name, document.text("expression")?);
        if document.optional("expressionNames").is_some() {
            self.merge("ExpressionAttributeNames", document.map("expressionNames")?.clone());
        }
        if document.optional("expressionValues").is_some()
            && let Value::Object(values) = document.attribute_values("expressionValues")?
        {
            self.merge("ExpressionAttributeValues", values);
        }
        Ok(self)
    }

    fn merge(&mut self, name: &str, members: Map<String, Value>) {
        if members.is_empty() {
            return;
        }
        if let Some(present) = self.0.entry(name).or_insert_with(|| json!({})).as_object_mut() {
            present.extend(members);
        }
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    pub fn build<T: DeserializeOwned>(self) -> Result<T, AppSyncError> {
        parse_request(self.into_value())
    }
}

/// Parses a DynamoDB request. An invalid request fails with DynamoDB's message.
pub fn parse_request<T: DeserializeOwned>(request: Value) -> Result<T, AppSyncError> {
    serde_json::from_value(request).map_err(|error| {
        let message = error.to_string();
        AppSyncError::invalid_request(message.trim_start_matches("VALIDATION:").to_owned())
    })
}
