//! Parameters: their defaults, what was given instead, and whether the template allows it.
use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde_json::{Map, Value, json};

use super::Fault;

/// `NAME=VALUE`, as a command line says it.
pub fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Each declared parameter with its value: a string, a number, or a list of strings.
pub fn values(
    declared: &Map<String, Value>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, Fault> {
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        return Err(Fault::new(format!("there is no parameter {unknown}; there are {}", known.join(", "))));
    }
    declared.iter().map(|(name, parameter)| Ok((name.clone(), value(name, parameter, given.get(name))?))).collect()
}

fn value(name: &str, parameter: &Value, given: Option<&String>) -> Result<Value, Fault> {
    let text = match (given, &parameter["Default"]) {
        (Some(text), _) => text.clone(),
        (None, Value::Null) => return Err(Fault::new(format!("the parameter {name} has no value"))),
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    };
    match broken_rule(parameter, &text) {
        Some(rule) => Err(Fault::new(format!("the parameter {name} must be {rule}, and {text:?} is not"))),
        None => Ok(typed(parameter, &text)),
    }
}

fn typed(parameter: &Value, text: &str) -> Value {
    match parameter["Type"].as_str() {
        Some("Number") => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        Some("CommaDelimitedList") => text.split(',').map(str::trim).collect(),
        _ => json!(text),
    }
}

fn broken_rule(parameter: &Value, text: &str) -> Option<String> {
    let number = text.parse::<f64>().ok();
    let rule = |name: &str| parameter.get(name);
    let is_number = rule("Type").is_some_and(|kind| kind == "Number");
    if is_number && number.is_none() {
        return Some("a number".into());
    }
    if let Some(least) = rule("MinValue").and_then(Value::as_f64).filter(|least| number < Some(*least)) {
        return Some(format!("at least {least}"));
    }
    if let Some(most) = rule("MaxValue").and_then(Value::as_f64).filter(|most| number > Some(*most)) {
        return Some(format!("at most {most}"));
    }
    if let Some(most) = rule("MaxLength").and_then(Value::as_u64).filter(|most| text.chars().count() as u64 > *most) {
        return Some(format!("at most {most} characters"));
    }
    if let Some(least) =
        rule("MinLength").and_then(Value::as_u64).filter(|least| (text.chars().count() as u64) < *least)
    {
        return Some(format!("at least {least} characters long"));
    }
    let allowed = rule("AllowedValues").and_then(Value::as_array);
    if let Some(allowed) = allowed.filter(|allowed| !allowed.iter().any(|value| plain(value) == text)) {
        return Some(format!("one of {}", allowed.iter().map(plain).collect::<Vec<_>>().join(", ")));
    }
    let pattern = rule("AllowedPattern").and_then(Value::as_str)?;
    let whole = Regex::new(&format!(r"\A(?:{pattern})\z")).ok()?;
    (!whole.is_match(text).unwrap_or(false)).then(|| format!("of the pattern {pattern}"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parameter: Value, given: &str, expected: Result<Value, &str>) {
        let declared = Map::from_iter([("P".to_owned(), parameter)]);
        let given = BTreeMap::from([("P".to_owned(), given.to_owned())]);
        let found = values(&declared, &given).map(|mut values| values.remove("P").unwrap());
        match expected {
            Ok(value) => assert_eq!(found, Ok(value)),
            Err(rule) => assert!(found.unwrap_err().to_string().contains(rule)),
        }
    }

    #[test]
    fn a_parameter_takes_what_its_rules_allow_and_refuses_the_rest_by_name() {
        check(json!({"Type": "Number", "MinValue": 1}), "2", Ok(json!(2)));
        check(json!({"Type": "Number", "MinValue": 1}), "0", Err("at least 1"));
        check(json!({"Type": "Number", "MaxValue": 9}), "10", Err("at most 9"));
        check(json!({"Type": "Number"}), "many", Err("a number"));
        check(json!({"Type": "String", "AllowedValues": ["a", "b"]}), "c", Err("one of a, b"));
        check(json!({"Type": "String", "AllowedPattern": "[a-z]+"}), "abc1", Err("[a-z]+"));
        check(json!({"Type": "String", "MaxLength": 2}), "abc", Err("at most 2 characters"));
        check(json!({"Type": "String", "MinLength": 1}), "", Err("at least 1 characters long"));
        check(json!({"Type": "CommaDelimitedList"}), "a, b", Ok(json!(["a", "b"])));
    }

    #[test]
    fn a_parameter_that_the_template_does_not_have_is_refused() {
        let given = BTreeMap::from([("Nothing".to_owned(), "1".to_owned())]);
        assert!(values(&Map::new(), &given).unwrap_err().to_string().contains("Nothing"));
    }
}
