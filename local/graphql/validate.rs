//! A request becomes an operation that fits the schema, or errors in AppSync's words.
use std::borrow::Cow;

use apollo_compiler::{
    ExecutableDocument, Node,
    ast::{Definition, Document, Selection as Written},
    collections::HashSet,
    diagnostic::{Diagnostic, ToCliReport},
    executable::{Operation, Selection, SelectionSet},
    validation::{DiagnosticData, DiagnosticList, Valid},
};

use super::{
    errors::{GraphqlError, Location},
    input::{self, Members},
    schema::Schema,
    surrogates,
};

/// What a client asks: the body of a POST, or the data of a subscription's start.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub query: String,
    #[serde(default)]
    pub variables: Option<Members>,
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Whether private characters stand for halves of surrogate pairs.
    #[serde(skip)]
    pub halves: bool,
}

impl Request {
    /// From the JSON a client sends; nothing when it is not a request.
    pub fn read(json: &str) -> Option<Self> {
        let carried = surrogates::carried(json);
        let halves = matches!(carried, Cow::Owned(_));
        let request: Self = serde_json::from_str(&carried).ok()?;
        (!request.query.trim().is_empty()).then_some(Self { halves, ..request })
    }
}

/// An operation that can be executed as it stands.
pub struct Prepared {
    pub document: Valid<ExecutableDocument>,
    pub operation: Node<Operation>,
    pub variables: Members,
    pub halves: bool,
}

pub fn prepare(schema: &Schema, request: &Request, introspection: bool) -> Result<Prepared, Vec<GraphqlError>> {
    let document = ExecutableDocument::parse_and_validate(&schema.definitions, request.query.as_str(), "query")
        .map_err(|refused| in_appsync_words(&refused.errors, &request.query))?;
    let name = request.operation_name.as_deref().filter(|name| !name.is_empty());
    let operation = document.operations.get(name).map_err(|_| vec![unknown_operation(name)])?.clone();
    let given = request.variables.clone().unwrap_or_default();
    let variables = input::variables(schema, &operation, &given)
        .map_err(|sentence| vec![GraphqlError::of_request(sentence, None)])?;
    let prepared = Prepared { document, operation, variables, halves: request.halves };
    let mut faults = Vec::new();
    if !introspection {
        prepared.refuse_introspection(&mut faults);
    }
    let walk = Walk { schema, prepared: &prepared };
    walk.check(&prepared.operation.selection_set, &mut Vec::new(), &mut HashSet::default(), &mut faults);
    if faults.is_empty() { Ok(prepared) } else { Err(faults) }
}

impl Prepared {
    fn refuse_introspection(&self, faults: &mut Vec<GraphqlError>) {
        let hidden = |name: &str| name == "__schema" || name == "__type";
        for field in self.operation.root_fields(&self.document).filter(|field| hidden(&field.name)) {
            let (name, root) = (&field.name, self.operation.object_type());
            let sentence = format!("Field '{name}' in type '{root}' is undefined");
            let location = Location::of(field.location(), &self.document.sources);
            faults.push(refusal("FieldUndefined", &sentence, name, location));
        }
    }
}

fn unknown_operation(name: Option<&str>) -> GraphqlError {
    let sentence = match name {
        Some(name) => format!("Unknown operation named '{name}'."),
        None => "Must provide operation name if query contains multiple operations.".to_owned(),
    };
    GraphqlError::of_request(sentence, None)
}

fn refusal(kind: &str, sentence: &str, path: &str, location: Option<Location>) -> GraphqlError {
    let place = if path.is_empty() { String::new() } else { format!(" @ '{path}'") };
    GraphqlError::of_request(format!("Validation error of type {kind}: {sentence}{place}"), location)
}

/// Checks the literals of AppSync's scalars, which the GraphQL library takes for anything.
struct Walk<'a> {
    schema: &'a Schema,
    prepared: &'a Prepared,
}

