//! Translates apollo-compiler's validation errors into AppSync's messages.
//!
//! The translation depends on texts and names that apollo-compiler calls unstable. `tests` pins them to the
//! version in Cargo.lock.
use std::collections::HashSet;

use apollo_compiler::{
    Node,
    ast::{Argument, Definition, DirectiveList, Document, Field, Selection, Type},
    diagnostic::{Diagnostic, ToCliReport},
    parser::{Parser, SourceSpan},
    validation::{DiagnosticData, DiagnosticList},
};

use super::{literals, token_limit::PARSER_TOKENS};
use crate::graphql::{
    graphql_error::{GraphqlError, Location},
    schema::Schema,
};

/// The library's names of errors about a literal that does not fit its type.
const LITERAL_ERRORS: [&str; 6] = [
    "UnsupportedValueType",
    "UndefinedEnumValue",
    "UndefinedInputValue",
    "IntCoercionError",
    "FloatCoercionError",
    "RequiredField",
];
/// AppSync's GraphQL library reports at most this many validation errors of a document.
pub const MAX_ERRORS: usize = 100;

pub fn translate(schema: &Schema, diagnostics: &DiagnosticList, query: &str) -> Vec<GraphqlError> {
    let mut parser = Parser::new().token_limit(PARSER_TOKENS);
    let document = parser.parse_ast(query, "query").unwrap_or_else(|invalid| invalid.partial);
    let translator = Translator { schema, document: &document };
    let mut reported_arguments = HashSet::new();
    let errors = diagnostics.iter().filter_map(|diagnostic| translator.translate(&diagnostic, &mut reported_arguments));
    errors.take(MAX_ERRORS).collect()
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
    /// Returns `None` for an error that only follows from another. AppSync reports one error of a literal for
    /// each argument; `reported_arguments` are the offsets of those that have one.
    fn translate(
        &self,
        diagnostic: &Diagnostic<'_, DiagnosticData>,
        reported_arguments: &mut HashSet<usize>,
    ) -> Option<GraphqlError> {
        let error = diagnostic.error;
        let span = ToCliReport::location(error);
        let fields = span.map_or_else(Vec::new, |span| self.enclosing_fields(span.offset()));
        let name = error.unstable_error_name().unwrap_or("InvalidSyntax");
        let literal_offset = match (name, fields.last()) {
            // The library calls an argument missing that is a literal null.
            ("RequiredArgument", Some(field)) => {
                let text = error.to_string();
                let argument = text.split('`').nth(1).map_or("", argument_of_coordinate);
                let argument = field.arguments.iter().find(|given| given.name == argument);
                argument.and_then(|argument| argument.location()).map(|span| span.offset())
            }
            _ if LITERAL_ERRORS.contains(&name) => span.map(|span| span.offset()),
            _ => None,
        };
        if let Some((argument, expected)) = literal_offset.and_then(|offset| self.enclosing_argument(offset))
            && let Some(message) = literals::mismatch_message(self.schema, argument, expected)
        {
            // The span is one of this document, not of the library's.
            let span = argument.location();
            let is_new = span.is_none_or(|span| reported_arguments.insert(span.offset()));
            let location = Location::from_span(span, &self.document.sources);
            return is_new.then(|| validation_error("WrongType", &message, &joined_names(&fields), location));
        }
        let (kind, message) = match (name, fields.last()) {
            ("MissingSubselection", Some(field)) if !field.selection_set.is_empty() => return None,
            ("MissingSubselection", Some(field)) => ("SubSelectionRequired", self.selection_required(field, error)),
            (_, innermost) => {
                let field_name = innermost.map_or("", |field| &field.name);
                kind_and_message(name, &error.to_string(), field_name)
            }
        };
        let location = Location::from_span(span, diagnostic.sources);
        Some(validation_error(kind, &message, &joined_names(&fields), location))
    }

    fn selection_required(&self, field: &Field, error: &DiagnosticData) -> String {
        let message = error.unstable_compat_message().unwrap_or_default();
        let parent_type = message.split('"').nth(3).unwrap_or_default();
        let definition = self.schema.field(parent_type, &field.name);
        let field_type = definition.map_or("", |definition| definition.ty.inner_named_type());
        format!("Sub selection required for type {field_type} of field {}", field.name)
    }

    /// The argument of a field or a directive whose text contains the offset, with its type.
    fn enclosing_argument(&self, offset: usize) -> Option<(&Node<Argument>, &Type)> {
        self.document.definitions.iter().find_map(|definition| match definition {
            Definition::OperationDefinition(operation) => {
                let root_type = self.schema.definitions.root_operation(operation.operation_type)?;
                self.argument_of_directives(&operation.directives, offset)
                    .or_else(|| self.argument_of_selections(&operation.selection_set, root_type, offset))
            }
            Definition::FragmentDefinition(fragment) => {
                let condition = &fragment.type_condition;
                self.argument_of_directives(&fragment.directives, offset)
                    .or_else(|| self.argument_of_selections(&fragment.selection_set, condition, offset))
            }
            _ => None,
        })
    }

    fn argument_of_selections<'s>(
        &'s self,
        selections: &'s [Selection],
        parent_type: &str,
        offset: usize,
    ) -> Option<(&'s Node<Argument>, &'s Type)> {
        let selection = selections.iter().find(|selection| encloses(selection.location(), offset))?;
        let directives = match selection {
            Selection::Field(field) => &field.directives,
            Selection::InlineFragment(fragment) => &fragment.directives,
            Selection::FragmentSpread(spread) => &spread.directives,
        };
        self.argument_of_directives(directives, offset).or_else(|| match selection {
            Selection::Field(field) => {
                let definition = self.schema.field(parent_type, &field.name)?;
                if let Some(argument) = enclosing(&field.arguments, offset) {
                    return Some((argument, &definition.argument_by_name(&argument.name)?.ty));
                }
                self.argument_of_selections(&field.selection_set, definition.ty.inner_named_type(), offset)
            }
            Selection::InlineFragment(fragment) => {
                let condition = fragment.type_condition.as_deref().unwrap_or(parent_type);
                self.argument_of_selections(&fragment.selection_set, condition, offset)
            }
            Selection::FragmentSpread(_) => None,
        })
    }

    fn argument_of_directives<'s>(
        &'s self,
        directives: &'s DirectiveList,
        offset: usize,
    ) -> Option<(&'s Node<Argument>, &'s Type)> {
        directives.iter().find_map(|directive| {
            let argument = enclosing(&directive.arguments, offset)?;
            let definition = self.schema.definitions.directive_definitions.get(&directive.name)?;
            Some((argument, &*definition.argument_by_name(&argument.name)?.ty))
        })
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

fn joined_names(fields: &[&Field]) -> String {
    let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    names.join("/")
}

fn encloses(span: Option<SourceSpan>, offset: usize) -> bool {
    span.is_some_and(|span| (span.offset()..span.end_offset()).contains(&offset))
}

fn enclosing(arguments: &[Node<Argument>], offset: usize) -> Option<&Node<Argument>> {
    arguments.iter().find(|argument| encloses(argument.location(), offset))
}

fn push_enclosing_fields<'a>(selections: &'a [Selection], offset: usize, fields: &mut Vec<&'a Field>) {
    match selections.iter().find(|selection| encloses(selection.location(), offset)) {
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
        // Concerns the default value of a variable; `literals` reports arguments.
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
