//! JSON of clients, parsed as AppSync's Java library Jackson parses it.
//!
//! A byte order mark is skipped, the last of repeated members counts, nesting may be 1,000 levels deep,
//! numbers may have more digits than a machine number, and texts may hold lone surrogates.
use apollo_compiler::collections::IndexMap;
use serde_json::{Map, Number, Value};

use crate::lone_surrogates;

/// Jackson's limit on nested arrays and objects.
const MAX_DEPTH: usize = 1_000;
/// Jackson's limit on the characters of a number.
const MAX_NUMBER_LENGTH: usize = 1_000;
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A JSON value whose numbers have all their digits.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonInput {
    Null,
    Boolean(bool),
    /// The text of a number. An integer has no sign `-` if it is zero, and neither fraction nor exponent.
    Number(String),
    /// With placeholders for lone surrogates, if the document has any.
    Text(String),
    List(Vec<JsonInput>),
    Object(InputObject),
}

pub type InputObject = IndexMap<String, JsonInput>;

/// A JSON document of a client.
#[derive(Debug, PartialEq)]
pub struct JsonDocument {
    pub value: JsonInput,
    /// Whether the texts are encoded by `lone_surrogates`.
    pub has_lone_surrogates: bool,
}

impl JsonDocument {
    /// Returns `None` if the text is not JSON.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        for has_lone_surrogates in [false, true] {
            match Parser::new(text, has_lone_surrogates).parse() {
                Ok(value) => return Some(Self { value, has_lone_surrogates }),
                Err(ParseError::LoneSurrogate) => {}
                Err(ParseError::Invalid) => return None,
            }
        }
        None
    }

    /// The value of a document whose lone surrogates are question marks, as Java encodes them. Returns `None`
    /// if the text is not JSON.
    pub fn parse_lossy(text: &str) -> Option<JsonInput> {
        let Self { value, has_lone_surrogates } = Self::parse(text)?;
        Some(if has_lone_surrogates { value.decoded_lossy() } else { value })
    }

    /// The document `null`.
    pub fn empty() -> Self {
        Self { value: JsonInput::Null, has_lone_surrogates: false }
    }
}

impl JsonInput {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            JsonInput::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&InputObject> {
        match self {
            JsonInput::Object(members) => Some(members),
            _ => None,
        }
    }

    fn decoded_lossy(self) -> Self {
        let decode = |text: String| lone_surrogates::decode_lossy(&text).into_owned();
        match self {
            JsonInput::Text(text) => JsonInput::Text(decode(text)),
            JsonInput::List(items) => JsonInput::List(items.into_iter().map(Self::decoded_lossy).collect()),
            JsonInput::Object(members) => JsonInput::Object(
                members.into_iter().map(|(name, value)| (decode(name), value.decoded_lossy())).collect(),
            ),
            other @ (JsonInput::Null | JsonInput::Boolean(_) | JsonInput::Number(_)) => other,
        }
    }

    /// The number of a text that follows JSON's grammar.
    pub fn from_number_text(text: &str) -> Self {
        let is_zero = text == "-0";
        JsonInput::Number(if is_zero { "0".to_owned() } else { text.to_owned() })
    }

    /// The value as JavaScript sees it: a number is a double.
    pub fn to_json(&self) -> Value {
        match self {
            JsonInput::Null => Value::Null,
            JsonInput::Boolean(boolean) => (*boolean).into(),
            JsonInput::Number(text) => number_json(text),
            JsonInput::Text(text) => text.as_str().into(),
            JsonInput::List(items) => items.iter().map(JsonInput::to_json).collect(),
            JsonInput::Object(members) => Value::Object(object_json(members)),
        }
    }

