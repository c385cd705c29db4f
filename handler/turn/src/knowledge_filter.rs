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

    /// An id that looks like a placeholder or like JSON stays text.
    #[test]
    fn ids_are_only_values() {
        let odd = caller(Some("$caller.groups\"}"), &["x"]);
        let filled = fill_filter(r#"{"equals":{"key":"owner","value":"$caller.id"}}"#, &odd);
        assert_eq!(filled, Filter::Matching(json!({ "equals": { "key": "owner", "value": "$caller.groups\"}" } })));
    }
}
