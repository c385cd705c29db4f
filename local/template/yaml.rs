//! YAML with CloudFormation's short tags in, the JSON that CloudFormation's long form would be out.
use saphyr::{LoadableYamlNode, Scalar, ScanError, Yaml};
use serde_json::{Map, Value, json};

pub fn parse(text: &str) -> Result<Value, ScanError> {
    let documents = Yaml::load_from_str(text)?;
    Ok(documents.first().map_or(Value::Null, long_form))
}

fn long_form(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Value(scalar) => plain(scalar),
        Yaml::Representation(text, ..) => Value::String(text.to_string()),
        Yaml::Sequence(items) => items.iter().map(long_form).collect(),
        Yaml::Mapping(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (name(key), long_form(value))).collect())
        }
        Yaml::Tagged(tag, inner) => intrinsic(&tag.suffix, long_form(inner)),
        Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

fn plain(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => json!(value),
        Scalar::Integer(value) => json!(value),
        Scalar::FloatingPoint(value) => json!(value.into_inner()),
        Scalar::String(text) => json!(text),
    }
}

fn name(key: &Yaml) -> String {
    match long_form(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// `!Ref x` is `{"Ref": x}`, `!GetAtt a.b` is `{"Fn::GetAtt": ["a", "b"]}`, any other `!X y` is `{"Fn::X": y}`.
fn intrinsic(tag: &str, inner: Value) -> Value {
    let (function, argument) = match (tag, inner) {
        ("Ref" | "Condition", name) => (tag.to_owned(), name),
        ("GetAtt", Value::String(path)) => ("Fn::GetAtt".to_owned(), attribute(&path)),
        (tag, argument) => (format!("Fn::{tag}"), argument),
    };
    Value::Object(Map::from_iter([(function, argument)]))
}

fn attribute(path: &str) -> Value {
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
}
