//! What the schema says of itself.
use apollo_compiler::{
    introspection,
    request::{RequestError, coerce_variable_values},
};
use serde_json::Value;

use crate::graphql::{graphql_error::GraphqlError, schema::Schema, validation::Prepared};

/// The values of an operation's introspection fields, by response key; null when it has none.
pub fn introspect(schema: &Schema, prepared: &Prepared) -> Result<Value, Vec<GraphqlError>> {
    let (document, operation) = (&prepared.document, &prepared.operation);
    let asked = operation.root_fields(document).any(|field| matches!(field.name.as_str(), "__schema" | "__type"));
    if !asked || !operation.operation_type.is_query() {
        return Ok(Value::Null);
    }
    let refused = |fault: RequestError| vec![GraphqlError::of_request(fault.message().to_string(), None)];
    introspection::check_max_depth(document, operation).map_err(refused)?;
    let variables = serde_json::from_value(Value::Object(prepared.variables.clone())).unwrap_or_default();
    let variables = coerce_variable_values(&schema.definitions, operation, &variables).map_err(refused)?;
    let answer =
        introspection::partial_execute(&schema.definitions, &schema.implementers, document, operation, &variables)
            .map_err(refused)?;
    Ok(serde_json::to_value(answer.data).unwrap_or_default())
}
