//! JSON Schemas of tools' arguments: what all models accept, and how those of MCP servers become so.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Keywords of a schema that do not keep it from being joined with others.
const JOINABLE: [&str; 7] =
    ["type", "properties", "required", "title", "description", "additionalProperties", "$schema"];

/// Models differ in how much of JSON Schema they accept. All of them refuse a schema that breaks one of these
/// rules. Returns the schema's properties.
pub fn check_schema(schema: &str) -> Result<Map<String, Value>, &'static str> {
    let schema = serde_json::from_str(schema).map_err(|_| "The schema must be the JSON text of an object.")?;
    check_object(schema)
}

fn check_object(mut schema: Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    if schema.get("type") != Some(&Value::from("object")) {
        return Err("The schema must have \"type\": \"object\" at its top level.");
    }
    if ["anyOf", "oneOf", "allOf"].iter().any(|keyword| schema.contains_key(*keyword)) {
        return Err("The schema must not have anyOf, oneOf or allOf at its top level.");
    }
    match schema.get("required") {
        None => {}
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {}
        Some(_) => return Err("The schema's required must be a list of names."),
    }
    let is_schema = |value: &Value| value.is_object() || value.is_boolean();
    match schema.remove("properties") {
        None => Ok(Map::new()),
        Some(Value::Object(properties)) if properties.values().all(is_schema) => Ok(properties),
        Some(_) => Err("The schema's properties must be an object of schemas."),
    }
}

/// The schema of a server's tool, as JSON text: with the type object, without the version of JSON Schema, and
/// with alternatives at the top level joined to one object.
pub fn normalized(schema: &Map<String, Value>) -> Result<String, &'static str> {
    let mut schema = joined(schema).unwrap_or_else(|| schema.clone());
    schema.remove("$schema");
    schema.entry("type").or_insert_with(|| "object".into());
    check_object(schema.clone())?;
    Ok(Value::from(schema).to_string())
}

/// The schema with what is in anyOf, oneOf and allOf as properties of its own. It accepts more than the given
/// one, so the server still checks the arguments. `None` if a part is more than an object with properties.
fn joined(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut joined = schema.clone();
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let Some(parts) = joined.remove(keyword) else { continue };
        let parts = parts.as_array()?.iter().map(ObjectSchema::parse).collect::<Option<Vec<_>>>()?;
        let mut base = ObjectSchema::from_members(&joined)?;
        base.add(&parts, keyword)?;
        joined.insert("properties".into(), base.properties.into());
        joined.insert("required".into(), base.required.into_iter().collect());
    }
    Some(joined)
}

#[derive(Default)]
struct ObjectSchema {
    properties: Map<String, Value>,
    required: BTreeSet<String>,
}

impl ObjectSchema {
    fn parse(schema: &Value) -> Option<Self> {
        let members = schema.as_object()?;
        let is_joinable = members.keys().all(|keyword| JOINABLE.contains(&keyword.as_str()));
        let is_object = members.get("type").is_none_or(|kind| kind == "object");
        if is_joinable && is_object { Self::from_members(members) } else { None }
    }

    fn from_members(members: &Map<String, Value>) -> Option<Self> {
        let properties = match members.get("properties") {
            None => Map::new(),
            Some(properties) => properties.as_object()?.clone(),
        };
        let required = match members.get("required") {
            None => BTreeSet::new(),
            Some(names) => {
                names.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?
            }
        };
        Some(Self { properties, required })
    }

    /// Adds parts that are all valid (`allOf`), or of which one is valid. Own properties stay as they are.
    fn add(&mut self, parts: &[Self], keyword: &str) -> Option<()> {
        let (first, others) = parts.split_first()?;
        let mut names: BTreeSet<&String> = parts.iter().flat_map(|part| part.properties.keys()).collect();
        names.retain(|name| !self.properties.contains_key(*name));
        for name in names {
            let mut schemas: Vec<&Value> = Vec::new();
            for schema in parts.iter().filter_map(|part| part.properties.get(name)) {
                if !schemas.contains(&schema) {
                    schemas.push(schema);
                }
            }
            let schema = match schemas[..] {
                [schema] => schema.clone(),
                _ if keyword == "allOf" => json!({ "allOf": schemas }),
                _ => json!({ "anyOf": schemas }),
            };
            self.properties.insert(name.clone(), schema);
        }
        let required = first.required.clone();
        self.required.extend(others.iter().fold(required, |names, part| match keyword {
            "allOf" => names.union(&part.required).cloned().collect(),
            _ => names.intersection(&part.required).cloned().collect(),
        }));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalize(schema: Value) -> Result<Value, &'static str> {
        let text = normalized(schema.as_object().unwrap())?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn type_is_added_and_version_is_left_out() {
        let given = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "properties": { "a": {} } });
        assert_eq!(normalize(given), Ok(json!({ "type": "object", "properties": { "a": {} } })));
        assert_eq!(normalize(json!({})), Ok(json!({ "type": "object" })));
        let complete = json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/$defs/A" } },
            "$defs": { "A": { "anyOf": [{ "type": "string" }, { "type": "null" }] } }, "additionalProperties": false });
        assert_eq!(normalize(complete.clone()), Ok(complete));
    }

    #[test]
    fn alternatives_are_joined_and_need_what_all_of_them_need() {
        let given = json!({
            "type": "object",
            "properties": { "id": { "type": "string" } },
            "required": ["id"],
            "oneOf": [
                { "properties": { "by": { "const": "name" }, "name": {}, "id": {} }, "required": ["by", "name"] },
                { "type": "object", "properties": { "by": { "const": "age" }, "age": {} }, "required": ["by", "age"] },
            ],
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "id": { "type": "string" },
                "by": { "anyOf": [{ "const": "name" }, { "const": "age" }] },
                "name": {},
                "age": {},
            },
            "required": ["by", "id"],
        });
        assert_eq!(normalize(given), Ok(expected));
    }

    #[test]
    fn parts_that_all_hold_are_joined_and_need_what_any_of_them_needs() {
        let given = json!({
            "allOf": [
                { "properties": { "a": { "type": "string" }, "b": {} }, "required": ["a"] },
                { "properties": { "a": { "minLength": 1 } }, "required": ["b"] },
            ],
        });
        let expected = json!({
            "type": "object",
            "properties": { "a": { "allOf": [{ "type": "string" }, { "minLength": 1 }] }, "b": {} },
            "required": ["a", "b"],
        });
        assert_eq!(normalize(given), Ok(expected));
    }

    #[test]
    fn schemas_that_models_refuse_are_refused() {
        const ALTERNATIVES: &str = "The schema must not have anyOf, oneOf or allOf at its top level.";
        for (schema, message) in [
            (json!({ "type": "string" }), "The schema must have \"type\": \"object\" at its top level."),
            (json!({ "anyOf": [{ "type": "string" }] }), ALTERNATIVES),
            (json!({ "anyOf": [{ "$ref": "#/$defs/A" }] }), ALTERNATIVES),
            (json!({ "anyOf": [{ "properties": [] }] }), ALTERNATIVES),
            (json!({ "anyOf": [{ "required": "a" }] }), ALTERNATIVES),
            (json!({ "anyOf": [] }), ALTERNATIVES),
            (json!({ "allOf": {} }), ALTERNATIVES),
            (json!({ "properties": 1, "anyOf": [{}] }), ALTERNATIVES),
            (json!({ "required": [1] }), "The schema's required must be a list of names."),
            (json!({ "properties": { "a": 1 } }), "The schema's properties must be an object of schemas."),
        ] {
            assert_eq!(normalize(schema.clone()), Err(message), "{schema}");
        }
    }
}
