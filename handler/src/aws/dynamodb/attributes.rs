//! Attribute values of DynamoDB items.
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

pub type Item = HashMap<String, AttributeValue>;

pub fn string(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub fn boolean(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

/// A value of the API: an enum as a string with the name of schema.graphql, a struct as a map.
pub fn attribute(value: impl Serialize) -> AttributeValue {
    serde_dynamo::to_attribute_value(value).expect("types of the API always serialize")
}

/// The string attribute of this name, if there is one.
pub fn get_string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}
