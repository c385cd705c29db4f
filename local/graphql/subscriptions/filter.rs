//! Subscription filters: equality with arguments, or an enhanced filter set by the resolver.
use std::cmp::Ordering;

use serde_json::{Map, Value};

/// AppSync's limit on the alternatives of a filter, where each value of an `in` counts as one.
const MAX_ALTERNATIVES: usize = 10;
const MAX_FIELDS_PER_GROUP: usize = 5;
const MAX_IN_VALUES: usize = 5;
const MAX_CONTAINS_ANY_VALUES: usize = 20;
const MAX_TEXT_CHARACTERS: usize = 256;
const MAX_PATH_LEVELS: usize = 5;

#[derive(Clone, Debug)]
pub enum Filter {
    /// Each argument equals the payload's field of the same name. Absent arguments do not filter.
    Arguments(Map<String, Value>),
    /// All conditions of at least one group hold.
    Groups(Vec<Vec<Condition>>),
}

/// A text that every payload has at the path if it passes the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EqualityKey {
    pub path: Vec<String>,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct Condition {
    path: Vec<String>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Value),
    NotEqual(Value),
    Ordered(Value, fn(Ordering) -> bool),
    Between(Value, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Contains(Value),
    NotContains(Value),
    ContainsAny(Vec<Value>),
    BeginsWith(Value),
    /// An operator that AppSync does not know. AppSync reports no error and no payload passes.
    Unknown,
}

impl Filter {
    pub fn from_arguments(arguments: Map<String, Value>) -> Self {
        Filter::Arguments(arguments)
    }

    /// Parses an enhanced filter, the argument of `extensions.setSubscriptionFilter`. The error is one
    /// sentence.
    pub fn parse(json: &Value) -> Result<Self, String> {
        let groups = json.get("filterGroup").and_then(Value::as_array);
        let groups = groups.ok_or("A subscription filter needs a list filterGroup.")?;
        let groups = groups.iter().map(parse_group).collect::<Result<Vec<_>, _>>()?;
        let alternatives: usize =
            groups.iter().map(|group| group.iter().map(Condition::alternatives).product::<usize>()).sum();
        if alternatives > MAX_ALTERNATIVES {
            return Err(format!(
                "A subscription filter has at most {MAX_ALTERNATIVES} alternatives, counting each value of in; this has {alternatives}."
            ));
        }
        Ok(Filter::Groups(groups))
    }

    /// The equality key of the filter, if it has one.
    pub fn equality_key(&self) -> Option<EqualityKey> {
        match self {
            Filter::Arguments(arguments) => arguments.iter().find_map(|(name, value)| {
                let text = value.as_str()?.to_owned();
                Some(EqualityKey { path: vec![name.clone()], text })
            }),
            Filter::Groups(groups) => match groups.as_slice() {
                [group] => group.iter().find_map(Condition::equality_key),
                _ => None,
            },
        }
    }

    pub fn matches(&self, payload: &Value) -> bool {
        match self {
            Filter::Arguments(arguments) => {
                arguments.iter().all(|(name, value)| equal(value, payload.get(name).unwrap_or(&Value::Null)))
            }
            Filter::Groups(groups) => groups.iter().any(|group| group.iter().all(|condition| condition.holds(payload))),
        }
    }
}

fn parse_group(json: &Value) -> Result<Vec<Condition>, String> {
    let filters = json.get("filters").and_then(Value::as_array);
    let filters = filters.ok_or("Each member of filterGroup needs a list filters.")?;
    let conditions = filters.iter().map(parse_condition).collect::<Result<Vec<_>, _>>()?;
    let mut fields: Vec<_> = conditions.iter().map(|condition| &condition.path).collect();
    fields.sort();
    fields.dedup();
    if fields.len() > MAX_FIELDS_PER_GROUP {
        return Err(format!(
            "One list of filters names at most {MAX_FIELDS_PER_GROUP} fields; this names {}.",
            fields.len()
        ));
    }
    Ok(conditions)
}

