//! Input coercion and result serialization of GraphQL's and AppSync's scalars.
use std::{net::IpAddr, sync::LazyLock};

use fancy_regex::Regex;
use serde_json::{Number, Value};

/// Converts a client's value to the value that resolvers see. Returns `None` if the value does not fit the
/// scalar. Scalars that the schema defines itself take any value.
pub fn parse_input(scalar: &str, value: &Value) -> Option<Value> {
    match scalar {
        "Int" => value.as_i64().filter(|number| i32::try_from(*number).is_ok()).map(Value::from),
        "Float" => value.is_number().then(|| value.clone()),
        "String" => value.is_string().then(|| value.clone()),
        "Boolean" => value.is_boolean().then(|| value.clone()),
        "ID" => id_text(value),
        "AWSJSON" => serde_json::from_str(value.as_str()?).ok(),
        "AWSTimestamp" => value.as_i64().map(Value::from),
        _ => is_valid_aws_text(scalar, value).then(|| value.clone()),
    }
}

/// Converts a resolver's value to the value that clients see. The error is AppSync's reason why the value
/// does not fit.
pub fn serialize_result(scalar: &str, value: &Value) -> Result<Value, String> {
    match scalar {
        "Int" => parse_integer(value).filter(|number| i32::try_from(*number).is_ok()).map(Value::from),
        "Float" => parse_float(value),
        "String" => to_text(value),
        "Boolean" => to_boolean(value),
        "ID" => id_text(value),
        "AWSJSON" => Some(json_text(value)),
        "AWSTimestamp" => parse_integer(value).map(Value::from),
        _ => is_valid_aws_text(scalar, value).then(|| value.clone()),
    }
    .ok_or_else(|| mismatch_reason(scalar, value))
}

fn mismatch_reason(scalar: &str, value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match scalar.strip_prefix("AWS") {
        Some(kind) => format!("Unable to serialize `{text}` as a valid {kind} Object."),
        None => format!("Expected type '{scalar}' but was '{}'.", java_type_name(value)),
    }
}

/// The name by which AppSync's messages call the type of a JSON value.
fn java_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(number) if number.is_f64() => "Double",
        Value::Number(_) => "Integer",
        Value::String(_) => "String",
        Value::Array(_) => "List",
        Value::Object(_) => "Map",
    }
}

fn id_text(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(value.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string().into()),
        _ => None,
    }
}

fn parse_integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        _ => value.as_i64().or_else(|| integer_of_float(value.as_f64()?)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 is exact in both types")]
fn integer_of_float(number: f64) -> Option<i64> {
    const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= MAX_EXACT_INTEGER).then_some(number as i64)
}

fn parse_float(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        _ => None,
    }
}

fn to_text(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(value.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        _ => None,
    }
}

fn to_boolean(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) => text.parse::<bool>().ok().map(Value::Bool),
        Value::Number(number) => Some(Value::Bool(number.as_f64() != Some(0.0))),
        _ => None,
    }
}

fn json_text(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { value.to_string().into() }
}

/// Whether the value is a text in the format of the AWS scalar; true for scalars that have no format.
fn is_valid_aws_text(scalar: &str, value: &Value) -> bool {
    let is_valid: fn(&str) -> bool = match scalar {
        "AWSDate" => is_date,
        "AWSTime" => is_time,
        "AWSDateTime" => is_date_time,
        "AWSEmail" => is_email,
        "AWSURL" => is_url,
        "AWSPhone" => is_phone,
        "AWSIPAddress" => is_ip_address,
        _ => return true,
    };
    value.as_str().is_some_and(is_valid)
}

const DATE: &str = r"(?<date>\d{4}-\d{2}-\d{2})";
const TIME: &str = r"(?<time>\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)";
const OFFSET: &str = r"(Z|[+-](0\d|1[0-4]):[0-5]\d(:[0-5]\d)?)";

fn is_date(text: &str) -> bool {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{DATE}{OFFSET}?$")).ok());
    matches_date_and_time(&PATTERN, text)
}

fn is_time(text: &str) -> bool {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{TIME}{OFFSET}?$")).ok());
    matches_date_and_time(&PATTERN, text)
}

fn is_date_time(text: &str) -> bool {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{DATE}T{TIME}{OFFSET}$")).ok());
    matches_date_and_time(&PATTERN, text)
}

