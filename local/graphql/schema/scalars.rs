//! Input coercion and result serialization of GraphQL's and AppSync's scalars, as graphql-java does them.
use std::{net::IpAddr, sync::LazyLock};

use apollo_compiler::ast::Value as Literal;
use fancy_regex::Regex;
use serde_json::{Number, Value};

use super::java_decimal::JavaDecimal;
use crate::json_input::{JsonDocument, JsonInput, is_integer};

/// Converts a client's value to the value that resolvers see. The error is AppSync's reason why the value
/// does not fit. Scalars that the schema defines itself take any value.
///
/// A double that is a whole number is one, because some clients write every number as a double. A text is no
/// number and no boolean here; AWS does not document whether AppSync takes it in a variable.
pub fn parse_input(scalar: &str, value: &JsonInput) -> Result<Value, String> {
    match scalar {
        "Int" => input_integer(value).filter(|number| i32::try_from(*number).is_ok()).map(Value::from),
        "Float" => input_number(value).map(|_| value.to_json()).filter(|json| !json.is_null()),
        "String" => value.as_text().map(Value::from),
        "Boolean" => matches!(value, JsonInput::Boolean(_)).then(|| value.to_json()),
        "ID" => input_id(value).map(Value::from),
        "AWSJSON" => value.as_text().and_then(parse_json),
        "AWSTimestamp" => input_integer(value).map(Value::from),
        _ => is_valid_aws_text(scalar, value.as_text()).then(|| value.to_json()),
    }
    .ok_or_else(|| match scalar {
        "AWSJSON" => format!("Unable to parse {} as valid JSON.", value.java_text()),
        _ if scalar.starts_with("AWS") => {
            format!("Unable to parse `{}` as a valid {}.", value.java_text(), aws_scalar_name(scalar))
        }
        _ => mismatch_reason(scalar, value),
    })
}

/// Whether a literal of a document fits the scalar. Unlike a variable, it must have the scalar's kind of
/// literal.
pub fn accepts_literal(scalar: &str, literal: &Literal) -> bool {
    match (scalar, literal) {
        ("Int", Literal::Int(number)) => number.as_str().parse::<i32>().is_ok(),
        ("Float", Literal::Int(number)) => number.as_str().parse().is_ok_and(f64::is_finite),
        ("Float", Literal::Float(number)) => number.as_str().parse().is_ok_and(f64::is_finite),
        ("String" | "ID", Literal::String(_)) | ("ID", Literal::Int(_)) | ("Boolean", Literal::Boolean(_)) => true,
        ("Int" | "Float" | "String" | "ID" | "Boolean", _) => false,
        ("AWSTimestamp", Literal::Int(number)) => number.as_str().parse::<i64>().is_ok(),
        ("AWSTimestamp", _) => false,
        ("AWSJSON", literal) => literal.as_str().is_some_and(|text| parse_json(text).is_some()),
        (_, literal) => is_valid_aws_text(scalar, literal.as_str()),
    }
}

/// Converts a resolver's value to the value that clients see. The error is AppSync's reason why the value
/// does not fit.
///
/// graphql-java's versions differ about a text other than `true` and `false` for `Boolean`; it is an error
/// here.
pub fn serialize_result(scalar: &str, value: &Value) -> Result<Value, String> {
    match scalar {
        "Int" => result_integer(value).filter(|number| i32::try_from(*number).is_ok()).map(Value::from),
        "Float" => result_float(value),
        "String" => Some(result_text(value)),
        "Boolean" => result_boolean(value),
        "ID" => input_id(&JsonInput::from(value)).map(Value::from),
        "AWSJSON" => Some(json_text(value)),
        "AWSTimestamp" => result_integer(value).map(Value::from),
        _ => is_valid_aws_text(scalar, value.as_str()).then(|| value.clone()),
    }
    .ok_or_else(|| {
        let value = JsonInput::from(value);
        match scalar.starts_with("AWS") {
            true => format!("Unable to serialize `{}` as a valid {}.", value.java_text(), aws_scalar_name(scalar)),
            false => mismatch_reason(scalar, &value),
        }
    })
}

fn mismatch_reason(scalar: &str, value: &JsonInput) -> String {
    format!("Expected type '{scalar}' but was '{}'.", value.java_class())
}

/// The name of an AWS scalar in AppSync's messages. Users report those of DateTime, Timestamp and Phone; the
/// others are made in their likeness.
fn aws_scalar_name(scalar: &str) -> String {
    match scalar {
        "AWSTimestamp" => "timestamp".into(),
        "AWSPhone" => "phone number".into(),
        _ => format!("{} Object", scalar.trim_start_matches("AWS")),
    }
}

fn input_number(value: &JsonInput) -> Option<&str> {
    match value {
        JsonInput::Number(text) => Some(text),
        _ => None,
    }
}

fn input_integer(value: &JsonInput) -> Option<i64> {
    JavaDecimal::parse(input_number(value)?)?.to_integer()
}

/// A text, or the digits of a whole number of any length.
fn input_id(value: &JsonInput) -> Option<String> {
    match value {
        JsonInput::Text(text) => Some(text.clone()),
        JsonInput::Number(number) if is_integer(number) => Some(number.clone()),
        JsonInput::Number(number) => {
            let double = number.parse::<f64>().ok().filter(|double| double.is_finite() && double.fract() == 0.0)?;
            Some(format!("{:.0}", if double == 0.0 { 0.0 } else { double }))
        }
        _ => None,
    }
}

/// AppSync parses the text before resolvers see it. A text with lone surrogates, which serde_json refuses, is
/// not JSON here.
fn parse_json(text: &str) -> Option<Value> {
    JsonDocument::parse(text).filter(|document| !document.has_lone_surrogates).map(|document| document.value.to_json())
}

