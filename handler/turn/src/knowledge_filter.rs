//! Filters of documents that refer to the caller.
//!
//! A filter is that of Retrieve: `{"equals": {"key": "owner", "value": "$caller.id"}}`. The value
//! `"$caller.id"` stands for the caller's id, and `"$caller.groups"` for the list of the caller's groups. A
//! caller without an id or without groups matches nothing there: such a condition is false, also below
//! `notEquals` and `notIn`.
use serde_json::{Map, Value};

use crate::{knowledge::Filter, tool::Caller};

const CALLER_ID: &str = "$caller.id";
const CALLER_GROUPS: &str = "$caller.groups";

/// The filter for one caller. Text that is no filter matches nothing: `putAgent` has refused it.
pub fn fill_filter(filter: &str, caller: &Caller) -> Filter {
    match serde_json::from_str(filter).map(|filter| fill(filter, caller)) {
        Ok(Condition::Filter(filter)) => Filter::Matching(filter),
        Ok(Condition::False) | Err(_) => Filter::Nothing,
    }
}

/// Which filters an agent may have. The error is a sentence for the administrator.
///
/// Amazon Bedrock documents the operators `startsWith`, `stringContains` and `listContains` for some stores
/// only, and others may ignore them without an error. Such a filter must not decide what a caller sees.
pub fn check_filter(filter: &str) -> Result<(), String> {
    let parsed: Value = serde_json::from_str(filter).map_err(|_| "The filter must be JSON.".to_owned())?;
    let refers_to_caller = filter.contains(CALLER_ID) || filter.contains(CALLER_GROUPS);
    check_condition(&parsed, refers_to_caller)
}

/// The depth of the recursion is that of the JSON text, which serde_json limits to 128.
fn check_condition(condition: &Value, refers_to_caller: bool) -> Result<(), String> {
    let operators = condition.as_object().filter(|operators| operators.len() == 1);
    let Some((operator, operand)) = operators.and_then(|operators| operators.iter().next()) else {
        return Err("Each condition of the filter must be an object with one operator.".to_owned());
    };
    match operator.as_str() {
        "andAll" | "orAll" => {
            let members = operand.as_array().filter(|members| members.len() >= 2);
            let members = members.ok_or_else(|| format!("{operator} must have two conditions or more."))?;
            members.iter().try_for_each(|member| check_condition(member, refers_to_caller))
        }
        "startsWith" | "stringContains" | "listContains" if refers_to_caller => Err(format!(
            "{operator} may not be in a filter with $caller: stores that do not have this operator ignore it."
        )),
        "equals"
        | "notEquals"
        | "greaterThan"
        | "greaterThanOrEquals"
        | "lessThan"
        | "lessThanOrEquals"
        | "in"
        | "notIn"
        | "startsWith"
        | "stringContains"
        | "listContains" => check_comparison(operator, operand),
        _ => Err(format!("{operator:?} is no operator of a filter.")),
    }
}

fn check_comparison(operator: &str, operand: &Value) -> Result<(), String> {
    let is_key = operand.get("key").and_then(Value::as_str).is_some_and(|key| !key.is_empty());
    let value = operand.get("value");
    if !is_key || value.is_none() || operand.as_object().is_none_or(|members| members.len() != 2) {
        return Err(format!("{operator} must have a key and a value."));
    }
    let is_list = matches!(value, Some(Value::Array(_))) || value == Some(&Value::from(CALLER_GROUPS));
    let takes_list = matches!(operator, "in" | "notIn");
    match value {
        Some(Value::Array(items)) if items.is_empty() => Err(format!("The list of {operator} must not be empty.")),
        _ if is_list && !takes_list => Err(format!("The value of {operator} must not be a list.")),
        _ if !is_list && takes_list => Err(format!("The value of {operator} must be a list.")),
        Some(Value::Null | Value::Object(_)) => {
            Err(format!("The value of {operator} must be a text, a number or a boolean."))
        }
        _ => Ok(()),
    }
}

enum Condition {
    Filter(Value),
    False,
}

