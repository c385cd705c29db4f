//! Metadata filters of Bedrock's Retrieve.
use serde_json::{Map, Value};
use thiserror::Error;

use crate::attributes::{AttributeValue, Attributes};

/// Groups within groups, the outermost counted.
pub const MAX_DEPTH: usize = 5;
/// Conditions of a filter, in all groups.
pub const MAX_CONDITIONS: usize = 100;

/// A parsed `RetrievalFilter`.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    Condition { key: String, condition: Condition },
    AndAll(Vec<Filter>),
    OrAll(Vec<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Equals(AttributeValue),
    /// Also matches a document without the attribute.
    NotEquals(AttributeValue),
    GreaterThan(f64),
    GreaterThanOrEquals(f64),
    LessThan(f64),
    LessThanOrEquals(f64),
    In(Vec<AttributeValue>),
    /// Does not match a document without the attribute: Bedrock documents that of `notEquals` alone.
    NotIn(Vec<AttributeValue>),
    StartsWith(String),
    /// The attribute is a list that has the value as a member.
    ListContains(String),
    /// The attribute is a string that contains the value, or a list with such a member.
    StringContains(String),
}

/// Why a filter was refused, in one sentence.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FilterError {
    #[error("A filter is an object with exactly one operator.")]
    NotOneOperator,
    #[error("The filter operator {0:?} is unknown.")]
    UnknownOperator(String),
    #[error("The filter operator {0} takes an object with a key and a value.")]
    NotKeyAndValue(String),
    #[error("The filter operator {operator} takes {expected} as value.")]
    Value { operator: String, expected: &'static str },
    #[error("The filter operator {0} takes a list of at least 2 filters.")]
    TooFewMembers(String),
    #[error("A filter has groups at most {MAX_DEPTH} levels deep.")]
    TooDeep,
    #[error("A filter has at most {MAX_CONDITIONS} conditions.")]
    TooManyConditions,
}

impl Filter {
    /// Parses the JSON of `vectorSearchConfiguration.filter`.
    pub fn parse(json: &Value) -> Result<Filter, FilterError> {
        parse_filter(json, 1, &mut 0)
    }

    /// Whether the filter matches a document with these attributes.
    pub fn matches(&self, attributes: &Attributes) -> bool {
        match self {
            Filter::Condition { key, condition } => condition.matches(attributes.get(key)),
            Filter::AndAll(members) => members.iter().all(|member| member.matches(attributes)),
            Filter::OrAll(members) => members.iter().any(|member| member.matches(attributes)),
        }
    }
}

fn parse_filter(json: &Value, depth: usize, conditions: &mut usize) -> Result<Filter, FilterError> {
    let operators = json.as_object().ok_or(FilterError::NotOneOperator)?;
    let mut operators = operators.iter();
    let (Some((operator, operand)), None) = (operators.next(), operators.next()) else {
        return Err(FilterError::NotOneOperator);
    };
    match operator.as_str() {
        "andAll" => Ok(Filter::AndAll(parse_members(operator, operand, depth, conditions)?)),
        "orAll" => Ok(Filter::OrAll(parse_members(operator, operand, depth, conditions)?)),
        _ => {
            *conditions += 1;
            if *conditions > MAX_CONDITIONS {
                return Err(FilterError::TooManyConditions);
            }
            parse_condition(operator, operand)
        }
    }
}

fn parse_members(
    operator: &str,
    operand: &Value,
    depth: usize,
    conditions: &mut usize,
) -> Result<Vec<Filter>, FilterError> {
    if depth > MAX_DEPTH {
        return Err(FilterError::TooDeep);
    }
    let members = operand.as_array().filter(|members| members.len() >= 2);
    let members = members.ok_or_else(|| FilterError::TooFewMembers(operator.to_owned()))?;
    members.iter().map(|member| parse_filter(member, depth + 1, conditions)).collect()
}

