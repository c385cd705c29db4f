//! The API's schema, with what AppSync adds to every schema: its scalars and its directives.
pub mod auth_modes;
pub mod authorization;
pub mod input_coercion;
pub mod scalars;

use std::collections::HashMap;

use apollo_compiler::{
    Name, Node, Schema as Definitions,
    ast::{OperationType, Value as Literal},
    collections::HashMap as Implementations,
    schema::{ExtendedType, FieldDefinition, Implementers, ObjectType},
    validation::Valid,
};

use crate::graphql::Fault;

const PRELUDE: &str = include_str!("prelude.graphql");

/// A valid schema whose subscriptions name mutations that exist and return what they return.
pub struct Schema {
    pub definitions: Valid<Definitions>,
    pub implementers: Implementations<Name, Implementers>,
    /// Which subscription fields a mutation field fires.
    fired: HashMap<Name, Vec<Name>>,
}

impl Schema {
    pub fn load(text: &str) -> Result<Self, Fault> {
        let definitions = Definitions::builder()
            .parse(PRELUDE, "appsync.graphql")
            .parse(text, "schema.graphql")
            .build()
            .map_err(|fault| fault.errors)
            .and_then(|schema| schema.validate().map_err(|fault| fault.errors))
            .map_err(|faults| first_fault(&faults))?;
        let fired = fired(&definitions)?;
        let implementers = definitions.implementers_map();
        Ok(Self { definitions, implementers, fired })
    }

    pub fn root(&self, operation: OperationType) -> Option<&Node<ObjectType>> {
        self.definitions.get_object(self.definitions.root_operation(operation)?)
    }

    pub fn field(&self, type_name: &str, field_name: &str) -> Option<&FieldDefinition> {
        self.definitions.type_field(type_name, field_name).ok().map(|field| &***field)
    }

    pub fn type_named(&self, name: &str) -> Option<&ExtendedType> {
        self.definitions.types.get(name)
    }

    pub fn is_mutation(&self, root_type: &ObjectType) -> bool {
        self.definitions.root_operation(OperationType::Mutation) == Some(&root_type.name)
    }

    pub fn fired_by(&self, mutation_field: &str) -> &[Name] {
        self.fired.get(mutation_field).map_or(&[], Vec::as_slice)
    }

    /// Whether a value of the object type may stand where `expected` is asked for.
    pub fn is_a(&self, object_type: &ObjectType, expected: &str) -> bool {
        object_type.name == expected || self.definitions.is_subtype(expected, &object_type.name)
    }
}

fn first_fault(faults: &apollo_compiler::validation::DiagnosticList) -> Fault {
    let first = faults.iter().next().map(|fault| {
        let place = fault.line_column_range().map_or(String::new(), |range| format!(" at line {}", range.start.line));
        format!("{}{place}", fault.error)
    });
    Fault::new(format!("schema.graphql is not a valid schema: {}", first.unwrap_or_default()))
}

fn fired(definitions: &Definitions) -> Result<HashMap<Name, Vec<Name>>, Fault> {
    let mut fired = HashMap::<Name, Vec<Name>>::new();
    let root = |operation| definitions.root_operation(operation).and_then(|name| definitions.get_object(name));
    let Some(subscriptions) = root(OperationType::Subscription) else { return Ok(fired) };
    for (name, subscription) in &subscriptions.fields {
        for mutation in mutations_of(subscription) {
            let field = root(OperationType::Mutation).and_then(|mutations| mutations.fields.get(mutation));
            let field = field.ok_or_else(|| {
                Fault::new(format!(
                    "Subscription.{name} subscribes to Mutation.{mutation}, which is not in schema.graphql"
                ))
            })?;
            if field.ty.inner_named_type() != subscription.ty.inner_named_type() {
                return Err(Fault::new(format!(
                    "Subscription.{name} returns {}, but Mutation.{mutation}, which it subscribes to, returns {}",
                    subscription.ty, field.ty
                )));
            }
            fired.entry(field.name.clone()).or_default().push(name.clone());
        }
    }
    Ok(fired)
}

fn mutations_of(subscription: &FieldDefinition) -> impl Iterator<Item = &str> {
    let mutations = subscription
        .directives
        .get("aws_subscribe")
        .and_then(|directive| directive.specified_argument_by_name("mutations"))
        .map(|mutations| match &**mutations {
            Literal::List(names) => names.as_slice(),
            _ => std::slice::from_ref(mutations),
        });
    mutations.unwrap_or_default().iter().filter_map(|name| name.as_str())
}