/// The depth of the recursion is that of the JSON text, which serde_json limits to 128.
fn fill(filter: Value, caller: &Caller) -> Condition {
    let Value::Object(operators) = filter else { return Condition::False };
    let Ok([(operator, operand)]) = <[(String, Value); 1]>::try_from(Vec::from_iter(operators)) else {
        return Condition::False;
    };
    match (operator.as_str(), operand) {
        ("andAll", Value::Array(members)) => {
            let count = members.len();
            let filled = filled_members(members, caller);
            // One false member makes all false.
            if filled.len() == count { join(operator, filled) } else { Condition::False }
        }
        ("orAll", Value::Array(members)) => join(operator, filled_members(members, caller)),
        (_, Value::Object(mut comparison)) => {
            match comparison.remove("value").and_then(|value| fill_value(value, caller)) {
                Some(value) => {
                    comparison.insert("value".to_owned(), value);
                    Condition::Filter(object(operator, Value::Object(comparison)))
                }
                None => Condition::False,
            }
        }
        _ => Condition::False,
    }
}

/// The members that are not false.
fn filled_members(members: Vec<Value>, caller: &Caller) -> Vec<Value> {
    let filled = members.into_iter().filter_map(|member| match fill(member, caller) {
        Condition::Filter(filter) => Some(filter),
        Condition::False => None,
    });
    filled.collect()
}

/// Retrieve refuses `andAll` and `orAll` with fewer than two members.
fn join(operator: String, mut members: Vec<Value>) -> Condition {
    match members.len() {
        0 => Condition::False,
        1 => Condition::Filter(members.remove(0)),
        _ => Condition::Filter(object(operator, Value::Array(members))),
    }
}

/// `None` if the caller does not have what the value stands for.
fn fill_value(value: Value, caller: &Caller) -> Option<Value> {
    match value {
        Value::String(text) if text == CALLER_ID => caller.id.clone().map(Value::String),
        Value::String(text) if text == CALLER_GROUPS => {
            let groups: Vec<Value> = caller.groups.iter().cloned().map(Value::String).collect();
            (!groups.is_empty()).then_some(Value::Array(groups))
        }
        Value::Array(items) => {
            let filled: Vec<Value> = items.into_iter().filter_map(|item| fill_item(item, caller)).flatten().collect();
            (!filled.is_empty()).then_some(Value::Array(filled))
        }
        value => Some(value),
    }
}

/// An item of a list: groups are items of their own. `None` leaves the item out.
fn fill_item(item: Value, caller: &Caller) -> Option<Vec<Value>> {
    match fill_value(item, caller)? {
        Value::Array(groups) => Some(groups),
        value => Some(vec![value]),
    }
}

