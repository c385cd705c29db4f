//! Checks the documents of GraphQL tools, and derives the schemas of their arguments.
use serde_json::{Map, Value, json};
use turn::tool::{GraphqlTool, ToolEffect};

use super::{MemberRefusal, check_schema};
use crate::{
    graphql_document::{self, Document, Operation, OperationKind, VariableType},
    graphql_urls::GraphqlUrls,
    refused_fields::check_fields,
};

include!(concat!(env!("OUT_DIR"), "/schema_enums.rs"));

/// validateAgent refuses a longer document. Its escapes make the document longer, never shorter.
const MAX_DOCUMENT_BYTES: usize = 16 * 1024;

pub struct CheckedOperation {
    pub input_schema: String,
    pub effect: ToolEffect,
}

pub fn check_operation(
    tool: &GraphqlTool,
    input_schema: Option<&str>,
    urls: &GraphqlUrls,
) -> Result<CheckedOperation, MemberRefusal> {
    let url = tool.url.as_deref();
    let operation =
        check_document(&tool.document, url, urls).map_err(|message| MemberRefusal::new("graphql.document", message))?;
    let effect = match operation.kind {
        OperationKind::Query => ToolEffect::Read,
        OperationKind::Mutation => ToolEffect::Write,
        OperationKind::Subscription => {
            return Err(MemberRefusal::new("graphql.document", "The operation must be a query or a mutation."));
        }
    };
    let input_schema = match input_schema {
        Some(schema) => check_given_schema(schema, &operation).map(|()| schema.to_owned()),
        None => derive_schema(&operation, urls.is_own(url)),
    };
    let input_schema = input_schema.map_err(|message| MemberRefusal::new("inputSchema", message))?;
    Ok(CheckedOperation { input_schema, effect })
}

fn check_document(document: &str, url: Option<&str>, urls: &GraphqlUrls) -> Result<Operation, String> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err("The document must have at most 16 KB.".to_owned());
    }
    let document = graphql_document::parse(document)
        .map_err(|error| format!("The document is not a GraphQL document: {error}."))?;
    check_fields(&document, url, urls).map_err(|refused| refused.to_string())?;
    only_operation(document)
}

fn only_operation(document: Document) -> Result<Operation, String> {
    let [operation] = <[Operation; 1]>::try_from(document.operations)
        .map_err(|operations| format!("The document must have one operation, not {}.", operations.len()))?;
    let is_defined = |name: &str| operation.variables.iter().any(|variable| variable.name == name);
    if let Some(name) = document.used_variables.into_iter().find(|name| !is_defined(name.as_str())) {
        return Err(format!("The operation does not define the variable ${name}."));
    }
    let mut names: Vec<_> = operation.variables.iter().map(|variable| &variable.name).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("The operation defines the variable ${} twice.", pair[0]));
    }
    Ok(operation)
}

/// An argument that is no variable would make the API refuse the call.
fn check_given_schema(schema: &str, operation: &Operation) -> Result<(), String> {
    let properties = check_schema(schema)?;
    let is_variable = |name: &str| operation.variables.iter().any(|variable| variable.name == name);
    match properties.keys().find(|name| !is_variable(name)) {
        Some(name) => Err(format!("The schema's property {name} is not a variable of the document.")),
        None => Ok(()),
    }
}

fn derive_schema(operation: &Operation, is_own_api: bool) -> Result<String, String> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for variable in &operation.variables {
        let schema = type_schema(&variable.variable_type, is_own_api).map_err(|unknown_type| {
            format!(
                "The schema must be given: the type {unknown_type} of the variable ${} cannot be derived.",
                variable.name
            )
        })?;
        properties.insert(variable.name.clone(), schema);
        if variable.variable_type.is_non_null() && !variable.has_default {
            required.push(&variable.name);
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    Ok(schema.to_string())
}

/// The error is the name of a type whose values are not known.
fn type_schema(variable_type: &VariableType, is_own_api: bool) -> Result<Value, &str> {
    let name = match variable_type {
        VariableType::Named { name, .. } => name.as_str(),
        VariableType::List { item, .. } => {
            return Ok(json!({ "type": "array", "items": type_schema(item, is_own_api)? }));
        }
    };
    let described = |kind: &str, description: &str| json!({ "type": kind, "description": description });
    Ok(match name {
        "Int" => json!({ "type": "integer" }),
        "Float" => json!({ "type": "number" }),
        "Boolean" => json!({ "type": "boolean" }),
        "String" | "ID" => json!({ "type": "string" }),
        "AWSDate" => described("string", "A date, such as 2026-01-31."),
        "AWSTime" => described("string", "A time of day, such as 09:30:00.000."),
        "AWSDateTime" => described("string", "A date and time in UTC, such as 2026-01-31T09:30:00.000Z."),
        "AWSTimestamp" => described("integer", "Seconds since 1970."),
        "AWSEmail" => described("string", "An email address."),
        "AWSJSON" => described("string", "A JSON text."),
        "AWSURL" => described("string", "A URL."),
        "AWSPhone" => described("string", "A phone number."),
        "AWSIPAddress" => described("string", "An IP address."),
        other => {
            let found = SCHEMA_ENUMS.iter().find(|(name, _)| is_own_api && *name == other).ok_or(other)?;
            json!({ "type": "string", "enum": found.1 })
        }
    })
}
