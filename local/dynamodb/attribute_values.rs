//! DynamoDB's typed values: from request documents, whose numbers are JSON numbers, to plain values for handlers.
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dynoxide::{AttributeValue, Item};
use serde_json::{Map, Value, json};

use super::appsync_error::Refusal;

/// A map of typed values as DynamoDB reads it: `{"N": 10}` becomes `{"N": "10"}`, `{"NULL": null}` becomes true.
pub fn typed_map(values: &Map<String, Value>) -> Result<Value, Refusal> {
    values
        .iter()
        .map(|(name, value)| Ok((name.clone(), typed(name, value)?)))
        .collect::<Result<Map<_, _>, _>>()
        .map(Value::Object)
}

fn typed(name: &str, value: &Value) -> Result<Value, Refusal> {
    let unreadable = || Refusal::template(format!("The value of '{name}' is not a typed DynamoDB value: {value}"));
    let members = value.as_object().filter(|members| members.len() == 1).ok_or_else(unreadable)?;
    let (kind, content) = members.iter().next().ok_or_else(unreadable)?;
    let content = match (kind.as_str(), content) {
        ("N", content) => digits(content),
        ("NS", Value::Array(numbers)) => numbers.iter().map(digits).collect(),
        ("NULL", _) => json!(true),
        ("M", Value::Object(map)) => typed_map(map)?,
        ("L", Value::Array(list)) => list.iter().map(|entry| typed(name, entry)).collect::<Result<Value, _>>()?,
        ("S" | "B" | "BOOL" | "SS" | "BS", content) => content.clone(),
        _ => return Err(unreadable()),
    };
    Ok(json!({ kind: content }))
}

fn digits(number: &Value) -> Value {
    match number {
        Value::Number(number) => json!(number.to_string()),
        other => other.clone(),
    }
}

pub fn plain_item(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>().into()
}

fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(digits) => number(digits),
        AttributeValue::B(bytes) => json!(BASE64.encode(bytes)),
        AttributeValue::BOOL(truth) => json!(truth),
        AttributeValue::NULL(_) => Value::Null,
        AttributeValue::SS(texts) => json!(texts.iter().collect::<BTreeSet<_>>()),
        AttributeValue::NS(numbers) => ordered(numbers),
        AttributeValue::BS(sets) => {
            sets.iter().collect::<BTreeSet<_>>().into_iter().map(|bytes| json!(BASE64.encode(bytes))).collect()
        }
        AttributeValue::L(list) => list.iter().map(plain).collect(),
        AttributeValue::M(map) => plain_item(map),
    }
}

/// A set of numbers in the order of their values, as DynamoDB gives it.
fn ordered(digits: &[String]) -> Value {
    let mut numbers: Vec<Value> = digits.iter().map(|digits| number(digits)).collect();
    numbers.sort_by(|one, other| one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default()));
    numbers.into()
}

/// JavaScript keeps 53 bits of a number: so much of it survives here too. What is whole prints as whole.
fn number(digits: &str) -> Value {
    let real: f64 = digits.parse().unwrap_or(f64::NAN);
    let whole = real.fract() == 0.0 && real.abs() < (1u64 << 53) as f64;
    if whole { json!(real as i64) } else { json!(real) }
}
