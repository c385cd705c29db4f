//! DynamoDB's attribute values: conversion from request documents and to plain JSON.
//!
//! Request documents hold numbers as JSON numbers, DynamoDB as strings.
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dynoxide::{AttributeValue, Item};
use serde_json::{Map, Value, json};

use super::appsync_error::AppSyncError;

/// Converts a map of attribute values of a request document. `{"N": 10}` becomes `{"N": "10"}`.
/// `{"NULL": null}` becomes `{"NULL": true}`.
pub fn to_attribute_values(values: &Map<String, Value>) -> Result<Value, AppSyncError> {
    let values = values.iter().map(|(name, value)| Ok((name.clone(), to_attribute_value(name, value)?)));
    values.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

fn to_attribute_value(name: &str, value: &Value) -> Result<Value, AppSyncError> {
    let invalid =
        || AppSyncError::invalid_document(format!("The value of '{name}' is not a typed DynamoDB value: {value}"));
    let members = value.as_object().filter(|members| members.len() == 1).ok_or_else(invalid)?;
    let (kind, content) = members.iter().next().ok_or_else(invalid)?;
    let content = match (kind.as_str(), content) {
        ("N", content) => number_text(content),
        ("NS", Value::Array(numbers)) => numbers.iter().map(number_text).collect(),
        ("NULL", _) => json!(true),
        ("M", Value::Object(map)) => to_attribute_values(map)?,
        ("L", Value::Array(list)) => {
            list.iter().map(|entry| to_attribute_value(name, entry)).collect::<Result<Value, _>>()?
        }
        ("S" | "B" | "BOOL" | "SS" | "BS", content) => content.clone(),
        _ => return Err(invalid()),
    };
    Ok(json!({ kind: content }))
}

fn number_text(number: &Value) -> Value {
    match number {
        Value::Number(number) => json!(number.to_string()),
        other => other.clone(),
    }
}

/// Converts an item to plain JSON, as response handlers see it.
pub fn to_plain_item(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), to_plain_value(value))).collect::<Map<_, _>>().into()
}

fn to_plain_value(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(digits) => parse_number(digits),
        AttributeValue::B(bytes) => json!(BASE64.encode(bytes)),
        AttributeValue::BOOL(boolean) => json!(boolean),
        AttributeValue::NULL(_) => Value::Null,
        AttributeValue::SS(texts) => json!(texts.iter().collect::<BTreeSet<_>>()),
        AttributeValue::NS(numbers) => sorted_numbers(numbers),
        AttributeValue::BS(sets) => {
            let sorted: BTreeSet<_> = sets.iter().collect();
            sorted.into_iter().map(|bytes| json!(BASE64.encode(bytes))).collect()
        }
        AttributeValue::L(list) => list.iter().map(to_plain_value).collect(),
        AttributeValue::M(map) => to_plain_item(map),
    }
}

/// A number set in ascending order, as DynamoDB returns it.
fn sorted_numbers(digits: &[String]) -> Value {
    let mut numbers: Vec<Value> = digits.iter().map(|digits| parse_number(digits)).collect();
    numbers.sort_by(|one, other| one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default()));
    numbers.into()
}

/// Parses a number with the precision of JavaScript's numbers. A whole number becomes a JSON integer.
fn parse_number(digits: &str) -> Value {
    let number: f64 = digits.parse().unwrap_or(f64::NAN);
    let is_exact_integer = number.fract() == 0.0 && number.abs() < (1u64 << 53) as f64;
    if is_exact_integer { json!(number as i64) } else { json!(number) }
}
