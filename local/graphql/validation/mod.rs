//! Validation: turns a request into a prepared operation or into AppSync's errors.
pub mod document_cache;
mod error_messages;
mod literals;
pub mod operation;
mod query_cost;
mod token_limit;

use apollo_compiler::{
    ExecutableDocument, Node,
    ast::{Argument, Type},
    collections::HashSet,
    executable::{Field, Selection, SelectionSet},
    parser::Parser,
    validation::{DiagnosticList, Valid},
};

use super::{
    graphql_error::{GraphqlError, Location},
    request::Request,
    schema::{Schema, input_coercion},
};
use crate::{json_input, lone_surrogates};
use document_cache::DocumentCache;
use error_messages::{MAX_ERRORS, validation_error};
use operation::PreparedOperation;

/// Parses and validates a request and selects its operation.
pub fn prepare(
    schema: &Schema,
    documents: &DocumentCache,
    request: &Request,
    introspection: bool,
) -> Result<PreparedOperation, Vec<GraphqlError>> {
    let errors = match check(schema, documents, request, introspection) {
        Ok(prepared) => return Ok(prepared),
        Err(errors) => errors,
    };
    if !request.has_lone_surrogates {
        return Err(errors);
    }
    let decode = |error: GraphqlError| {
        let message = lone_surrogates::decode_lossy(&error.message).into_owned();
        GraphqlError { message, ..error }
    };
    Err(errors.into_iter().map(decode).collect())
}

fn check(
    schema: &Schema,
    documents: &DocumentCache,
    request: &Request,
    introspection: bool,
) -> Result<PreparedOperation, Vec<GraphqlError>> {
    let document = documents.get_or_validate(&request.query, || parse(schema, &request.query))?;
    let name = request.operation_name.as_deref().filter(|name| !name.is_empty());
    let operation = document.operations.get(name).map_err(|_| vec![unknown_operation(name)])?.clone();
    let inputs = input_coercion::check_variables(schema, &operation, &request.variables).map_err(|error| {
        let location = Location::from_span(error.definition.location(), &document.sources);
        vec![GraphqlError::request_error(error.message(), location)]
    })?;
    let variables = json_input::object_json(&inputs);
    let has_lone_surrogates = request.has_lone_surrogates;
    let prepared = PreparedOperation { document, operation, inputs, variables, has_lone_surrogates };
    query_cost::check(&prepared)?;
    let mut errors = Vec::new();
    if !introspection {
        reject_introspection(&prepared, &mut errors);
    }
    let checker = ArgumentChecker { schema, prepared: &prepared };
    checker.check(&prepared.operation.selection_set, &mut Vec::new(), &mut HashSet::default(), &mut errors);
    if errors.is_empty() { Ok(prepared) } else { Err(errors) }
}

fn parse(schema: &Schema, query: &str) -> Result<Valid<ExecutableDocument>, Vec<GraphqlError>> {
    token_limit::check(query)?;
    let translate = |diagnostics: DiagnosticList| error_messages::translate(schema, &diagnostics, query);
    let mut parser = Parser::new().token_limit(token_limit::PARSER_TOKENS);
    match parser.parse_executable(&schema.definitions, query, "query") {
        Ok(document) => document.validate(&schema.definitions).map_err(|invalid| translate(invalid.errors)),
        Err(invalid) => {
            let mut errors = translate(invalid.errors);
            if let Err(invalid) = invalid.partial.validate(&schema.definitions) {
                errors.extend(translate(invalid.errors));
            }
            errors.sort_by_key(GraphqlError::line_and_column);
            Err(errors)
        }
    }
}

fn reject_introspection(prepared: &PreparedOperation, errors: &mut Vec<GraphqlError>) {
    let PreparedOperation { document, operation, .. } = prepared;
    for field in operation.root_fields(document) {
        let (name, root_type) = (&field.name, operation.object_type());
        if !matches!(name.as_str(), "__schema" | "__type") {
            continue;
        }
        let message = format!("Field '{name}' in type '{root_type}' is undefined");
        let location = Location::from_span(field.location(), &document.sources);
        errors.push(validation_error("FieldUndefined", &message, name, location));
    }
}

fn unknown_operation(name: Option<&str>) -> GraphqlError {
    let message = match name {
        Some(name) => format!("Unknown operation named '{name}'."),
        None => "Must provide operation name if query contains multiple operations.".to_owned(),
    };
    GraphqlError::request_error(message, None)
}

/// Checks all arguments, because apollo-compiler accepts any literal for AppSync's scalars.
struct ArgumentChecker<'a> {
    schema: &'a Schema,
    prepared: &'a PreparedOperation,
}

impl<'a> ArgumentChecker<'a> {
    fn check(
        &self,
        selections: &'a SelectionSet,
        path: &mut Vec<&'a str>,
        visited_fragments: &mut HashSet<&'a str>,
        errors: &mut Vec<GraphqlError>,
    ) {
        for selection in &selections.selections {
            match selection {
                Selection::Field(field) => {
                    path.push(&field.name);
                    let before = errors.len();
                    for argument in &field.arguments {
                        if let Some(definition) = field.definition.argument_by_name(&argument.name) {
                            self.check_literal(argument, &definition.ty, path, errors);
                        }
                    }
                    if errors.len() == before {
                        self.check_values(field, path, errors);
                    }
                    self.check(&field.selection_set, path, visited_fragments, errors);
                    path.pop();
                }
                Selection::InlineFragment(fragment) => {
                    self.check(&fragment.selection_set, path, visited_fragments, errors);
                }
                Selection::FragmentSpread(spread) => {
                    if visited_fragments.insert(&spread.fragment_name)
                        && let Some(fragment) = self.prepared.document.fragments.get(&spread.fragment_name)
                    {
                        self.check(&fragment.selection_set, path, visited_fragments, errors);
                    }
                }
            }
        }
    }

    fn check_literal(&self, argument: &Node<Argument>, expected: &Type, path: &[&str], errors: &mut Vec<GraphqlError>) {
        if errors.len() < MAX_ERRORS
            && let Some(message) = literals::mismatch_message(self.schema, argument, expected)
        {
            let location = Location::from_span(argument.location(), &self.prepared.document.sources);
            errors.push(validation_error("WrongType", &message, &path.join("/"), location));
        }
    }

    /// Checks the arguments with the values of their variables.
    fn check_values(&self, field: &Node<Field>, path: &[&str], errors: &mut Vec<GraphqlError>) {
        let coerced = input_coercion::coerce_arguments(self.schema, &field.definition, field, &self.prepared.inputs);
        if let Err((argument, error)) = coerced
            && errors.len() < MAX_ERRORS
        {
            let location = Location::from_span(field.location(), &self.prepared.document.sources);
            let message = error.argument_message(&argument);
            errors.push(validation_error("WrongType", &message, &path.join("/"), location));
        }
    }
}