fn result_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => JavaDecimal::parse(&number.to_string())?.to_integer(),
        Value::String(text) => JavaDecimal::parse(text)?.to_integer(),
        _ => None,
    }
}

fn result_float(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => JavaDecimal::parse(text)?.to_double().and_then(Number::from_f64).map(Value::Number),
        _ => None,
    }
}

fn result_text(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { JsonInput::from(value).java_text().into() }
}

fn result_boolean(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) => text.to_ascii_lowercase().parse::<bool>().ok().map(Value::Bool),
        Value::Number(number) => Some(Value::Bool(number.as_f64() != Some(0.0))),
        _ => None,
    }
}

fn json_text(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { value.to_string().into() }
}

/// Whether the value is a text in the format of the AWS scalar; true for scalars that have no format.
fn is_valid_aws_text(scalar: &str, text: Option<&str>) -> bool {
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
    text.is_some_and(is_valid)
}

const DATE: &str = r"(?<date>\d{4}-\d{2}-\d{2})";
// jiff takes the second 60 for 59; Java refuses it.
const TIME: &str = r"(?<time>\d{2}:\d{2}(:[0-5]\d(\.\d{1,9})?)?)";
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

    fn parsed(scalar: &str, value: &Value) -> Option<Value> {
        parse_input(scalar, &JsonInput::from(value)).ok()
    }

    #[test]
    fn aws_scalars_accept_only_their_formats() {
        let cases = [
            ("AWSDate", &["1970-01-01Z", "2026-02-28", "2026-02-28+05:30"][..], &["2026-02-30", "20260228", "x"][..]),
            (
                "AWSTime",
                &["12:00:34Z", "12:00", "12:00:34.5-07:00", "23:59:59.999999999"],
                &["25:00", "12", "12:60:00", "12:00:60", "23:59:60", "23:59:60.5Z", "24:00", "12:00:61"],
            ),
            (
                "AWSDateTime",
                &["2026-11-21T09:12:42.123Z", "2026-11-21T09:12+01:00", "2026-11-21T09:12:42+01:00:30"],
                &[
                    "2026-11-21T09:12:42",
                    "2026-11-21",
                    "2026-13-21T09:12:42Z",
                    " 2026-11-21T09:12:42Z",
                    "2016-12-31T23:59:60Z",
                    "2026-11-21T09:12:42+01:00:60",
                ],
            ),
            ("AWSEmail", &["someone@example.com"], &["someone", "a@b@c", "@example.com"]),
            ("AWSURL", &["https://example.com/a?b=c"], &["/a", "example"]),
            ("AWSPhone", &["+15558675309", "555-867-5309"], &["call me", "12"]),
            ("AWSIPAddress", &["127.0.0.1", "10.0.0.0/8", "::1/128"], &["127.0.0.256", "10.0.0.0/33", "host"]),
        ];
        for (scalar, valid, invalid) in cases {
            for text in valid {
                assert_eq!(parsed(scalar, &json!(text)), Some(json!(text)), "{scalar} {text}");
                assert_eq!(serialize_result(scalar, &json!(text)), Ok(json!(text)), "{scalar} {text}");
                assert!(accepts_literal(scalar, &Literal::String((*text).into())), "{scalar} {text}");
            }
            for text in invalid {
                assert_eq!(parsed(scalar, &json!(text)), None, "{scalar} {text}");
                assert!(serialize_result(scalar, &json!(text)).is_err(), "{scalar} {text}");
                assert!(!accepts_literal(scalar, &Literal::String((*text).into())), "{scalar} {text}");
            }
        }
    }

    #[test]
    fn awsjson_is_parsed_for_resolvers_and_serialized_for_clients() {
        assert_eq!(parsed("AWSJSON", &json!(r#"{"a":[1]}"#)), Some(json!({"a": [1]})));
        assert_eq!(parsed("AWSJSON", &json!("{a}")), None);
        assert_eq!(serialize_result("AWSJSON", &json!({"a": [1]})), Ok(json!(r#"{"a":[1]}"#)));
        assert_eq!(serialize_result("AWSJSON", &json!(r#"{"a":[1]}"#)), Ok(json!(r#"{"a":[1]}"#)));
    }

    #[test]
    fn id_is_the_text_of_a_whole_number() {
        for (number, text) in [
            ("7", "7"),
            ("7.0", "7"),
            ("-0.0", "0"),
            ("1e2", "100"),
            ("-12345678901234567890", "-12345678901234567890"),
        ] {
            let input = JsonInput::from_number_text(number);
            assert_eq!(parse_input("ID", &input), Ok(json!(text)), "{number}");
        }
        assert_eq!(serialize_result("ID", &json!(7)), Ok(json!("7")));
        assert_eq!(parsed("ID", &json!(7.5)), None);
        assert_eq!(parsed("ID", &json!(true)), None);
    }

    #[test]
    fn numbers_out_of_range_are_rejected() {
        assert_eq!(parsed("Int", &json!(2_147_483_648_i64)), None);
        assert_eq!(parsed("Int", &json!("1")), None);
        assert_eq!(parse_input("Float", &JsonInput::from_number_text("1e400")).ok(), None);
        assert_eq!(serialize_result("Int", &json!("12")), Ok(json!(12)));
        assert_eq!(serialize_result("Int", &json!(12.0)), Ok(json!(12)));
        assert_eq!(serialize_result("Int", &json!(12.5)), Err("Expected type 'Int' but was 'Double'.".to_owned()));
        assert_eq!(
            serialize_result("Int", &json!("2147483648")),
            Err("Expected type 'Int' but was 'String'.".to_owned())
        );
        assert_eq!(
            serialize_result("AWSTimestamp", &json!("x")),
            Err("Unable to serialize `x` as a valid timestamp.".to_owned())
        );
    }
}
