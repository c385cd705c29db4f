//! Reads which tools a question asks the scripted model to call: `call NAME with {JSON}`, or `call NAME`
//! without arguments. `then call NAME` waits for the results of the calls before it.
use std::sync::LazyLock;

use fancy_regex::{Captures, Regex};
use serde::de::IgnoredAny;
use serde_json::Deserializer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestedCall<'a> {
    pub name: &'a str,
    /// A JSON object as it stands in the question; empty without arguments.
    pub arguments: &'a str,
}

/// The calls of each step. Names of other tools than the given ones are not calls.
pub(super) fn requested_steps<'a>(question: &'a str, tool_names: &[&str]) -> Vec<Vec<RequestedCall<'a>>> {
    let mut steps: Vec<Vec<RequestedCall>> = Vec::new();
    let mut position = 0;
    while let Ok(Some(found)) = CALL.captures_from_pos(question, position) {
        let (call, end) = parse_call(question, &found);
        position = end;
        let Some(call) = call.filter(|call| tool_names.contains(&call.name)) else { continue };
        match steps.last_mut() {
            Some(step) if found.name("then").is_none() => step.push(call),
            _ => steps.push(vec![call]),
        }
    }
    steps
}

static CALL: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "the pattern is constant")]
    Regex::new(r"(?i)\b(?<then>then\s+)?call\s+(?<name>[a-z0-9_-]{1,64})(?<with>\s+with\b\s*)?").unwrap()
});

/// The call, unless its arguments are no JSON object, and where the text goes on.
fn parse_call<'a>(question: &'a str, found: &Captures<'a, str>) -> (Option<RequestedCall<'a>>, usize) {
    let end = found.get(0).map_or(question.len(), |whole| whole.end());
    let Some(name) = found.name("name").map(|name| name.as_str()) else { return (None, end) };
    if found.name("with").is_none() {
        return (Some(RequestedCall { name, arguments: "" }), end);
    }
    match json_object(&question[end..]) {
        Some(arguments) => (Some(RequestedCall { name, arguments }), end + arguments.len()),
        None => (None, end),
    }
}

/// The JSON object with which the text begins.
fn json_object(text: &str) -> Option<&str> {
    if !text.starts_with('{') {
        return None;
    }
    let mut documents = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    documents.next()?.ok()?;
    Some(&text[..documents.byte_offset()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: &str, expected: &[&[(&str, &str)]]) {
        let steps = requested_steps(question, &["forecast", "rename_file"]);
        let steps: Vec<Vec<_>> =
            steps.iter().map(|step| step.iter().map(|call| (call.name, call.arguments)).collect()).collect();
        assert_eq!(steps, expected, "{question}");
    }

    #[test]
    fn arguments_are_kept_byte_for_byte() {
        check(
            r#"Please call forecast with {"city" : "Par\u0069s {", "n":1.0 }."#,
            &[&[("forecast", r#"{"city" : "Par\u0069s {", "n":1.0 }"#)]],
        );
        check("Call forecast.", &[&[("forecast", "")]]);
        check("call forecast with {}", &[&[("forecast", "{}")]]);
    }

    #[test]
    fn calls_are_one_step_unless_one_waits_for_another() {
        check(
            r#"call forecast with {"a":1} and call rename_file"#,
            &[&[("forecast", r#"{"a":1}"#), ("rename_file", "")]],
        );
        check(
            "Call forecast, call forecast, then call rename_file. Then\ncall forecast",
            &[&[("forecast", ""), ("forecast", "")], &[("rename_file", "")], &[("forecast", "")]],
        );
        check("then call forecast", &[&[("forecast", "")]]);
    }

    #[test]
    fn other_text_is_no_call() {
        let others = [
            "What is the forecast?",
            "call me",
            "recall forecast",
            "call forecast with care",
            r#"call forecast with {"city":"#,
            r#"call forecast with ["Paris"]"#,
            r#"say {"text":"call clock"}"#,
        ];
        for question in others {
            check(question, &[]);
        }
    }
}
