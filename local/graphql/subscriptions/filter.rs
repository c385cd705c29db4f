//! Which payloads reach a subscription: those equal to its arguments, or those its resolver's filter lets pass.
use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::graphql::subscriptions::index::{Pin, at};

/// The OR branches of a filter, counting each value of an `in` as one.
const BRANCHES: usize = 10;
const FIELDS_OF_A_BRANCH: usize = 5;
const LISTED_VALUES: usize = 5;
const CONTAINED_VALUES: usize = 20;
const TEXT_CHARACTERS: usize = 256;
const PATH_LEVELS: usize = 5;

#[derive(Clone, Debug)]
pub enum Filter {
    /// Each argument equals the field of the same name. One that was left out filters nothing.
    Arguments(Map<String, Value>),
    /// One group at least, of which every condition holds.
    Groups(Vec<Vec<Condition>>),
}

#[derive(Clone, Debug)]
pub struct Condition {
    path: Vec<String>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Value),
    Unequal(Value),
    Ordered(Value, fn(Ordering) -> bool),
    Between(Value, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Contains(Value),
    NotContains(Value),
    ContainsAny(Vec<Value>),
    BeginsWith(Value),
    /// An operator AppSync does not know: it says nothing and lets nothing pass.
    Never,
}

impl Filter {
    pub fn of_arguments(arguments: Map<String, Value>) -> Self {
        Filter::Arguments(arguments)
    }

    /// A filter as `extensions.setSubscriptionFilter` takes it; a limit it breaks is one sentence.
    pub fn enhanced(written: &Value) -> Result<Self, String> {
        let groups = written.get("filterGroup").and_then(Value::as_array);
        let groups = groups.ok_or("A subscription filter needs a list filterGroup.")?;
        let groups = groups.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        let branches: usize = groups.iter().map(|group| group.iter().map(Condition::branches).product::<usize>()).sum();
        if branches > BRANCHES {
            return Err(format!(
                "A subscription filter has at most {BRANCHES} alternatives, counting each value of in; this has {branches}."
            ));
        }
        Ok(Filter::Groups(groups))
    }

    /// A text that every payload it lets pass has at some path, if there is one.
    pub fn pin(&self) -> Option<Pin> {
        match self {
            Filter::Arguments(arguments) => arguments.iter().find_map(|(name, value)| {
                let text = value.as_str()?.to_owned();
                Some(Pin { path: vec![name.clone()], text })
            }),
            Filter::Groups(groups) => match groups.as_slice() {
                [group] => group.iter().find_map(Condition::pin),
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

fn group(written: &Value) -> Result<Vec<Condition>, String> {
    let filters = written.get("filters").and_then(Value::as_array);
    let filters = filters.ok_or("Each member of filterGroup needs a list filters.")?;
    let conditions = filters.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let mut fields: Vec<_> = conditions.iter().map(|condition| &condition.path).collect();
    fields.sort();
    fields.dedup();
    if fields.len() > FIELDS_OF_A_BRANCH {
        return Err(format!(
            "One list of filters names at most {FIELDS_OF_A_BRANCH} fields; this names {}.",
            fields.len()
        ));
    }
    Ok(conditions)
}

fn condition(written: &Value) -> Result<Condition, String> {
    let text = |name: &str| written.get(name).and_then(Value::as_str);
    let field = text("fieldName").ok_or("A filter needs a fieldName.")?;
    let operator = text("operator").ok_or_else(|| format!("The filter of {field} needs an operator."))?;
    let path: Vec<_> = field.split('.').map(str::to_owned).collect();
    if path.len() > PATH_LEVELS {
        return Err(format!("{field} is nested deeper than {PATH_LEVELS} levels."));
    }
    let value = written.get("value").cloned().unwrap_or_default();
    let texts = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
    if texts.iter().filter_map(Value::as_str).any(|text| text.chars().count() > TEXT_CHARACTERS) {
        return Err(format!("The filter of {field} compares with a text of more than {TEXT_CHARACTERS} characters."));
    }
    Ok(Condition { path, test: test(field, operator, value)? })
}

fn test(field: &str, operator: &str, value: Value) -> Result<Test, String> {
    Ok(match operator {
        "eq" => Test::Equal(value),
        "ne" => Test::Unequal(value),
        "le" => Test::Ordered(value, Ordering::is_le),
        "lt" => Test::Ordered(value, Ordering::is_lt),
        "ge" => Test::Ordered(value, Ordering::is_ge),
        "gt" => Test::Ordered(value, Ordering::is_gt),
        "contains" => Test::Contains(value),
        "notContains" => Test::NotContains(value),
        "beginsWith" => Test::BeginsWith(value),
        "in" => Test::In(list(field, operator, value, LISTED_VALUES)?),
        "notIn" => Test::NotIn(list(field, operator, value, LISTED_VALUES)?),
        "containsAny" => Test::ContainsAny(list(field, operator, value, CONTAINED_VALUES)?),
        "between" => match <[Value; 2]>::try_from(list(field, operator, value, 2)?) {
            Ok([low, high]) => Test::Between(low, high),
            Err(_) => return Err(format!("The filter of {field} needs two values for between.")),
        },
        _ => Test::Never,
    })
}

fn list(field: &str, operator: &str, value: Value, longest: usize) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(values) if values.len() <= longest => Ok(values),
        Value::Array(values) => {
            Err(format!("The filter of {field} may list {longest} values for {operator}; this lists {}.", values.len()))
        }
        _ => Err(format!("The filter of {field} needs a list of values for {operator}.")),
    }
}

impl Condition {
    fn branches(&self) -> usize {
        if let Test::In(values) = &self.test { values.len().max(1) } else { 1 }
    }

    fn pin(&self) -> Option<Pin> {
        let Test::Equal(Value::String(text)) = &self.test else { return None };
        Some(Pin { path: self.path.clone(), text: text.clone() })
    }

    fn holds(&self, payload: &Value) -> bool {
        let found = at(payload, &self.path).unwrap_or(&Value::Null);
        match &self.test {
            Test::Equal(value) => equal(found, value),
            Test::Unequal(value) => !equal(found, value),
            Test::Ordered(value, fits) => compare(found, value).is_some_and(fits),
            Test::Between(low, high) => {
                compare(found, low).is_some_and(Ordering::is_ge) && compare(found, high).is_some_and(Ordering::is_le)
            }
            Test::In(values) => values.iter().any(|value| equal(found, value)),
            Test::NotIn(values) => !values.iter().any(|value| equal(found, value)),
            Test::Contains(value) => contains(found, value),
            Test::NotContains(value) => !contains(found, value),
            Test::ContainsAny(values) => values.iter().any(|value| contains(found, value)),
            Test::BeginsWith(value) => begins(found, value),
            Test::Never => false,
        }
    }
}

/// Numbers are equal by value, whatever their notation.
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

fn begins(whole: &Value, start: &Value) -> bool {
    whole.as_str().zip(start.as_str()).is_some_and(|(whole, start)| whole.starts_with(start))
}

#[cfg(test)]
mod tests;
