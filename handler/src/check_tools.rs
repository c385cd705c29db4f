//! Checks the tools of an agent before the agent is stored: what APPSYNC_JS resolvers cannot check.
use serde::Serialize;
use serde_json::{Map, Value};
use turn::{
    request::CheckToolsRequest,
    tool::{LambdaTool, Tool, ToolTarget},
};

use crate::function_arn::{AllowedFunctions, FunctionArn};

/// What is wrong with the tools. Empty if the agent may have them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToolsCheck {
    refusals: Vec<Refusal>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Refusal {
    /// The member that is refused, such as `tools[0].inputSchema`.
    path: String,
    /// A sentence for the administrator.
    message: String,
}

pub fn check_tools(request: &CheckToolsRequest, allowed: &AllowedFunctions) -> ToolsCheck {
    let mut refusals = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        let mut refuse = |member: &str, message: &str| {
            refusals.push(Refusal { path: format!("tools[{index}].{member}"), message: message.to_owned() });
        };
        if let Err(message) = check_schema(&tool.input_schema) {
            refuse("inputSchema", message);
        }
        if let Err(message) = check_function(tool, allowed) {
            refuse("lambda.functionArn", message);
        }
    }
    ToolsCheck { refusals }
}

/// Models differ in how much of JSON Schema they accept. All of them refuse a schema that breaks one of these
/// rules.
fn check_schema(schema: &str) -> Result<(), &'static str> {
    let schema: Map<String, Value> =
        serde_json::from_str(schema).map_err(|_| "The schema must be the JSON text of an object.")?;
    if schema.get("type") != Some(&Value::from("object")) {
        return Err("The schema must have \"type\": \"object\" at its top level.");
    }
    if ["anyOf", "oneOf", "allOf"].iter().any(|keyword| schema.contains_key(*keyword)) {
        return Err("The schema must not have anyOf, oneOf or allOf at its top level.");
    }
    let is_schema = |value: &Value| value.is_object() || value.is_boolean();
    match schema.get("properties") {
        None => {}
        Some(Value::Object(properties)) if properties.values().all(is_schema) => {}
        Some(_) => return Err("The schema's properties must be an object of schemas."),
    }
    match schema.get("required") {
        None => {}
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {}
        Some(_) => return Err("The schema's required must be a list of names."),
    }
    Ok(())
}

fn check_function(tool: &Tool, allowed: &AllowedFunctions) -> Result<(), &'static str> {
    let ToolTarget::Lambda(LambdaTool { function_arn: arn }) = &tool.target;
    if FunctionArn::parse(arn).is_none() {
        return Err("This is not the ARN of a Lambda function, or of one of its versions or aliases.");
    }
    if !allowed.allows(arn) {
        return Err("The deployment's parameter ToolFunctionArns does not allow this function.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:look";

    /// The paths and messages of the refusals of tools with these schemas and functions.
    fn check(tools: &[(&str, &str)]) -> Vec<(String, String)> {
        let tools: Vec<_> = tools
            .iter()
            .map(|(schema, arn)| {
                json!({
                    "name": "look", "title": null, "description": "Looks.", "inputSchema": schema, "effect": "READ",
                    "lambda": { "functionArn": arn },
                })
            })
            .collect();
        let request = serde_json::from_value(json!({ "tools": tools })).unwrap();
        let check = check_tools(&request, &AllowedFunctions::from_list(ARN));
        check.refusals.into_iter().map(|refusal| (refusal.path, refusal.message)).collect()
    }

    #[test]
    fn allowed_function_with_an_object_schema_is_accepted() {
        for schema in [
            r#"{"type":"object"}"#,
            r#"{"type":"object","properties":{"a":{"anyOf":[]},"b":true},"required":["a"],"additionalProperties":false}"#,
        ] {
            assert_eq!(check(&[(schema, ARN)]), []);
        }
    }

    #[test]
    fn schema_that_models_refuse_is_refused_with_its_path() {
        for (schema, message) in [
            ("", "The schema must be the JSON text of an object."),
            ("[]", "The schema must be the JSON text of an object."),
            ("{", "The schema must be the JSON text of an object."),
            ("{}", "The schema must have \"type\": \"object\" at its top level."),
            (r#"{"type":["object"]}"#, "The schema must have \"type\": \"object\" at its top level."),
            (r#"{"type":"object","anyOf":[]}"#, "The schema must not have anyOf, oneOf or allOf at its top level."),
            (r#"{"type":"object","properties":[]}"#, "The schema's properties must be an object of schemas."),
            (
                r#"{"type":"object","properties":{"a":"string"}}"#,
                "The schema's properties must be an object of schemas.",
            ),
            (r#"{"type":"object","required":"a"}"#, "The schema's required must be a list of names."),
            (r#"{"type":"object","required":[1]}"#, "The schema's required must be a list of names."),
        ] {
            let expected = [("tools[0].inputSchema".to_owned(), message.to_owned())];
            assert_eq!(check(&[(schema, ARN)]), expected, "{schema}");
        }
    }

    #[test]
    fn function_that_is_not_allowed_is_refused_with_its_path() {
        let schema = r#"{"type":"object"}"#;
        let other = "arn:aws:lambda:eu-west-1:123456789012:function:other";
        let path = |index: usize| format!("tools[{index}].lambda.functionArn");
        let not_allowed = "The deployment's parameter ToolFunctionArns does not allow this function.".to_owned();
        let no_arn = "This is not the ARN of a Lambda function, or of one of its versions or aliases.".to_owned();
        let refusals = check(&[(schema, ARN), (schema, other), (schema, "look")]);
        assert_eq!(refusals, [(path(1), not_allowed), (path(2), no_arn)]);
    }
}
