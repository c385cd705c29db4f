//! Reads request documents, as resolvers write them, into the members of DynamoDB's own requests.
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::appsync_error::Refusal;
use super::attribute_values::typed_map;

/// A request document, or an object inside one.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Document<'a> {
    pub fn read(value: &'a Value) -> Result<Self, Refusal> {
        let members = value.as_object();
        let members = members.ok_or_else(|| Refusal::template(format!("A request is an object, not {value}.")))?;
        Ok(Document { members })
    }

    /// A null member is as good as absent.
    pub fn optional(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub fn required(&self, name: &str) -> Result<&'a Value, Refusal> {
        self.optional(name).ok_or_else(|| Refusal::template(format!("Value for field '$[{name}]' not found.")))
    }

    pub fn text(&self, name: &str) -> Result<&'a str, Refusal> {
        self.required(name)?.as_str().ok_or_else(|| unsuitable(name, "a string"))
    }

    pub fn list(&self, name: &str) -> Result<&'a [Value], Refusal> {
        self.required(name)?.as_array().map(Vec::as_slice).ok_or_else(|| unsuitable(name, "a list"))
    }

    pub fn map(&self, name: &str) -> Result<&'a Map<String, Value>, Refusal> {
        self.required(name)?.as_object().ok_or_else(|| unsuitable(name, "an object"))
    }

    pub fn child(&self, name: &str) -> Result<Option<Document<'a>>, Refusal> {
        self.optional(name).map(|_| self.map(name).map(|members| Document { members })).transpose()
    }

    pub fn typed(&self, name: &str) -> Result<Value, Refusal> {
        typed_map(self.map(name)?)
    }

    /// Only versioned data sources read these.
    pub fn refuse(&self, names: &[&str]) -> Result<(), Refusal> {
        match names.iter().find(|name| self.optional(name).is_some()) {
            Some(name) => Err(Refusal::template(format!("The laptop edition does not support '{name}'."))),
            None => Ok(()),
        }
    }
}

pub fn unsuitable(name: &str, wanted: &str) -> Refusal {
    Refusal::template(format!("Field '$[{name}]' is to be {wanted}."))
}

/// A request to DynamoDB in the making.
pub struct Request(Map<String, Value>);

impl Request {
    pub fn to(table: &str) -> Self {
        Request(Map::from_iter([("TableName".to_owned(), json!(table))]))
    }

    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Carries a member over if the document has it.
    pub fn copy(self, name: &str, document: &Document<'_>, member: &str) -> Self {
        match document.optional(member) {
            Some(value) => self.set(name, value.clone()),
            None => self,
        }
    }

    /// Adds `{expression, expressionNames, expressionValues}`; several expressions share names and values.
    pub fn expression(mut self, name: &str, document: Option<Document<'_>>) -> Result<Self, Refusal> {
        let Some(document) = document else { return Ok(self) };
        self = self.set(name, document.text("expression")?);
        if document.optional("expressionNames").is_some() {
            self.merge("ExpressionAttributeNames", document.map("expressionNames")?.clone());
        }
        if let Some(Value::Object(values)) =
            document.optional("expressionValues").map(|_| document.typed("expressionValues")).transpose()?
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

    pub fn build<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        build(self.into_value())
    }
}

pub fn build<T: DeserializeOwned>(request: Value) -> Result<T, Refusal> {
    serde_json::from_value(request)
        .map_err(|fault| Refusal::request(fault.to_string().trim_start_matches("VALIDATION:").to_owned()))
}
