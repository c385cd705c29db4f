//! Translates apollo-compiler's validation errors into AppSync's messages.
//!
//! The translation depends on texts and names that apollo-compiler calls unstable. `tests` pins them to the
//! version in Cargo.lock.
use apollo_compiler::{
    ast::{Definition, Document, Field, Selection},
    diagnostic::{Diagnostic, ToCliReport},
    parser::Parser,
    validation::{DiagnosticData, DiagnosticList},
};

use super::token_limit::PARSER_TOKENS;
use crate::graphql::{
    graphql_error::{GraphqlError, Location},
    schema::Schema,
};

/// AppSync's GraphQL library reports at most this many validation errors of a document.
pub const MAX_ERRORS: usize = 100;

pub fn translate(schema: &Schema, diagnostics: &DiagnosticList, query: &str) -> Vec<GraphqlError> {
    let mut parser = Parser::new().token_limit(PARSER_TOKENS);
    let document = parser.parse_ast(query, "query").unwrap_or_else(|invalid| invalid.partial);
    let translator = Translator { schema, document: &document };
    diagnostics.iter().filter_map(|diagnostic| translator.translate(&diagnostic)).take(MAX_ERRORS).collect()
}

/// Formats a validation error: `Validation error of type FieldUndefined: Field 'x' in type 'Query' is
/// undefined @ 'x'`.
pub fn validation_error(kind: &str, message: &str, path: &str, location: Option<Location>) -> GraphqlError {
    let suffix = if path.is_empty() { String::new() } else { format!(" @ '{path}'") };
    GraphqlError::request_error(format!("Validation error of type {kind}: {message}{suffix}"), location)
}

struct Translator<'a> {
    schema: &'a Schema,
    /// The parsed document, which may be invalid.
    document: &'a Document,
}

impl Translator<'_> {
    /// Returns `None` for an error that only follows from another.
    fn translate(&self, diagnostic: &Diagnostic<'_, DiagnosticData>) -> Option<GraphqlError> {
        let error = diagnostic.error;
        let span = ToCliReport::location(error);
        let fields = span.map_or_else(Vec::new, |span| self.enclosing_fields(span.offset()));
        let name = error.unstable_error_name().unwrap_or("InvalidSyntax");
        let (kind, message) = match (name, fields.last()) {
            ("MissingSubselection", Some(field)) if !field.selection_set.is_empty() => return None,
            ("MissingSubselection", Some(field)) => ("SubSelectionRequired", self.selection_required(field, error)),
            (_, innermost) => {
                let field_name = innermost.map_or("", |field| &field.name);
                kind_and_message(name, &error.to_string(), field_name)
            }
        };
        let path: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        Some(validation_error(kind, &message, &path.join("/"), Location::from_span(span, diagnostic.sources)))
    }

    fn selection_required(&self, field: &Field, error: &DiagnosticData) -> String {
        let message = error.unstable_compat_message().unwrap_or_default();
        let parent_type = message.split('"').nth(3).unwrap_or_default();
        let definition = self.schema.field(parent_type, &field.name);
        let field_type = definition.map_or("", |definition| definition.ty.inner_named_type());
        format!("Sub selection required for type {field_type} of field {}", field.name)
    }

    /// The fields whose text contains the offset, outermost first.
    fn enclosing_fields(&self, offset: usize) -> Vec<&Field> {
        let mut fields = Vec::new();
        for definition in &self.document.definitions {
            match definition {
                Definition::OperationDefinition(operation) => {
                    push_enclosing_fields(&operation.selection_set, offset, &mut fields);
                }
                Definition::FragmentDefinition(fragment) => {
                    push_enclosing_fields(&fragment.selection_set, offset, &mut fields);
                }
                _ => {}
            }
        }
        fields
    }
}

fn push_enclosing_fields<'a>(selections: &'a [Selection], offset: usize, fields: &mut Vec<&'a Field>) {
    let encloses = |selection: &&Selection| {
        selection.location().is_some_and(|span| (span.offset()..span.end_offset()).contains(&offset))
    };
    match selections.iter().find(encloses) {
        Some(Selection::Field(field)) => {
            fields.push(field);
            push_enclosing_fields(&field.selection_set, offset, fields);
        }
        Some(Selection::InlineFragment(fragment)) => push_enclosing_fields(&fragment.selection_set, offset, fields),
        Some(Selection::FragmentSpread(_)) | None => {}
    }
}

/// AppSync's type and message of an error, from the library's error name and its text, which quotes names in
/// backticks.
fn kind_and_message(error_name: &str, text: &str, field_name: &str) -> (&'static str, String) {
    let quoted_names: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let quoted = |index: usize| quoted_names.get(index).copied().unwrap_or_default();
    let bare = quoted(0).trim_start_matches(['$', '@']);
    let (owner, member) = quoted(0).split_once('.').unwrap_or(("", quoted(0)));
    match error_name {
        "UndefinedField" => ("FieldUndefined", format!("Field '{}' in type '{}' is undefined", quoted(1), quoted(0))),
        "UndefinedArgument" => ("UnknownArgument", format!("Unknown field argument {bare}")),
        "RequiredArgument" => {
            ("MissingFieldArgument", format!("Missing field argument {}", argument_of_coordinate(quoted(0))))
        }
        "RequiredField" => ("WrongType", format!("argument of type '{owner}' is missing required fields '[{member}]'")),
        "UndefinedVariable" => ("UndefinedVariable", format!("Undefined variable {bare}")),
        "UnusedVariable" => ("UnusedVariable", format!("Unused variable {bare}")),
        "UndefinedFragment" => ("UndefinedFragment", format!("Undefined fragment {bare}")),
        "UnusedFragment" => ("UnusedFragment", format!("Unused fragment {bare}")),
        "UndefinedDefinition" => ("UnknownType", format!("Unknown type {bare}")),
        "UndefinedDirective" => ("UnknownDirective", format!("Unknown directive {bare}")),
        "DisallowedVariableUsage" => {
            let message = format!("Variable type '{}' does not match expected type '{}'", quoted(1), quoted(3));
            ("VariableTypeMismatch", message)
        }
        "SubselectionOnScalarType" | "SubselectionOnEnumType" => {
            let message = format!("Sub selection not allowed on leaf type {bare} of field {field_name}");
            ("SubSelectionNotAllowed", message)
        }
        "UnsupportedValueType"
        | "UndefinedEnumValue"
        | "UndefinedInputValue"
        | "IntCoercionError"
        | "FloatCoercionError" => ("WrongType", text.to_owned()),
        "ConflictingFieldType" | "ConflictingFieldArgument" | "ConflictingFieldName" => {
            ("FieldsConflict", text.to_owned())
        }
        "InvalidSyntax" => ("InvalidSyntax", text.to_owned()),
        _ => ("InvalidDocument", text.to_owned()),
    }
}

/// The argument's name in a coordinate: `id` in `Query.get(id:)`.
fn argument_of_coordinate(coordinate: &str) -> &str {
    coordinate.split_once('(').map_or(coordinate, |(_, argument)| argument.trim_end_matches([')', ':']))
}

#[cfg(test)]
mod tests;
