//! Execution of the introspection fields of an operation.
use apollo_compiler::{
    introspection,
    request::{RequestError, coerce_variable_values},
};
use serde_json::Value;

use crate::graphql::{graphql_error::GraphqlError, schema::Schema, validation::operation::PreparedOperation};

/// Returns the values of an operation's introspection fields by response key, or null if it has none.
pub fn introspect(schema: &Schema, prepared: &PreparedOperation) -> Result<Value, Vec<GraphqlError>> {
    let (document, operation) = (&prepared.document, &prepared.operation);
    let mut root_fields = operation.root_fields(document);
    let has_introspection = root_fields.any(|field| matches!(field.name.as_str(), "__schema" | "__type"));
    if !has_introspection || !operation.operation_type.is_query() {
        return Ok(Value::Null);
    }
    let to_errors = |error: RequestError| vec![GraphqlError::request_error(error.message().to_string(), None)];
    introspection::check_max_depth(document, operation).map_err(to_errors)?;
    let variables = serde_json::from_value(Value::Object(prepared.variables.clone())).unwrap_or_default();
    let variables = coerce_variable_values(&schema.definitions, operation, &variables).map_err(to_errors)?;
    let response =
        introspection::partial_execute(&schema.definitions, &schema.implementers, document, operation, &variables)
            .map_err(to_errors)?;
    Ok(serde_json::to_value(response.data).unwrap_or_default())
}