fn parse_condition(operator: &str, operand: &Value) -> Result<Filter, FilterError> {
    let refused = |expected| FilterError::Value { operator: operator.to_owned(), expected };
    let scalar = |value: &Value| parse_scalar(value).ok_or(refused("a string, a number or a boolean"));
    let number = |value: &Value| value.as_f64().ok_or(refused("a number"));
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(refused("a string"));
    let list = |value: &Value| parse_list(value).ok_or(refused("a list of strings, numbers or booleans"));
    let parse = |value: &Value| {
        Ok(match operator {
            "equals" => Condition::Equals(scalar(value)?),
            "notEquals" => Condition::NotEquals(scalar(value)?),
            "greaterThan" => Condition::GreaterThan(number(value)?),
            "greaterThanOrEquals" => Condition::GreaterThanOrEquals(number(value)?),
            "lessThan" => Condition::LessThan(number(value)?),
            "lessThanOrEquals" => Condition::LessThanOrEquals(number(value)?),
            "in" => Condition::In(list(value)?),
            "notIn" => Condition::NotIn(list(value)?),
            "startsWith" => Condition::StartsWith(text(value)?),
            "listContains" => Condition::ListContains(text(value)?),
            "stringContains" => Condition::StringContains(text(value)?),
            _ => return Err(FilterError::UnknownOperator(operator.to_owned())),
        })
    };
    let not_key_and_value = || FilterError::NotKeyAndValue(operator.to_owned());
    let (key, value) = operand.as_object().and_then(key_and_value).ok_or_else(not_key_and_value)?;
    Ok(Filter::Condition { key: key.to_owned(), condition: parse(value)? })
}

fn key_and_value(operand: &Map<String, Value>) -> Option<(&str, &Value)> {
    let key = operand.get("key")?.as_str()?;
    let value = operand.get("value")?;
    (operand.len() == 2).then_some((key, value))
}

fn parse_scalar(value: &Value) -> Option<AttributeValue> {
    AttributeValue::from_json(value).filter(|value| !matches!(value, AttributeValue::StringList(_)))
}

fn parse_list(value: &Value) -> Option<Vec<AttributeValue>> {
    value.as_array()?.iter().map(parse_scalar).collect()
}

impl Condition {
    fn matches(&self, attribute: Option<&AttributeValue>) -> bool {
        let number = attribute.and_then(as_number);
        match self {
            Condition::Equals(value) => attribute.is_some_and(|attribute| is_equal(attribute, value)),
            Condition::NotEquals(value) => !attribute.is_some_and(|attribute| is_equal(attribute, value)),
            Condition::GreaterThan(bound) => number.is_some_and(|number| number > *bound),
            Condition::GreaterThanOrEquals(bound) => number.is_some_and(|number| number >= *bound),
            Condition::LessThan(bound) => number.is_some_and(|number| number < *bound),
            Condition::LessThanOrEquals(bound) => number.is_some_and(|number| number <= *bound),
            Condition::In(values) => attribute.is_some_and(|attribute| is_one_of(attribute, values)),
            Condition::NotIn(values) => attribute.is_some_and(|attribute| !is_one_of(attribute, values)),
            Condition::StartsWith(prefix) => {
                matches!(attribute, Some(AttributeValue::String(text)) if text.starts_with(prefix))
            }
            Condition::ListContains(value) => {
                matches!(attribute, Some(AttributeValue::StringList(members)) if members.contains(value))
            }
            Condition::StringContains(part) => match attribute {
                Some(AttributeValue::String(text)) => text.contains(part),
                Some(AttributeValue::StringList(members)) => members.iter().any(|member| member.contains(part)),
                _ => false,
            },
        }
    }
}

fn is_one_of(attribute: &AttributeValue, values: &[AttributeValue]) -> bool {
    values.iter().any(|value| is_equal(attribute, value))
}

