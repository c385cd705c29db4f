//! Limits on what an operation selects, checked before any resolver runs.
//!
//! A document of a few hundred bytes can select gigabytes, because fragments can be spread repeatedly.
use apollo_compiler::{
    ExecutableDocument, Name,
    ast::Value as Literal,
    collections::HashMap,
    executable::{Field, Selection, SelectionSet},
};

use super::operation::PreparedOperation;
use crate::graphql::graphql_error::GraphqlError;

/// The largest number of selected fields, with fragments expanded: a document of the largest size without
/// fragments could not select more.
const MAX_FIELDS: u64 = 15_000;
/// The largest number of fields below `__schema` and `__type`, whose lists multiply. The usual introspection
/// query selects fewer than 200.
const MAX_INTROSPECTION_FIELDS: u64 = 500;
/// The largest size of the paths in `ctx.info.selectionSetList`: AppSync's limit on what a handler evaluates
/// to.
const MAX_PATH_BYTES: u64 = 5 * 1024 * 1024;
/// The largest size of the variables, each counted once for each argument that uses it.
const MAX_VARIABLE_BYTES: u64 = 5 * 1024 * 1024;

/// Rejects an operation that selects too much.
pub fn check(prepared: &PreparedOperation) -> Result<(), Vec<GraphqlError>> {
    let variables = prepared.variables.iter();
    let mut estimator = CostEstimator {
        document: &prepared.document,
        variable_bytes: variables.map(|(name, value)| (name.as_str(), value.to_string().len() as u64)).collect(),
        fragment_costs: HashMap::default(),
    };
    let cost = estimator.selection_set(&prepared.operation.selection_set);
    let limits = [
        (cost.fields, MAX_FIELDS, "fields, with its fragments spread out"),
        (cost.introspection_fields, MAX_INTROSPECTION_FIELDS, "fields of the schema's own description"),
        (cost.path_bytes, MAX_PATH_BYTES, "bytes of paths to its fields"),
        (cost.variable_bytes, MAX_VARIABLE_BYTES, "bytes of variables, each counted as often as it is used"),
    ];
    match limits.into_iter().find(|(amount, limit, _)| amount > limit) {
        Some((amount, limit, unit)) => {
            let message = format!("An operation asks for at most {limit} {unit}; this one for {amount}.");
            Err(vec![GraphqlError::request_error(message, None)])
        }
        None => Ok(()),
    }
}

/// The cost of a selection with fragments expanded. Sums saturate, because the highest value exceeds every
/// limit.
#[derive(Clone, Copy, Default)]
struct QueryCost {
    fields: u64,
    introspection_fields: u64,
    path_bytes: u64,
    variable_bytes: u64,
}

impl QueryCost {
    fn plus(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            introspection_fields: self.introspection_fields.saturating_add(other.introspection_fields),
            path_bytes: self.path_bytes.saturating_add(other.path_bytes),
            variable_bytes: self.variable_bytes.saturating_add(other.variable_bytes),
        }
    }

    /// The cost of a field whose selection set has this cost.
    fn with_parent_field(self, field: &Field, variable_bytes: u64) -> Self {
        let key_bytes = field.response_key().len() as u64;
        let fields = self.fields.saturating_add(1);
        let is_introspection = matches!(field.name.as_str(), "__schema" | "__type");
        Self {
            fields,
            introspection_fields: if is_introspection { fields } else { self.introspection_fields },
            path_bytes: self.path_bytes.saturating_add(fields.saturating_mul(key_bytes + 1)),
            variable_bytes: self.variable_bytes.saturating_add(variable_bytes),
        }
    }
}

/// Computes the cost of each fragment once, however often it is spread.
struct CostEstimator<'a> {
    document: &'a ExecutableDocument,
    variable_bytes: HashMap<&'a str, u64>,
    fragment_costs: HashMap<&'a Name, QueryCost>,
}

impl<'a> CostEstimator<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet) -> QueryCost {
        set.selections.iter().fold(QueryCost::default(), |sum, selection| {
            sum.plus(match selection {
                Selection::Field(field) => {
                    let arguments = field.arguments.iter();
                    let variable_bytes = arguments.map(|argument| self.literal_bytes(&argument.value)).sum();
                    self.selection_set(&field.selection_set).with_parent_field(field, variable_bytes)
                }
                Selection::InlineFragment(fragment) => self.selection_set(&fragment.selection_set),
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name),
            })
        })
    }

    fn fragment(&mut self, name: &'a Name) -> QueryCost {
        if let Some(cost) = self.fragment_costs.get(name) {
            return *cost;
        }
        let fragment = self.document.fragments.get(name);
        let cost = fragment.map(|fragment| self.selection_set(&fragment.selection_set)).unwrap_or_default();
        self.fragment_costs.insert(name, cost);
        cost
    }

    /// The size of the variables that a literal uses.
    fn literal_bytes(&self, literal: &Literal) -> u64 {
        match literal {
            Literal::Variable(name) => self.variable_bytes.get(name.as_str()).copied().unwrap_or_default(),
            Literal::List(items) => items.iter().map(|item| self.literal_bytes(item)).sum(),
            Literal::Object(members) => members.iter().map(|(_, member)| self.literal_bytes(member)).sum(),
            _ => 0,
        }
    }
}
