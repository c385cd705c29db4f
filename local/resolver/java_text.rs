//! Java's text functions that APPSYNC_JS is built on: `Pattern`, `URLEncoder` and `URLDecoder`.
use std::{cell::RefCell, collections::HashMap, rc::Rc};

use fancy_regex::{Captures, Regex};

/// The most patterns that a thread keeps compiled. A resolver uses few, but may build them from arguments.
const MAX_COMPILED_PATTERNS: usize = 100;

thread_local! {
    static COMPILED_PATTERNS: RefCell<HashMap<String, Rc<Regex>>> = RefCell::default();
}

pub fn matches(pattern: &str, text: &str) -> Result<bool, String> {
    compile(pattern)?.is_match(text).map_err(|error| format!("the pattern {pattern:?} could not be matched: {error}"))
}

/// As `Matcher.replaceFirst` and `replaceAll`: in the replacement, `$1` and `${name}` are groups and `\`
/// escapes.
pub fn replace(text: &str, pattern: &str, replacement: &str, replace_all: bool) -> Result<String, String> {
    let parts = parse_replacement(replacement)?;
    let limit = if replace_all { 0 } else { 1 };
    compile(pattern)?
        .try_replacen(text, limit, |captures: &Captures<'_, str>| {
            parts.iter().map(|part| part.text(captures)).collect::<String>()
        })
        .map(|replaced| replaced.into_owned())
        .map_err(|error| format!("the pattern {pattern:?} could not be matched: {error}"))
}

/// `application/x-www-form-urlencoded`.
pub fn url_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

pub fn url_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_byte(rest.next(), rest.next()).ok_or("a percent sign is followed by two hexadecimal digits")?,
            _ => byte,
        });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_byte(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Compiles a pattern, or returns it as it was compiled before: compiling takes much longer than matching.
fn compile(pattern: &str) -> Result<Rc<Regex>, String> {
    COMPILED_PATTERNS.with_borrow_mut(|patterns| {
        if let Some(regex) = patterns.get(pattern) {
            return Ok(Rc::clone(regex));
        }
        let regex = Regex::new(pattern)
            .map_err(|error| format!("the pattern {pattern:?} is not a Java regular expression: {error}"))?;
        if patterns.len() == MAX_COMPILED_PATTERNS {
            patterns.clear();
        }
        let regex = Rc::new(regex);
        patterns.insert(pattern.to_owned(), Rc::clone(&regex));
        Ok(regex)
    })
}

enum Part {
    Literal(char),
    Group(usize),
    Named(String),
}

impl Part {
    fn text(&self, captures: &Captures<'_, str>) -> String {
        let group = match self {
            Part::Literal(character) => return character.to_string(),
            Part::Group(index) => captures.get(*index),
            Part::Named(name) => captures.name(name),
        };
        group.map(|group| group.as_str().to_owned()).unwrap_or_default()
    }
}

fn parse_replacement(replacement: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = replacement.chars().peekable();
    while let Some(character) = rest.next() {
        parts.push(match character {
            '\\' => Part::Literal(rest.next().ok_or("a backslash ends the replacement")?),
            '$' => match rest.next() {
                Some('{') => Part::Named(rest.by_ref().take_while(|next| *next != '}').collect()),
                Some(digit @ '0'..='9') => Part::Group(digit as usize - '0' as usize),
                _ => return Err("a dollar sign in the replacement names a group; \\$ is the sign itself".into()),
            },
            _ => Part::Literal(character),
        });
    }
    Ok(parts)
}
