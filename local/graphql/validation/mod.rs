//! A request becomes an operation that fits the schema, or errors in AppSync's words.
pub mod error_messages;
pub mod query_cost;

use std::borrow::Cow;

use apollo_compiler::{
    ExecutableDocument, Node,
    collections::HashSet,
    executable::{Operation, Selection, SelectionSet},
    parser::Parser,
    validation::{DiagnosticList, Valid},
};

use crate::graphql::{
    graphql_error::{GraphqlError, Location},
    lone_surrogates,
    schema::Schema,
    schema::input_coercion::{self, Members},
};
use error_messages::refusal;

/// AppSync's GraphQL library stops at so many faults of a document.
pub const FAULTS: usize = 100;

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
        let carried = lone_surrogates::carried(json);
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
    let document = parse(schema, &request.query)?;
    let name = request.operation_name.as_deref().filter(|name| !name.is_empty());
    let operation = document.operations.get(name).map_err(|_| vec![unknown_operation(name)])?.clone();
    let given = request.variables.clone().unwrap_or_default();
    let variables = input_coercion::variables(schema, &operation, &given)
        .map_err(|sentence| vec![GraphqlError::of_request(sentence, None)])?;
    let prepared = Prepared { document, operation, variables, halves: request.halves };
    query_cost::check(&prepared)?;
    let mut faults = Vec::new();
    if !introspection {
        prepared.refuse_introspection(&mut faults);
    }
    let walk = Walk { schema, prepared: &prepared };
    walk.check(&prepared.operation.selection_set, &mut Vec::new(), &mut HashSet::default(), &mut faults);
    if faults.is_empty() { Ok(prepared) } else { Err(faults) }
}

fn parse(schema: &Schema, query: &str) -> Result<Valid<ExecutableDocument>, Vec<GraphqlError>> {
    query_cost::check_tokens(query)?;
    let told = |refused: DiagnosticList| error_messages::translate(schema, &refused, query);
    let mut parser = Parser::new().token_limit(query_cost::TOKENS_READ);
    match parser.parse_executable(&schema.definitions, query, "query") {
        Ok(document) => document.validate(&schema.definitions).map_err(|refused| told(refused.errors)),
        Err(refused) => {
            let mut faults = told(refused.errors);
            faults.extend(
                refused.partial.validate(&schema.definitions).err().into_iter().flat_map(|more| told(more.errors)),
            );
            faults.sort_by_key(GraphqlError::place);
            Err(faults)
        }
    }
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
                    let fitted =
                        input_coercion::arguments(self.schema, &field.definition, field, &self.prepared.variables);
                    if let Err((argument, misfit)) = fitted
                        && faults.len() < FAULTS
                    {
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
