//! A validated operation with its document and variables.
use apollo_compiler::{ExecutableDocument, Node, executable::Operation, validation::Valid};

use crate::graphql::schema::input_coercion::JsonObject;

/// An operation that fits the schema and is ready to be executed.
pub struct PreparedOperation {
    pub document: Valid<ExecutableDocument>,
    pub operation: Node<Operation>,
    pub variables: JsonObject,
    /// Whether the variables contain placeholders for lone surrogates.
    pub has_lone_surrogates: bool,
}
