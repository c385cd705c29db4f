//! A validated operation with its document and variables.
use apollo_compiler::{ExecutableDocument, Node, executable::Operation, validation::Valid};

use crate::{graphql::schema::input_coercion::JsonObject, json_input::InputObject};

/// An operation that fits the schema and is ready to be executed.
pub struct PreparedOperation {
    pub document: Valid<ExecutableDocument>,
    pub operation: Node<Operation>,
    /// The variables that the client sent or that have a default, not coerced.
    pub inputs: InputObject,
    /// The same variables as `ctx.info` shows them.
    pub variables: JsonObject,
    /// Whether the texts of the document and the variables are encoded by `lone_surrogates`.
    pub has_lone_surrogates: bool,
}
