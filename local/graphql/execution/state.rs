//! The state that all fields of one execution share: selections, budget, errors.
use std::sync::{Mutex, PoisonError};

use apollo_compiler::{Node, executable::Field};

use super::{budget::ExecutionBudget, field_context::FieldContext, selection::SelectionReader};
use crate::graphql::graphql_error::{ErrorDetail, GraphqlError, Location};

pub struct ExecutionState<'a> {
    pub selections: SelectionReader<'a>,
    pub budget: ExecutionBudget,
    errors: Mutex<Vec<GraphqlError>>,
}

impl<'a> ExecutionState<'a> {
    pub fn new(selections: SelectionReader<'a>, budget: ExecutionBudget) -> Self {
        Self { selections, budget, errors: Mutex::default() }
    }

    /// Adds an error to the response. Discards the error if the response is too large, because the response
    /// is then replaced by a single error.
    pub fn report(&self, error: GraphqlError) {
        if !self.budget.try_add_response_entry(error.text_bytes()) {
            return;
        }
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    pub fn report_field_error(&self, context: &FieldContext<'_>, error_type: &str, message: impl Into<String>) {
        let (path, location) = (context.path.segments(), self.location(context.field));
        self.report(GraphqlError::field_error(message, ErrorDetail::from_type(error_type), path, location));
    }

    pub fn location(&self, field: &Node<Field>) -> Option<Location> {
        Location::from_span(field.location(), &self.selections.document.sources)
    }

    pub fn into_errors(self) -> Vec<GraphqlError> {
        self.errors.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