impl<'a> Walk<'a> {
    fn check(
        &self,
        selections: &'a SelectionSet,
        path: &mut Vec<&'a str>,
        seen: &mut HashSet<&'a str>,
        faults: &mut Vec<GraphqlError>,
    ) {
        for selection in &selections.selections {
            match selection {
                Selection::Field(field) => {
                    path.push(&field.name);
                    let fitted = input::arguments(self.schema, &field.definition, field, &self.prepared.variables);
                    if let Err((argument, misfit)) = fitted {
                        let location = Location::of(field.location(), &self.prepared.document.sources);
                        faults.push(refusal("WrongType", &misfit.of_argument(&argument), &path.join("/"), location));
                    }
                    self.check(&field.selection_set, path, seen, faults);
                    path.pop();
                }
                Selection::InlineFragment(fragment) => self.check(&fragment.selection_set, path, seen, faults),
                Selection::FragmentSpread(spread) => {
                    if seen.insert(&spread.fragment_name)
                        && let Some(fragment) = self.prepared.document.fragments.get(&spread.fragment_name)
                    {
                        self.check(&fragment.selection_set, path, seen, faults);
                    }
                }
            }
        }
    }
}

fn in_appsync_words(faults: &DiagnosticList, query: &str) -> Vec<GraphqlError> {
    let written = Document::parse(query, "query").unwrap_or_else(|refused| refused.partial);
    let translate = |fault: Diagnostic<'_, DiagnosticData>| {
        let span = ToCliReport::location(fault.error);
        let path = span.map_or(String::new(), |span| path_at(&written, span.offset()));
        let sentence = fault.error.to_string();
        let (kind, sentence) = in_words(fault.error.unstable_error_name().unwrap_or("InvalidSyntax"), &sentence);
        refusal(kind, &sentence, &path, Location::of(span, fault.sources))
    };
    faults.iter().map(translate).collect()
}

/// AppSync's name and sentence for a fault the library names and describes; the names stand between backticks.
fn in_words(fault: &str, described: &str) -> (&'static str, String) {
    let names: Vec<&str> = described.split('`').skip(1).step_by(2).collect();
    let name = |index: usize| names.get(index).copied().unwrap_or_default();
    let (owner, member) = name(0).split_once('.').unwrap_or(("", name(0)));
    match fault {
        "UndefinedField" => ("FieldUndefined", format!("Field '{}' in type '{}' is undefined", name(1), name(0))),
        "UndefinedArgument" => ("UnknownArgument", format!("Unknown field argument {}", name(0))),
        "RequiredArgument" => ("MissingFieldArgument", format!("Missing field argument {}", argument_of(name(0)))),
        "RequiredField" => ("WrongType", format!("argument of type '{owner}' is missing required fields '[{member}]'")),
        "UndefinedVariable" => ("UndefinedVariable", format!("Undefined variable {}", name(0).trim_start_matches('$'))),
        "UnusedVariable" => ("UnusedVariable", format!("Unused variable {}", name(0).trim_start_matches('$'))),
        "UndefinedFragment" => ("UndefinedFragment", format!("Undefined fragment {}", name(0))),
        "UnusedFragment" => ("UnusedFragment", format!("Unused fragment {}", name(0))),
        "UndefinedDefinition" => ("UnknownType", format!("Unknown type {}", name(0))),
        "UndefinedDirective" => ("UnknownDirective", format!("Unknown directive {}", name(0).trim_start_matches('@'))),
        "DisallowedVariableUsage" => {
            ("VariableTypeMismatch", format!("Variable type '{}' does not match expected type '{}'", name(1), name(3)))
        }
        "MissingSubselection" => ("SubSelectionRequired", described.to_owned()),
        "SubselectionOnScalarType" | "SubselectionOnEnumType" => {
            ("SubSelectionNotAllowed", format!("Sub selection not allowed on leaf type {}", name(0)))
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

/// The names of the fields around an offset of the document, outermost first, joined with `/`.
fn path_at(document: &Document, offset: usize) -> String {
    let mut path = Vec::new();
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => descend(&operation.selection_set, offset, &mut path),
            Definition::FragmentDefinition(fragment) => descend(&fragment.selection_set, offset, &mut path),
            _ => {}
        }
    }
    path.join("/")
}

fn descend<'a>(selections: &'a [Written], offset: usize, path: &mut Vec<&'a str>) {
    let around = |selection: &&Written| {
        selection.location().is_some_and(|span| (span.offset()..span.end_offset()).contains(&offset))
    };
    match selections.iter().find(around) {
        Some(Written::Field(field)) => {
            path.push(&field.name);
            descend(&field.selection_set, offset, path);
        }
        Some(Written::InlineFragment(fragment)) => descend(&fragment.selection_set, offset, path),
        Some(Written::FragmentSpread(_)) | None => {}
    }
}