fn matches_date_and_time(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    let found = pattern.as_ref().and_then(|pattern| pattern.captures(text).ok().flatten());
    found.is_some_and(|parts| {
        parts.name("date").is_none_or(|date| date.as_str().parse::<jiff::civil::Date>().is_ok())
            && parts.name("time").is_none_or(|time| time.as_str().parse::<jiff::civil::Time>().is_ok())
    })
}

fn is_email(text: &str) -> bool {
    matches_pattern(r"^[^\s@]+@[^\s@.]+(\.[^\s@.]+)*$", text)
}

fn is_phone(text: &str) -> bool {
    matches_pattern(r"^\+?[0-9](?:[ \-().]{0,2}[0-9]){4,14}$", text)
}

fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some())
}

fn is_ip_address(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    address.parse::<IpAddr>().is_ok_and(|address| {
        let max_length = if address.is_ipv4() { 32 } else { 128 };
        prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|length| length <= max_length))
    })
}

fn matches_pattern(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn aws_scalars_accept_only_their_formats() {
        let cases = [
            ("AWSDate", &["1970-01-01Z", "2026-02-28", "2026-02-28+05:30"][..], &["2026-02-30", "20260228", "x"][..]),
            ("AWSTime", &["12:00:34Z", "12:00", "12:00:34.5-07:00"], &["25:00", "12", "12:60:00"]),
            (
                "AWSDateTime",
                &["2026-11-21T09:12:42.123Z", "2026-11-21T09:12+01:00"],
                &["2026-11-21T09:12:42", "2026-11-21", "2026-13-21T09:12:42Z", " 2026-11-21T09:12:42Z"],
            ),
            ("AWSEmail", &["someone@example.com"], &["someone", "a@b@c", "@example.com"]),
            ("AWSURL", &["https://example.com/a?b=c"], &["/a", "example"]),
            ("AWSPhone", &["+15558675309", "555-867-5309"], &["call me", "12"]),
            ("AWSIPAddress", &["127.0.0.1", "10.0.0.0/8", "::1/128"], &["127.0.0.256", "10.0.0.0/33", "host"]),
        ];
        for (scalar, valid, invalid) in cases {
            for text in valid {
                assert_eq!(parse_input(scalar, &json!(text)), Some(json!(text)), "{scalar} {text}");
                assert_eq!(serialize_result(scalar, &json!(text)), Ok(json!(text)), "{scalar} {text}");
            }
            for text in invalid {
                assert_eq!(parse_input(scalar, &json!(text)), None, "{scalar} {text}");
                assert!(serialize_result(scalar, &json!(text)).is_err(), "{scalar} {text}");
            }
        }
    }

    #[test]
    fn awsjson_is_parsed_for_resolvers_and_serialized_for_clients() {
        assert_eq!(parse_input("AWSJSON", &json!(r#"{"a":[1]}"#)), Some(json!({"a": [1]})));
        assert_eq!(parse_input("AWSJSON", &json!("{a}")), None);
        assert_eq!(serialize_result("AWSJSON", &json!({"a": [1]})), Ok(json!(r#"{"a":[1]}"#)));
        assert_eq!(serialize_result("AWSJSON", &json!(r#"{"a":[1]}"#)), Ok(json!(r#"{"a":[1]}"#)));
    }

    #[test]
    fn integer_id_becomes_a_string() {
        assert_eq!(parse_input("ID", &json!(7)), Some(json!("7")));
        assert_eq!(serialize_result("ID", &json!(7)), Ok(json!("7")));
        assert_eq!(parse_input("ID", &json!(7.5)), None);
    }

    #[test]
    fn numbers_out_of_range_are_rejected() {
        assert_eq!(parse_input("Int", &json!(2_147_483_648_i64)), None);
        assert_eq!(parse_input("Int", &json!("1")), None);
        assert_eq!(serialize_result("Int", &json!("12")), Ok(json!(12)));
        assert_eq!(serialize_result("Int", &json!(12.0)), Ok(json!(12)));
        assert_eq!(serialize_result("Int", &json!(12.5)), Err("Expected type 'Int' but was 'Double'.".to_owned()));
        assert_eq!(
            serialize_result("AWSTimestamp", &json!("x")),
            Err("Unable to serialize `x` as a valid Timestamp Object.".to_owned())
        );
    }
}
