//! Parses YAML with CloudFormation's short tags into the JSON of CloudFormation's long form.
use saphyr::{Scalar, ScanError, Yaml, YamlLoader};
use saphyr_parser::{Event, Parser, SpannedEventReceiver};
use serde_json::{Map, Value, json};

/// The limit on nesting; the functions that walk a document are recursive.
const MAX_DEPTH: usize = 64;

/// The first document, or `null`. The error is one sentence.
pub fn parse(text: &str) -> Result<Value, String> {
    let documents = load(text).map_err(|error| error.to_string())?;
    documents.first().map_or(Ok(Value::Null), long_form)
}

fn load(text: &str) -> Result<Vec<Yaml<'_>>, ScanError> {
    let mut loader = YamlLoader::default();
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            Event::Alias(_) => return Err(ScanError::new_str(span.start, "CloudFormation does not support aliases")),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(ScanError::new(span.start, format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        loader.on_event(event, span);
    }
    match loader.error() {
        Some(error) => Err(error.clone()),
        None => Ok(loader.into_documents()),
    }
}

fn long_form(yaml: &Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Value(scalar) => scalar_value(scalar),
        Yaml::Representation(text, ..) => Value::String(text.to_string()),
        Yaml::Sequence(items) => items.iter().map(long_form).collect::<Result<_, _>>()?,
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| Ok((key_text(key)?, long_form(value)?)));
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
        Yaml::Tagged(tag, inner) => expand_tag(&tag.suffix, long_form(inner)?),
        Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    })
}

fn scalar_value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => json!(value),
        Scalar::Integer(value) => json!(value),
        Scalar::FloatingPoint(value) => json!(value.into_inner()),
        Scalar::String(text) => json!(text),
    }
}

fn key_text(key: &Yaml) -> Result<String, String> {
    match key {
        Yaml::Value(_) | Yaml::Representation(..) => match long_form(key)? {
            Value::String(text) => Ok(text),
            other => Ok(other.to_string()),
        },
        _ => Err("a key is itself a list or an object".into()),
    }
}

/// `!Ref x` is `{"Ref": x}`, `!GetAtt a.b` is `{"Fn::GetAtt": ["a", "b"]}`, any other `!X y` is `{"Fn::X":
/// y}`.
fn expand_tag(tag: &str, inner: Value) -> Value {
    let (function, argument) = match (tag, inner) {
        ("Ref" | "Condition", name) => (tag.to_owned(), name),
        ("GetAtt", Value::String(path)) => ("Fn::GetAtt".to_owned(), attribute_path(&path)),
        (tag, argument) => (format!("Fn::{tag}"), argument),
    };
    Value::Object(Map::from_iter([(function, argument)]))
}

fn attribute_path(path: &str) -> Value {
    match path.split_once('.') {
        Some((resource, attribute)) => json!([resource, attribute]),
        None => json!([path]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tags_become_the_long_form() {
        let yaml = "A: !Ref B\nC: !GetAtt D.E\nF: !Sub x-${B}\nG: !If [H, !Ref B, 1]\nI: 1.0.0\nJ: \"true\"\nK: true";
        let expected = json!({
            "A": {"Ref": "B"}, "C": {"Fn::GetAtt": ["D", "E"]}, "F": {"Fn::Sub": "x-${B}"},
            "G": {"Fn::If": ["H", {"Ref": "B"}, 1]}, "I": "1.0.0", "J": "true", "K": true,
        });
        assert_eq!(parse(yaml).unwrap(), expected);
    }

    #[test]
    fn deep_nesting_aliases_and_complex_keys_are_refused() {
        let deep = "- ".repeat(100_000);
        let billion_laughs = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]";
        let keys = "? ".repeat(40);
        for (yaml, reason) in
            [(deep.as_str(), "64 levels"), (billion_laughs, "aliases"), (keys.as_str(), "a key is itself")]
        {
            let error = parse(yaml).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