fn parse_condition(json: &Value) -> Result<Condition, String> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let field = text("fieldName").ok_or("A filter needs a fieldName.")?;
    let operator = text("operator").ok_or_else(|| format!("The filter of {field} needs an operator."))?;
    let path: Vec<_> = field.split('.').map(str::to_owned).collect();
    if path.len() > MAX_PATH_LEVELS {
        return Err(format!("{field} is nested deeper than {MAX_PATH_LEVELS} levels."));
    }
    let value = json.get("value").cloned().unwrap_or_default();
    let values = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
    if values.iter().filter_map(Value::as_str).any(|text| text.chars().count() > MAX_TEXT_CHARACTERS) {
        return Err(format!(
            "The filter of {field} compares with a text of more than {MAX_TEXT_CHARACTERS} characters."
        ));
    }
    Ok(Condition { path, test: parse_test(field, operator, value)? })
}

fn parse_test(field: &str, operator: &str, value: Value) -> Result<Test, String> {
    Ok(match operator {
        "eq" => Test::Equal(value),
        "ne" => Test::NotEqual(value),
        "le" => Test::Ordered(value, Ordering::is_le),
        "lt" => Test::Ordered(value, Ordering::is_lt),
        "ge" => Test::Ordered(value, Ordering::is_ge),
        "gt" => Test::Ordered(value, Ordering::is_gt),
        "contains" => Test::Contains(value),
        "notContains" => Test::NotContains(value),
        "beginsWith" => Test::BeginsWith(value),
        "in" => Test::In(parse_list(field, operator, value, MAX_IN_VALUES)?),
        "notIn" => Test::NotIn(parse_list(field, operator, value, MAX_IN_VALUES)?),
        "containsAny" => Test::ContainsAny(parse_list(field, operator, value, MAX_CONTAINS_ANY_VALUES)?),
        "between" => match <[Value; 2]>::try_from(parse_list(field, operator, value, 2)?) {
            Ok([low, high]) => Test::Between(low, high),
            Err(_) => return Err(format!("The filter of {field} needs two values for between.")),
        },
        _ => Test::Unknown,
    })
}

fn parse_list(field: &str, operator: &str, value: Value, max_values: usize) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(values) if values.len() <= max_values => Ok(values),
        Value::Array(values) => Err(format!(
            "The filter of {field} may list {max_values} values for {operator}; this lists {}.",
            values.len()
        )),
        _ => Err(format!("The filter of {field} needs a list of values for {operator}.")),
    }
}

impl Condition {
    /// The number of alternatives that the condition multiplies its group by.
    fn alternatives(&self) -> usize {
        if let Test::In(values) = &self.test { values.len().max(1) } else { 1 }
    }

    fn equality_key(&self) -> Option<EqualityKey> {
        let Test::Equal(Value::String(text)) = &self.test else { return None };
        Some(EqualityKey { path: self.path.clone(), text: text.clone() })
    }

    fn holds(&self, payload: &Value) -> bool {
        let found = value_at(payload, &self.path).unwrap_or(&Value::Null);
        match &self.test {
            Test::Equal(value) => equal(found, value),
            Test::NotEqual(value) => !equal(found, value),
            Test::Ordered(value, accepts) => compare(found, value).is_some_and(accepts),
            Test::Between(low, high) => {
                compare(found, low).is_some_and(Ordering::is_ge) && compare(found, high).is_some_and(Ordering::is_le)
            }
            Test::In(values) => values.iter().any(|value| equal(found, value)),
            Test::NotIn(values) => !values.iter().any(|value| equal(found, value)),
            Test::Contains(value) => contains(found, value),
            Test::NotContains(value) => !contains(found, value),
            Test::ContainsAny(values) => values.iter().any(|value| contains(found, value)),
            Test::BeginsWith(value) => begins_with(found, value),
            Test::Unknown => false,
        }
    }
}

/// Compares numbers by value: 1 equals 1.0.
fn equal(one: &Value, other: &Value) -> bool {
    one == other || compare(one, other) == Some(Ordering::Equal)
}

fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Array(items), part) => items.iter().any(|item| equal(item, part)),
        (Value::String(whole), Value::String(part)) => whole.contains(part.as_str()),
        _ => false,
    }
}

fn begins_with(whole: &Value, prefix: &Value) -> bool {
    whole.as_str().zip(prefix.as_str()).is_some_and(|(whole, prefix)| whole.starts_with(prefix))
}

/// The value at a path of a payload.
pub fn value_at<'v>(payload: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(payload, |value, name| value.get(name))
}

#[cfg(test)]
mod tests;