    /// The name of the Java class by which AppSync's messages call the value.
    pub fn java_class(&self) -> &'static str {
        match self {
            JsonInput::Null => "null",
            JsonInput::Boolean(_) => "Boolean",
            JsonInput::Number(text) if !is_integer(text) => "Double",
            JsonInput::Number(text) if text.parse::<i32>().is_ok() => "Integer",
            JsonInput::Number(text) if text.parse::<i64>().is_ok() => "Long",
            JsonInput::Number(_) => "BigInteger",
            JsonInput::Text(_) => "String",
            JsonInput::List(_) => "ArrayList",
            JsonInput::Object(_) => "LinkedHashMap",
        }
    }

    /// The text of the value by Java's `toString`.
    pub fn java_text(&self) -> String {
        let mut text = String::new();
        self.write_java_text(&mut text);
        text
    }

    fn write_java_text(&self, text: &mut String) {
        match self {
            JsonInput::Null => text.push_str("null"),
            JsonInput::Boolean(boolean) => text.push_str(if *boolean { "true" } else { "false" }),
            JsonInput::Number(number) if is_integer(number) => text.push_str(number),
            JsonInput::Number(number) => text.push_str(&java_double_text(number.parse().unwrap_or_default())),
            JsonInput::Text(string) => text.push_str(string),
            JsonInput::List(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index > 0 { ", " } else { "" });
                    item.write_java_text(text);
                }
                text.push(']');
            }
            JsonInput::Object(members) => {
                text.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    text.push_str(if index > 0 { ", " } else { "" });
                    text.push_str(name);
                    text.push('=');
                    member.write_java_text(text);
                }
                text.push('}');
            }
        }
    }
}

impl From<&Value> for JsonInput {
    fn from(json: &Value) -> Self {
        match json {
            Value::Null => JsonInput::Null,
            Value::Bool(boolean) => JsonInput::Boolean(*boolean),
            Value::Number(number) => JsonInput::from_number_text(&number.to_string()),
            Value::String(text) => JsonInput::Text(text.clone()),
            Value::Array(items) => JsonInput::List(items.iter().map(JsonInput::from).collect()),
            Value::Object(members) => {
                JsonInput::Object(members.iter().map(|(name, member)| (name.clone(), member.into())).collect())
            }
        }
    }
}

pub fn object_json(members: &InputObject) -> Map<String, Value> {
    members.iter().map(|(name, member)| (name.clone(), member.to_json())).collect()
}

/// Whether the text of a number has neither fraction nor exponent.
pub fn is_integer(number: &str) -> bool {
    number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
}

/// JSON has no infinity: a number that no double can hold is null.
fn number_json(text: &str) -> Value {
    let integer = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    integer.or_else(|| Number::from_f64(text.parse().ok()?)).map_or(Value::Null, Value::Number)
}

/// The text of a double by Java's `Double.toString`: at least one digit after the point, and an exponent
/// outside of 10^-3 to 10^7.
pub fn java_double_text(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let fraction = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{fraction}E{exponent}")
}

enum ParseError {
    Invalid,
    /// The document has a lone surrogate, so that its texts must be encoded.
    LoneSurrogate,
}