/// Numbers are equal by value: 1 is 1.0.
fn is_equal(left: &AttributeValue, right: &AttributeValue) -> bool {
    match (as_number(left), as_number(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

fn as_number(value: &AttributeValue) -> Option<f64> {
    match value {
        AttributeValue::Number(number) => number.as_f64(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes() -> Attributes {
        let json = json!({"team": "support", "year": 2024, "public": true, "tags": ["north", "south"]});
        serde_json::from_value(json).unwrap()
    }

    fn matches(filter: Value) -> bool {
        Filter::parse(&filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(&attributes())
    }

    fn condition(operator: &str, key: &str, value: Value) -> Value {
        json!({operator: {"key": key, "value": value}})
    }

    #[test]
    fn every_operator_matches_as_documented() {
        let cases = [
            ("equals", "team", json!("support"), true),
            ("equals", "team", json!("Support"), false),
            ("equals", "year", json!(2024.0), true),
            ("equals", "public", json!(true), true),
            ("equals", "public", json!("true"), false),
            ("notEquals", "team", json!("sales"), true),
            ("notEquals", "team", json!("support"), false),
            ("greaterThan", "year", json!(2023), true),
            ("greaterThan", "year", json!(2024), false),
            ("greaterThanOrEquals", "year", json!(2024), true),
            ("lessThan", "year", json!(2024), false),
            ("lessThan", "year", json!(2024.5), true),
            ("lessThanOrEquals", "year", json!(2024), true),
            ("greaterThan", "team", json!(0), false),
            ("in", "team", json!(["sales", "support"]), true),
            ("in", "team", json!([]), false),
            ("notIn", "team", json!(["sales"]), true),
            ("notIn", "year", json!([2024]), false),
            ("startsWith", "team", json!("sup"), true),
            ("startsWith", "team", json!("port"), false),
            ("startsWith", "tags", json!("north"), false),
            ("listContains", "tags", json!("south"), true),
            ("listContains", "tags", json!("sou"), false),
            ("listContains", "team", json!("support"), false),
            ("stringContains", "team", json!("ppo"), true),
            ("stringContains", "tags", json!("out"), true),
            ("stringContains", "year", json!("20"), false),
        ];
        for (operator, key, value, expected) in cases {
            assert_eq!(matches(condition(operator, key, value.clone())), expected, "{operator} {key} {value}");
        }
    }

    #[test]
    fn missing_attribute_matches_not_equals_alone() {
        assert!(matches(condition("notEquals", "missing", json!("x"))));
        let others = [
            ("equals", json!("x")),
            ("greaterThan", json!(0)),
            ("greaterThanOrEquals", json!(0)),
            ("lessThan", json!(0)),
            ("lessThanOrEquals", json!(0)),
            ("in", json!(["x"])),
            ("notIn", json!(["x"])),
            ("startsWith", json!("")),
            ("listContains", json!("x")),
            ("stringContains", json!("")),
        ];
        for (operator, value) in others {
            assert!(!matches(condition(operator, "missing", value)), "{operator}");
        }
    }

    #[test]
    fn groups_combine_their_members() {
        let yes = condition("equals", "team", json!("support"));
        let no = condition("equals", "team", json!("sales"));
        assert!(matches(json!({"andAll": [yes, yes]})));
        assert!(!matches(json!({"andAll": [yes, no]})));
        assert!(matches(json!({"orAll": [no, yes]})));
        assert!(!matches(json!({"orAll": [no, no]})));
        assert!(matches(json!({"andAll": [yes, {"orAll": [no, yes]}]})));
    }

    #[test]
    fn refused_filters_are_explained_in_one_sentence() {
        let yes = condition("equals", "team", json!("support"));
        let refused = [
            (json!([]), "A filter is an object with exactly one operator."),
            (json!({}), "A filter is an object with exactly one operator."),
            (json!({"equals": {}, "in": {}}), "A filter is an object with exactly one operator."),
            (condition("like", "team", json!("s")), "The filter operator \"like\" is unknown."),
            (json!({"equals": {"key": "team"}}), "The filter operator equals takes an object with a key and a value."),
            (json!({"in": {"key": 1, "value": []}}), "The filter operator in takes an object with a key and a value."),
            (
                condition("equals", "team", json!(null)),
                "The filter operator equals takes a string, a number or a boolean as value.",
            ),
            (condition("lessThan", "year", json!("2024")), "The filter operator lessThan takes a number as value."),
            (condition("startsWith", "team", json!(1)), "The filter operator startsWith takes a string as value."),
            (
                condition("in", "team", json!("support")),
                "The filter operator in takes a list of strings, numbers or booleans as value.",
            ),
            (json!({"andAll": [yes]}), "The filter operator andAll takes a list of at least 2 filters."),
            (json!({"orAll": yes}), "The filter operator orAll takes a list of at least 2 filters."),
        ];
        for (filter, message) in refused {
            assert_eq!(Filter::parse(&filter).unwrap_err().to_string(), message, "{filter}");
        }
    }

    #[test]
    fn depth_and_number_of_conditions_are_bounded() {
        let yes = condition("equals", "team", json!("support"));
        let nested = |depth| (0..depth).fold(yes.clone(), |inner, _| json!({"andAll": [inner, yes]}));
        assert!(Filter::parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(Filter::parse(&nested(MAX_DEPTH + 1)), Err(FilterError::TooDeep));
        let wide = |members| json!({"orAll": vec![yes.clone(); members]});
        assert!(Filter::parse(&wide(MAX_CONDITIONS)).is_ok());
        assert_eq!(Filter::parse(&wide(MAX_CONDITIONS + 1)), Err(FilterError::TooManyConditions));
    }
}
