//! DynamoDB's typed values: from request documents, whose numbers are JSON numbers, and to the plain values handlers see.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dynoxide::{AttributeValue, Item};
use serde_json::{Map, Number, Value, json};

use super::document::Refusal;

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
        AttributeValue::SS(texts) => json!(texts),
        AttributeValue::NS(numbers) => numbers.iter().map(|digits| number(digits)).collect(),
        AttributeValue::BS(sets) => sets.iter().map(|bytes| json!(BASE64.encode(bytes))).collect(),
        AttributeValue::L(list) => list.iter().map(plain).collect(),
        AttributeValue::M(map) => plain_item(map),
    }
}

/// JavaScript keeps 53 bits of a number: so much of it survives here too.
fn number(digits: &str) -> Value {
    let whole = digits.parse::<i64>().ok().map(Number::from);
    let real = || digits.parse::<f64>().ok().and_then(Number::from_f64);
    whole.or_else(real).map_or(Value::Null, Value::Number)
}
