//! Resolves template parameters: defaults, given values and constraints.
use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde_json::{Map, Value, json};

use super::TemplateError;

/// Parses `NAME=VALUE`, as `--parameter` takes it.
pub fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The value of each declared parameter: a string, a number, or a list of strings.
pub fn resolve(
    declared: &Map<String, Value>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, TemplateError> {
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        return Err(TemplateError::new(format!("there is no parameter {unknown}; there are {}", known.join(", "))));
    }
    declared
        .iter()
        .map(|(name, parameter)| Ok((name.clone(), resolve_one(name, parameter, given.get(name))?)))
        .collect()
}

fn resolve_one(name: &str, parameter: &Value, given: Option<&String>) -> Result<Value, TemplateError> {
    let text = match (given, &parameter["Default"]) {
        (Some(text), _) => text.clone(),
        (None, Value::Null) => return Err(TemplateError::new(format!("the parameter {name} has no value"))),
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    };
    match violated_constraint(parameter, &text) {
        Some(constraint) => {
            Err(TemplateError::new(format!("the parameter {name} must be {constraint}, and {text:?} is not")))
        }
        None => Ok(parse_value(parameter, &text)),
    }
}

fn parse_value(parameter: &Value, text: &str) -> Value {
    match parameter["Type"].as_str() {
        Some("Number") => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        Some("CommaDelimitedList") => text.split(',').map(str::trim).collect(),
        _ => json!(text),
    }
}

/// Completes "the parameter must be …" for the first constraint that the text violates.
fn violated_constraint(parameter: &Value, text: &str) -> Option<String> {
    let number = text.parse::<f64>().ok();
    let constraint = |name: &str| parameter.get(name);
    let is_number = constraint("Type").is_some_and(|kind| kind == "Number");
    if is_number && number.is_none() {
        return Some("a number".into());
    }
    if let Some(minimum) = constraint("MinValue").and_then(Value::as_f64).filter(|minimum| number < Some(*minimum)) {
        return Some(format!("at least {minimum}"));
    }
    if let Some(maximum) = constraint("MaxValue").and_then(Value::as_f64).filter(|maximum| number > Some(*maximum)) {
        return Some(format!("at most {maximum}"));
    }
    let length = text.chars().count() as u64;
    if let Some(maximum) = constraint("MaxLength").and_then(Value::as_u64).filter(|maximum| length > *maximum) {
        return Some(format!("at most {maximum} characters"));
    }
    if let Some(minimum) = constraint("MinLength").and_then(Value::as_u64).filter(|minimum| length < *minimum) {
        return Some(format!("at least {minimum} characters long"));
    }
    let allowed = constraint("AllowedValues").and_then(Value::as_array);
    if let Some(allowed) = allowed.filter(|allowed| !allowed.iter().any(|value| to_text(value) == text)) {
        return Some(format!("one of {}", allowed.iter().map(to_text).collect::<Vec<_>>().join(", ")));
    }
    let pattern = constraint("AllowedPattern").and_then(Value::as_str)?;
    let whole_text = Regex::new(&format!(r"\A(?:{pattern})\z")).ok()?;
    // Each value of a list must match.
    let is_list = constraint("Type").is_some_and(|kind| kind == "CommaDelimitedList");
    let values = if is_list { text.split(',').map(str::trim).collect() } else { vec![text] };
    let all_match = values.into_iter().all(|value| whole_text.is_match(value).unwrap_or(false));
    (!all_match).then(|| format!("of the pattern {pattern}"))
}

fn to_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parameter: Value, given: &str, expected: Result<Value, &str>) {
        let declared = Map::from_iter([("P".to_owned(), parameter)]);
        let given = BTreeMap::from([("P".to_owned(), given.to_owned())]);
        let result = resolve(&declared, &given).map(|mut values| values.remove("P").unwrap());
        match expected {
            Ok(value) => assert_eq!(result, Ok(value)),
            Err(constraint) => assert!(result.unwrap_err().to_string().contains(constraint)),
        }
    }

    #[test]
    fn value_must_satisfy_the_constraints_of_its_parameter() {
        check(json!({"Type": "Number", "MinValue": 1}), "2", Ok(json!(2)));
        check(json!({"Type": "Number", "MinValue": 1}), "0", Err("at least 1"));
        check(json!({"Type": "Number", "MaxValue": 9}), "10", Err("at most 9"));
        check(json!({"Type": "Number"}), "many", Err("a number"));
        check(json!({"Type": "String", "AllowedValues": ["a", "b"]}), "c", Err("one of a, b"));
        check(json!({"Type": "String", "AllowedPattern": "[a-z]+"}), "abc1", Err("[a-z]+"));
        check(json!({"Type": "String", "MaxLength": 2}), "abc", Err("at most 2 characters"));
        check(json!({"Type": "String", "MinLength": 1}), "", Err("at least 1 characters long"));
        check(json!({"Type": "CommaDelimitedList"}), "a, b", Ok(json!(["a", "b"])));
        let list = json!({"Type": "CommaDelimitedList", "AllowedPattern": "[a-z]"});
        check(list.clone(), "a, b", Ok(json!(["a", "b"])));
        check(list, "a, B", Err("[a-z]"));
    }

    #[test]
    fn unknown_parameter_is_refused() {
        let given = BTreeMap::from([("Nothing".to_owned(), "1".to_owned())]);
        assert!(resolve(&Map::new(), &given).unwrap_err().to_string().contains("Nothing"));
    }
}
