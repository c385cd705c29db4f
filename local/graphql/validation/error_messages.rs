//! AppSync's names and sentences for what the GraphQL library finds wrong with a document.
use apollo_compiler::{
    ast::{Definition, Document, Field, Selection},
    diagnostic::{Diagnostic, ToCliReport},
    parser::Parser,
    validation::{DiagnosticData, DiagnosticList},
};

use crate::graphql::{
    graphql_error::{GraphqlError, Location},
    schema::Schema,
    validation::FAULTS,
    validation::query_cost::TOKENS_READ,
};

pub fn translate(schema: &Schema, faults: &DiagnosticList, query: &str) -> Vec<GraphqlError> {
    let mut parser = Parser::new().token_limit(TOKENS_READ);
    let document = parser.parse_ast(query, "query").unwrap_or_else(|refused| refused.partial);
    faults.iter().filter_map(|fault| Written { schema, document: &document }.error(&fault)).take(FAULTS).collect()
}

/// `Validation error of type FieldUndefined: Field 'x' in type 'Query' is undefined @ 'x'`
pub fn refusal(kind: &str, sentence: &str, path: &str, location: Option<Location>) -> GraphqlError {
    let place = if path.is_empty() { String::new() } else { format!(" @ '{path}'") };
    GraphqlError::of_request(format!("Validation error of type {kind}: {sentence}{place}"), location)
}

/// The document as the client wrote it, whether it is valid or not.
struct Written<'a> {
    schema: &'a Schema,
    document: &'a Document,
}

impl Written<'_> {
    /// Nothing for a fault that only follows from another.
    fn error(&self, fault: &Diagnostic<'_, DiagnosticData>) -> Option<GraphqlError> {
        let span = ToCliReport::location(fault.error);
        let fields = span.map_or_else(Vec::new, |span| self.fields_around(span.offset()));
        let name = fault.error.unstable_error_name().unwrap_or("InvalidSyntax");
        let (kind, sentence) = match (name, fields.last()) {
            ("MissingSubselection", Some(field)) if !field.selection_set.is_empty() => return None,
            ("MissingSubselection", Some(field)) => {
                ("SubSelectionRequired", self.selection_required(field, fault.error))
            }
            (_, innermost) => in_words(name, &fault.error.to_string(), innermost.map_or("", |field| &field.name)),
        };
        let path: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        Some(refusal(kind, &sentence, &path.join("/"), Location::of(span, fault.sources)))
    }

    fn selection_required(&self, field: &Field, fault: &DiagnosticData) -> String {
        let sentence = fault.unstable_compat_message().unwrap_or_default();
        let parent = sentence.split('"').nth(3).unwrap_or_default();
        let definition = self.schema.field(parent, &field.name);
        let of_type = definition.map_or("", |definition| definition.ty.inner_named_type());
        format!("Sub selection required for type {of_type} of field {}", field.name)
    }

    /// The fields around an offset, outermost first.
    fn fields_around(&self, offset: usize) -> Vec<&Field> {
        let mut fields = Vec::new();
        for definition in &self.document.definitions {
            match definition {
                Definition::OperationDefinition(operation) => descend(&operation.selection_set, offset, &mut fields),
                Definition::FragmentDefinition(fragment) => descend(&fragment.selection_set, offset, &mut fields),
                _ => {}
            }
        }
        fields
    }
}

fn descend<'a>(selections: &'a [Selection], offset: usize, fields: &mut Vec<&'a Field>) {
    let around = |selection: &&Selection| {
        selection.location().is_some_and(|span| (span.offset()..span.end_offset()).contains(&offset))
    };
    match selections.iter().find(around) {
        Some(Selection::Field(field)) => {
            fields.push(field);
            descend(&field.selection_set, offset, fields);
        }
        Some(Selection::InlineFragment(fragment)) => descend(&fragment.selection_set, offset, fields),
        Some(Selection::FragmentSpread(_)) | None => {}
    }
}

/// From the library's name of a fault and its description, which puts names between backticks.
fn in_words(fault: &str, described: &str, field: &str) -> (&'static str, String) {
    let names: Vec<&str> = described.split('`').skip(1).step_by(2).collect();
    let name = |index: usize| names.get(index).copied().unwrap_or_default();
    let bare = name(0).trim_start_matches(['$', '@']);
    let (owner, member) = name(0).split_once('.').unwrap_or(("", name(0)));
    match fault {
        "UndefinedField" => ("FieldUndefined", format!("Field '{}' in type '{}' is undefined", name(1), name(0))),
        "UndefinedArgument" => ("UnknownArgument", format!("Unknown field argument {bare}")),
        "RequiredArgument" => ("MissingFieldArgument", format!("Missing field argument {}", argument_of(name(0)))),
        "RequiredField" => ("WrongType", format!("argument of type '{owner}' is missing required fields '[{member}]'")),
        "UndefinedVariable" => ("UndefinedVariable", format!("Undefined variable {bare}")),
        "UnusedVariable" => ("UnusedVariable", format!("Unused variable {bare}")),
        "UndefinedFragment" => ("UndefinedFragment", format!("Undefined fragment {bare}")),
        "UnusedFragment" => ("UnusedFragment", format!("Unused fragment {bare}")),
        "UndefinedDefinition" => ("UnknownType", format!("Unknown type {bare}")),
        "UndefinedDirective" => ("UnknownDirective", format!("Unknown directive {bare}")),
        "DisallowedVariableUsage" => {
            let sentence = format!("Variable type '{}' does not match expected type '{}'", name(1), name(3));
            ("VariableTypeMismatch", sentence)
        }
        "SubselectionOnScalarType" | "SubselectionOnEnumType" => {
            let sentence = format!("Sub selection not allowed on leaf type {bare} of field {field}");
            ("SubSelectionNotAllowed", sentence)
        }
        "UnsupportedValueType"
        | "UndefinedEnumValue"
        | "UndefinedInputValue"
        | "IntCoercionError"
        | "FloatCoercionError" => ("WrongType", described.to_owned()),
        "ConflictingFieldType" | "ConflictingFieldArgument" | "ConflictingFieldName" => {
            ("FieldsConflict", described.to_owned())
        }
        "InvalidSyntax" => ("InvalidSyntax", described.to_owned()),
        _ => ("InvalidDocument", described.to_owned()),
    }
}

/// `id` of the coordinate `Query.get(id:)`.
fn argument_of(coordinate: &str) -> &str {
    coordinate.split_once('(').map_or(coordinate, |(_, argument)| argument.trim_end_matches([')', ':']))
}