struct Parser<'a> {
    rest: &'a str,
    /// Whether texts are encoded by `lone_surrogates`.
    encodes: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, encodes: bool) -> Self {
        Self { rest: text, encodes }
    }

    /// Parses the whole text. Jackson would ignore what follows the value; here it is refused.
    fn parse(mut self) -> Result<JsonInput, ParseError> {
        self.skip_white_space();
        let value = self.value(0)?;
        self.skip_white_space();
        if self.rest.is_empty() { Ok(value) } else { Err(ParseError::Invalid) }
    }

    fn value(&mut self, depth: usize) -> Result<JsonInput, ParseError> {
        let first = self.rest.bytes().next().ok_or(ParseError::Invalid)?;
        match first {
            b'{' | b'[' if depth == MAX_DEPTH => Err(ParseError::Invalid),
            b'{' => self.object(depth + 1),
            b'[' => self.list(depth + 1),
            b'"' => self.text().map(JsonInput::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.keyword("true", JsonInput::Boolean(true)),
            b'f' => self.keyword("false", JsonInput::Boolean(false)),
            b'n' => self.keyword("null", JsonInput::Null),
            _ => Err(ParseError::Invalid),
        }
    }

    fn object(&mut self, depth: usize) -> Result<JsonInput, ParseError> {
        let mut members = InputObject::default();
        self.expect('{')?;
        if self.take('}') {
            return Ok(JsonInput::Object(members));
        }
        loop {
            let name = self.text()?;
            self.skip_white_space();
            self.expect(':')?;
            let value = self.value(depth)?;
            members.insert(name, value);
            self.skip_white_space();
            if self.take('}') {
                return Ok(JsonInput::Object(members));
            }
            self.expect(',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<JsonInput, ParseError> {
        let mut items = Vec::new();
        self.expect('[')?;
        if self.take(']') {
            return Ok(JsonInput::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_white_space();
            if self.take(']') {
                return Ok(JsonInput::List(items));
            }
            self.expect(',')?;
        }
    }

    fn number(&mut self) -> Result<JsonInput, ParseError> {
        let length = number_length(self.rest).filter(|length| *length <= MAX_NUMBER_LENGTH);
        let (number, rest) = self.rest.split_at(length.ok_or(ParseError::Invalid)?);
        self.rest = rest;
        Ok(JsonInput::from_number_text(number))
    }

    fn keyword(&mut self, keyword: &str, value: JsonInput) -> Result<JsonInput, ParseError> {
        self.rest = self.rest.strip_prefix(keyword).ok_or(ParseError::Invalid)?;
        Ok(value)
    }

    /// Copies the text between two escapes whole, which is many times faster than character by character.
    fn text(&mut self) -> Result<String, ParseError> {
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
        let mut rest = self.rest.strip_prefix('"').ok_or(ParseError::Invalid)?;
        let mut text = String::new();
        loop {
            let length = rest.as_bytes().iter().position(is_special).ok_or(ParseError::Invalid)?;
            self.push_text(&mut text, &rest[..length]);
            let (special, after) = (rest.as_bytes()[length], &rest[length + 1..]);
            rest = match special {
                b'"' => {
                    self.rest = after;
                    return Ok(text);
                }
                b'\\' => {
                    let (escaped, after) = unescape(after).ok_or(ParseError::Invalid)?;
                    self.push(&mut text, escaped)?;
                    after
                }
                _ => return Err(ParseError::Invalid),
            };
        }
    }

    fn push_text(&self, text: &mut String, unescaped: &str) {
        match self.encodes && lone_surrogates::has_private_use_plane(unescaped) {
            true => text.push_str(&lone_surrogates::encode(unescaped)),
            false => text.push_str(unescaped),
        }
    }

    fn push(&self, text: &mut String, unescaped: Unescaped) -> Result<(), ParseError> {
        match unescaped {
            Unescaped::Character(character) if self.encodes => lone_surrogates::push_character(text, character),
            Unescaped::Character(character) => text.push(character),
            Unescaped::LoneSurrogate(code) if self.encodes => lone_surrogates::push_surrogate(text, code),
            Unescaped::LoneSurrogate(_) => return Err(ParseError::LoneSurrogate),
        }
        Ok(())
    }

    fn skip_white_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes a character and the white space after it.
    fn take(&mut self, character: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(character) else { return false };
        self.rest = rest;
        self.skip_white_space();
        true
    }

    fn expect(&mut self, character: char) -> Result<(), ParseError> {
        if self.take(character) { Ok(()) } else { Err(ParseError::Invalid) }
    }
}

enum Unescaped {
    Character(char),
    LoneSurrogate(u32),
}

/// The character of an escape without its backslash, and the text after it.
fn unescape(escape: &str) -> Option<(Unescaped, &str)> {
    let mut characters = escape.chars();
    let character = match characters.next()? {
        'u' => return unescape_code(characters.as_str()),
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        same @ ('"' | '\\' | '/') => same,
        _ => return None,
    };
    Some((Unescaped::Character(character), characters.as_str()))
}

/// The character of four hexadecimal digits, or of two such escapes that are a surrogate pair.
fn unescape_code(digits: &str) -> Option<(Unescaped, &str)> {
    let (code, rest) = hexadecimal(digits)?;
    if let Some(character) = char::from_u32(code) {
        return Some((Unescaped::Character(character), rest));
    }
    let low = rest.strip_prefix("\\u").and_then(hexadecimal).filter(|(low, _)| (0xDC00..=0xDFFF).contains(low));
    match low {
        Some((low, rest)) if code < 0xDC00 => {
            let character = char::from_u32(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))?;
            Some((Unescaped::Character(character), rest))
        }
        _ => Some((Unescaped::LoneSurrogate(code), rest)),
    }
}

fn hexadecimal(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let is_valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_valid.then(|| u32::from_str_radix(digits, 16).ok()).flatten().map(|code| (code, rest))
}

/// The length of the number that the text begins with, by JSON's grammar.
fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |start: usize| bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(text.starts_with('-'));
    let integer = digits(end);
    if integer == 0 || (integer > 1 && bytes[end] == b'0') {
        return None;
    }
    end += integer;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        end += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        end += 1 + sign + exponent;
        if exponent == 0 {
            return None;
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Option<JsonInput> {
        JsonDocument::parse(text).map(|document| document.value)
    }

    #[test]
    fn document_equals_that_of_serde_json() {
        let documents = [
            "null",
            " true ",
            "[]",
            "{}",
            "[1,-2.5,3e2,\"a\\u00e9\\n\\/\\\\\\\"\\ud83d\\ude00é😀\"]",
            "{\"a\": {\"b\" : [null , false]}, \"c\":\"\"}",
            "\r\n[ 0 , 18446744073709551615, -9223372036854775808 ]\t",
        ];
        for text in documents {
            assert_eq!(parse(text).map(|value| value.to_json()), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let texts = [
            "",
            " ",
            "nul",
            "truex",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{,}",
            "'a'",
            "\"a",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u00g0\"",
            "\"\\u00\"",
            "\"\\u+123\"",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "NaN",
            "1 1",
            "[]]",
            "\u{feff}\u{feff}1",
        ];
        for text in texts {
            assert_eq!(JsonDocument::parse(text), None, "{text}");
            let text = text.trim_start_matches(BYTE_ORDER_MARK);
            assert!(text == "1" || serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn document_is_parsed_as_by_jackson() {
        assert_eq!(parse("\u{feff}[7]").unwrap().to_json(), json!([7]));
        assert_eq!(parse(r#"{"a":1,"b":2,"a":3}"#).unwrap().to_json(), json!({ "a": 3, "b": 2 }));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_some() && parse(&nested(MAX_DEPTH + 1)).is_none());
        assert_eq!(parse(&nested(1_000_000)), None);
        let digits = "9".repeat(MAX_NUMBER_LENGTH);
        assert_eq!(parse(&digits), Some(JsonInput::Number(digits.clone())));
        assert_eq!(parse(&format!("{digits}9")), None);
        assert_eq!(parse("-0"), Some(JsonInput::Number("0".into())));
        assert_eq!(parse("1e400").unwrap().to_json(), Value::Null);
    }

    #[test]
    fn documents_with_lone_surrogates_are_encoded() {
        let plain = JsonDocument::parse("\"\\udbf6\\udc00\u{10d800}\u{10ffff}\"").unwrap();
        assert_eq!(plain.value, JsonInput::Text("\u{10d800}\u{10d800}\u{10ffff}".into()));
        assert!(!plain.has_lone_surrogates);
        for text in [
            r#""a\ud83d b""#,
            r#""\udc00\ud800""#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\ud83d\u0041""#,
            "\"\\ud800\u{10d800}\u{10dfff}\u{10ffff}\u{10ffff}\"",
        ] {
            let document = JsonDocument::parse(text).unwrap();
            assert!(document.has_lone_surrogates, "{text}");
            let decoded = lone_surrogates::decode_json(&document.value.to_json().to_string());
            let expected = text.replace("\\ud83d\\ude00", "\u{1f600}").replace("\\u0041", "A");
            assert_eq!(decoded, expected);
        }
    }

    #[test]
    fn java_names_and_texts_of_values() {
        let value = parse(r#"{"b":[1,"x",null,2.5,true],"a":{},"c":[]}"#).unwrap();
        assert_eq!(value.java_text(), "{b=[1, x, null, 2.5, true], a={}, c=[]}");
        for (text, class) in [
            ("null", "null"),
            ("true", "Boolean"),
            ("7", "Integer"),
            ("-2147483649", "Long"),
            ("9223372036854775808", "BigInteger"),
            ("7.0", "Double"),
            ("7e0", "Double"),
            ("\"\"", "String"),
            ("[]", "ArrayList"),
            ("{}", "LinkedHashMap"),
        ] {
            assert_eq!(parse(text).unwrap().java_class(), class, "{text}");
        }
        for (number, text) in [
            (7.0, "7.0"),
            (-0.5, "-0.5"),
            (0.001, "0.001"),
            (0.000_25, "2.5E-4"),
            (1e7, "1.0E7"),
            (1_234_567.5, "1234567.5"),
            (12_345_678.5, "1.23456785E7"),
            (1e300, "1.0E300"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(java_double_text(number), text);
        }
    }
}