fn object(key: String, value: Value) -> Value {
    Value::Object(Map::from_iter([(key, value)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn caller(id: Option<&str>, groups: &[&str]) -> Caller {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Caller { id: id.map(str::to_owned), groups, ..Caller::default() }
    }

    #[test]
    fn callers_fill_filters() {
        let owner = json!({ "equals": { "key": "owner", "value": "$caller.id" } });
        let team = json!({ "in": { "key": "team", "value": "$caller.groups" } });
        let public = json!({ "in": { "key": "team", "value": ["everybody", "$caller.groups"] } });
        let either = json!({ "orAll": [owner, team] });
        let both = json!({ "andAll": [owner, team] });
        let foreign = json!({ "notEquals": { "key": "owner", "value": "$caller.id" } });
        let fixed = json!({ "greaterThan": { "key": "year", "value": 2020 } });
        let for_ada = json!({ "equals": { "key": "owner", "value": "ada" } });
        let for_team = json!({ "in": { "key": "team", "value": ["blue", "red"] } });
        let ada = caller(Some("ada"), &["blue", "red"]);
        let alone = caller(Some("ada"), &[]);
        let nobody = caller(None, &[]);
        for (filter, caller, expected) in [
            (&owner, &ada, Filter::Matching(for_ada.clone())),
            (&owner, &nobody, Filter::Nothing),
            (&team, &ada, Filter::Matching(for_team.clone())),
            (&team, &alone, Filter::Nothing),
            (
                &public,
                &ada,
                Filter::Matching(json!({ "in": { "key": "team", "value": ["everybody", "blue", "red"] } })),
            ),
            (&public, &nobody, Filter::Matching(json!({ "in": { "key": "team", "value": ["everybody"] } }))),
            (&either, &ada, Filter::Matching(json!({ "orAll": [for_ada, for_team] }))),
            (&either, &alone, Filter::Matching(for_ada.clone())),
            (&either, &nobody, Filter::Nothing),
            (&both, &ada, Filter::Matching(json!({ "andAll": [for_ada, for_team] }))),
            (&both, &alone, Filter::Nothing),
            (&foreign, &nobody, Filter::Nothing),
            (&fixed, &nobody, Filter::Matching(fixed.clone())),
        ] {
            assert_eq!(fill_filter(&filter.to_string(), caller), expected, "{filter} for {caller:?}");
        }
    }

    #[test]
    fn text_that_is_no_filter_matches_nothing() {
        for text in ["", "null", "[]", "{}", "{\"equals\":1}", "{\"equals\":{\"key\":\"a\"}}", "{\"andAll\":[]}", "{"] {
            assert_eq!(fill_filter(text, &caller(Some("ada"), &["blue"])), Filter::Nothing, "{text}");
        }
        let two = r#"{"equals":{"key":"a","value":1},"notEquals":{"key":"b","value":2}}"#;
        assert_eq!(fill_filter(two, &Caller::default()), Filter::Nothing);
    }

    #[test]
    fn filters_are_checked_before_an_agent_is_stored() {
        for (filter, problem) in [
            (r#"{"equals":{"key":"owner","value":"$caller.id"}}"#, None),
            (r#"{"in":{"key":"team","value":"$caller.groups"}}"#, None),
            (r#"{"in":{"key":"team","value":["all","$caller.groups"]}}"#, None),
            (r#"{"startsWith":{"key":"path","value":"/a"}}"#, None),
            (r#"{"orAll":[{"equals":{"key":"a","value":1}},{"lessThan":{"key":"b","value":2}}]}"#, None),
            ("{", Some("The filter must be JSON.")),
            ("{}", Some("Each condition of the filter must be an object with one operator.")),
            (r#"{"orAll":[{"equals":{"key":"a","value":1}}]}"#, Some("orAll must have two conditions or more.")),
            (r#"{"like":{"key":"a","value":1}}"#, Some("\"like\" is no operator of a filter.")),
            (r#"{"equals":{"key":"a"}}"#, Some("equals must have a key and a value.")),
            (r#"{"equals":{"key":"a","value":["b"]}}"#, Some("The value of equals must not be a list.")),
            (r#"{"equals":{"key":"a","value":"$caller.groups"}}"#, Some("The value of equals must not be a list.")),
            (r#"{"in":{"key":"a","value":"b"}}"#, Some("The value of in must be a list.")),
            (r#"{"in":{"key":"a","value":[]}}"#, Some("The list of in must not be empty.")),
            (
                r#"{"equals":{"key":"a","value":null}}"#,
                Some("The value of equals must be a text, a number or a boolean."),
            ),
            (
                r#"{"andAll":[{"equals":{"key":"o","value":"$caller.id"}},{"startsWith":{"key":"p","value":"/"}}]}"#,
                Some(
                    "startsWith may not be in a filter with $caller: stores that do not have this operator ignore it.",
                ),
            ),
        ] {
            assert_eq!(check_filter(filter).err().as_deref(), problem, "{filter}");
        }
    }

    /// An id that looks like a placeholder or like JSON stays text.
    #[test]
    fn ids_are_only_values() {
        let odd = caller(Some("$caller.groups\"}"), &["x"]);
        let filled = fill_filter(r#"{"equals":{"key":"owner","value":"$caller.id"}}"#, &odd);
        assert_eq!(filled, Filter::Matching(json!({ "equals": { "key": "owner", "value": "$caller.groups\"}" } })));
    }
}
